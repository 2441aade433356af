"""Where a key goes: as every other client of Kafka has it."""

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.kafka.produce.partitioner import partition_hash, partition_of


@given(st.binary(max_size=300))
def test_a_key_has_the_hash_that_other_clients_give_it(key: bytes) -> None:
    assert partition_hash(key) == murmur2(key) & 0x7FFFFFFF


@given(st.none() | st.binary(max_size=40), st.integers(1, 100))
def test_every_record_has_a_partition_that_exists(key: bytes | None, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
