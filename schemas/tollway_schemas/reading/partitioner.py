"""Which partition a key belongs to, as Kafka's own clients choose it (murmur2)."""

from aiokafka.partitioner import murmur2


def partition_hash(key: bytes) -> int:
    """Murmur2 of a key without its sign."""
    return int(murmur2(key)) & 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` in a topic of so many."""
    return partition_hash(key) % partitions
