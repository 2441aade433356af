"""An answer that this worker keeps for all: the value of its record, and what is asked of it before
it comes back. Pure.

It is read as a `CacheEntry` only where it is given to somebody: most are not.
"""

from datetime import datetime
from typing import NamedTuple

from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import decode


class Kept(NamedTuple):
    """See the fields of `CacheEntry`."""

    digest: bytes
    #: Its record's.
    value: bytes
    #: Bytes of the answer in it.
    size: int
    route: str
    tenant: str | None
    lane: str
    scripted: bool
    read_at: datetime
    seen: int
    answered_at: datetime
    expires_at: datetime
    stale_until: datetime

    @property
    def key(self) -> str:
        """The digest in hex, as records have it."""
        return self.digest.hex()

    def entry(self) -> CacheEntry:
        """What others read."""
        return decode(CacheEntry, self.value)
