"""Records of the cache's topic, as they are read."""

from typing import NamedTuple

from tollway_schemas.cache import CacheEntry, Forget, is_mark
from tollway_schemas.codec import decode
from tollway_schemas.errors import SchemaError
from tollway_schemas.semantic import Observations, is_observations
from tollway_workers.cache.kept import Kept


class CacheRecord(NamedTuple):
    """A record and where it stands."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    #: What it holds, where this worker has written it itself: it need not be read again.
    known: Kept | None = None


class TakenBack(NamedTuple):
    """The answer of a key is none any more."""

    key: bytes


def read(record: CacheRecord) -> CacheEntry | Forget | TakenBack | Observations | None:
    """What a record says; None where it is none of ours: then it changes nothing.

    An answer under a key that is not its own would be given for another prompt: it is none.
    """
    if record.key is None:
        return None
    try:
        if is_mark(record.key):
            # A mark is never taken back: what it hid may be anywhere.
            return decode(Forget, record.value) if record.value else None
        if is_observations(record.key):
            observed = decode(Observations, record.value)
            return observed if observed.record_key == record.key else None
        if not record.value:
            return TakenBack(bytes.fromhex(record.key.decode("ascii")))
        entry = decode(CacheEntry, record.value)
    except (SchemaError, ValueError):
        return None
    return entry if entry.key.encode() == record.key else None
