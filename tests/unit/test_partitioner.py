"""Where a key goes: as every other client of Kafka has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.reading.partitioner import partition_hash
from tollway_workers.kafka.produce.partitioner import partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_key_has_the_hash_that_the_java_client_gives_it(key: bytes, expected: int) -> None:
    assert partition_hash(key) == expected & 0x7FFFFFFF


@given(st.none() | st.binary(max_size=40), st.integers(1, 100))
def test_every_record_has_a_partition_that_exists(key: bytes | None, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
