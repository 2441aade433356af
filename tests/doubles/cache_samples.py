"""Records of the cache's topic, for tests."""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from samples import NOW

from tollway_schemas.cache import CacheEntry, Forget
from tollway_schemas.codec import encode
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import LetterName
from tollway_schemas.reply import Answer
from tollway_workers.cache.kept import Kept
from tollway_workers.cache.records import CacheRecord

AT = datetime.fromtimestamp(NOW, UTC)
HOUR = timedelta(hours=1)


def cache_key(name: str) -> bytes:
    """The key of what is called so."""
    return blake2b(name.encode(), digest_size=16).digest()


def cache_entry(name: str, **fields: object) -> CacheEntry:
    """An answer, fresh for an hour and stale for another."""
    given = {
        "key": cache_key(name).hex(),
        "route": "extract",
        "tenant": "acme",
        "answer": Answer(text=f"the answer of {name}"),
        "provenance": Provenance.LIVE,
        "lane": "openai",
        "source": LetterName(route="extract", tenant="acme", job_id=name),
        "read_at": AT,
        "seen": 0,
        "answered_at": AT,
        "expires_at": AT + HOUR,
        "stale_until": AT + 2 * HOUR,
    }
    return CacheEntry.model_validate({**given, **fields})


def kept(entry: CacheEntry) -> Kept:
    """The same as the worker has it that was answered."""
    return Kept(
        digest=bytes.fromhex(entry.key),
        value=encode(entry),
        size=len(encode(entry.answer)),
        route=entry.route,
        tenant=entry.tenant,
        lane=entry.lane,
        scripted=entry.scripted,
        read_at=entry.read_at,
        seen=entry.seen,
        answered_at=entry.answered_at,
        expires_at=entry.expires_at,
        stale_until=entry.stale_until,
    )


def entry_record(entry: CacheEntry, offset: int, partition: int = 0) -> CacheRecord:
    """As it stands in the topic."""
    return CacheRecord(partition, offset, entry.key.encode(), encode(entry))


def forget_record(offset: int, **fields: object) -> CacheRecord:
    """A mark as it stands in the topic."""
    mark = Forget.model_validate({"id": f"{offset:032x}", "at": AT - HOUR, **fields})
    return CacheRecord(0, offset, mark.record_key, encode(mark))
