"""Which partition a record belongs to: Kafka's own choice, remembered."""

import random
from functools import lru_cache

from tollway_schemas.reading.partitioner import partition_hash

#: Bytes of a job's key at most; longer ones are strangers', and a thousand of them a gigabyte.
_LONGEST_KEY = 256


#: A job's journal record and reply have one key, so the last ones are remembered.
_remembered_hash = lru_cache(maxsize=1024)(partition_hash)


def partition_of(key: bytes | None, partitions: int) -> int:
    """The partition of `key` in a topic of so many; any one without a key."""
    if key is None:
        return random.randrange(partitions)  # noqa: S311 load is spread, nothing is hidden
    found = _remembered_hash(key) if len(key) <= _LONGEST_KEY else partition_hash(key)
    return found % partitions
