"""Which partition a key belongs to, as Kafka's own clients choose it."""

import random
from functools import lru_cache

from aiokafka.partitioner import murmur2

#: Bytes of a job's key at most; longer ones are strangers', and a thousand of them a gigabyte.
_LONGEST_KEY = 256


def partition_hash(key: bytes) -> int:
    """Murmur2 of a key without its sign."""
    return int(murmur2(key)) & 0x7FFFFFFF


#: A job's journal record and reply have one key, so the last ones are remembered.
_remembered_hash = lru_cache(maxsize=1024)(partition_hash)


def partition_of(key: bytes | None, partitions: int) -> int:
    """The partition of `key` in a topic of so many; any one without a key."""
    if key is None:
        return random.randrange(partitions)  # noqa: S311 load is spread, nothing is hidden
    found = _remembered_hash(key) if len(key) <= _LONGEST_KEY else partition_hash(key)
    return found % partitions
