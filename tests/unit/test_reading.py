"""What Kafka answers to a fetch becomes records, whatever bytes stand there."""

import gzip
import random
import tracemalloc
from typing import Any

import pytest
from aiokafka import TopicPartition
from batch_bytes import (
    CONTROL,
    PACK,
    batch,
    old_record,
    record,
    sized,
    varint,
)
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.reading.fetched import Fetched, FetchedRecords, UnreadableRecord

_MOST = 16 * 2**20
_PLACE = TopicPartition("jobs", 3)
_GOOD = batch(10, record(0, b"behind"))


def read(fetched: bytes, begin: int = 0, end: int = 1_000, **more: Any) -> FetchedRecords:
    return FetchedRecords(
        Fetched(place=_PLACE, begin=begin, end=end, records=fetched, **more), _MOST
    )


def found(reading: FetchedRecords) -> list[tuple[int, bytes | None, str | None]]:
    """Offset, value and what is wrong of each."""
    return [(each.offset, each.value, getattr(each, "why", None)) for each in reading]


def wrong(reading: FetchedRecords) -> list[tuple[int, str]]:
    return [(each.offset, each.why) for each in reading if isinstance(each, UnreadableRecord)]


@pytest.mark.parametrize("codec", PACK)
def test_records_of_every_codec_are_read(codec: int) -> None:
    headers = [(b"name", b"text"), (b"name", None)]
    reading = read(batch(5, record(0, b"one"), record(1, None, None, headers), codec=codec), 5)

    one, two = list(reading)

    assert (one.offset, one.key, one.value, one.timestamp) == (5, b"key", b"one", 1000)
    assert (two.offset, two.key, two.value) == (6, None, None)
    assert two.headers == (("name", b"text"), ("name", None))
    assert reading.next_fetch_offset == 7


@pytest.mark.parametrize("codec", PACK)
def test_a_header_s_name_that_is_not_utf_8_costs_its_own_record_alone(codec: int) -> None:
    bad = record(1, b"job", b"key", [(b"mine", b"1"), (b"\xff\xfe", b"2"), (b"last", b"3")])
    reading = read(batch(0, record(0, b"a"), bad, record(2, b"c"), codec=codec))

    a, b, c = list(reading)

    assert (a.value, c.value, c.offset) == (b"a", b"c", 2)
    assert isinstance(b, UnreadableRecord)
    assert (b.offset, b.key, b.value, b.bytes_of) == (1, b"key", b"job", None)
    assert b.headers == (("mine", b"1"), ("last", b"3"))
    assert b.why == (
        "the record at offset 1 of jobs-3 cannot be read: "
        "it has a header whose name is not UTF-8, its number 2"
    )


_LIES = {
    "a key that is longer than all of it": b"\0\0" + varint(1) + varint(1 << 20),
    "a key as long as numbers go": b"\0\0" + varint(1) + varint((1 << 63) - 40) + b"k",
    "a negative length": b"\0\0" + varint(1) + varint(-7),
    "headers without end": b"\0\0" + varint(1) + sized(b"k") + sized(b"v") + varint(1 << 40),
    "fewer headers than none": b"\0\0" + varint(1) + sized(b"k") + sized(b"v") + varint(-1),
    "a header without a name": b"\0\0"
    + varint(1)
    + sized(b"k")
    + sized(b"v")
    + varint(1)
    + b"\1\1",
    "bytes behind its end": b"\0\0" + varint(1) + sized(b"k") + sized(b"v") + varint(0) + b"more",
    "a number that does not end": b"\xff" * 30,
    "nothing": b"\0",
    "the offset of another": b"\0\0" + varint(0) + sized(b"k") + sized(b"v") + varint(0),
    "an offset beyond its batch": b"\0\0" + varint(9) + sized(b"k") + sized(b"v") + varint(0),
    "an offset before all": b"\0\0" + varint(-9) + sized(b"k") + sized(b"v") + varint(0),
}


@pytest.mark.parametrize("lie", _LIES)
@pytest.mark.parametrize("codec", [0, 4])
def test_a_record_that_lies_inside_costs_itself_alone(lie: str, codec: int) -> None:
    records = record(0, b"a"), sized(_LIES[lie]), record(2, b"c")
    reading = read(batch(0, *records, codec=codec) + _GOOD)

    a, b, c, behind = list(reading)

    assert [a.value, c.value, behind.value] == [b"a", b"c", b"behind"]
    assert isinstance(b, UnreadableRecord)
    assert b.offset == 1
    has_a_value = b.value in (b"v", None)
    assert b.bytes_of == (None if has_a_value else "record")


@pytest.mark.parametrize("rest", [b"\xff" * 30, varint(1 << 40), varint(-3), varint(0)])
def test_where_no_next_record_can_be_found_the_rest_of_the_batch_is_one(rest: bytes) -> None:
    reading = read(batch(0, record(0, b"a"), rest, b"...", count=5, last=4) + _GOOD)

    assert found(reading)[1:] == [
        (
            4,
            rest + b"...",
            "the record at offset 4 of jobs-3 cannot be read: it ends before its records do",
        ),
        (10, b"behind", None),
    ]


def test_a_batch_that_says_more_records_than_it_holds_is_told_of() -> None:
    reading = read(batch(0, record(0, b"a"), count=3, last=2) + _GOOD)

    assert [(at, value) for at, value, _ in found(reading)] == [
        (0, b"a"),
        (2, b""),
        (10, b"behind"),
    ]
    ((_, why),) = wrong(read(batch(0, count=3, last=2)))
    assert why.endswith("it says that it holds 3 records, and holds 0")


def test_a_batch_that_says_fewer_records_than_it_holds_gives_all() -> None:
    reading = read(batch(0, record(0, b"a"), record(1, b"b"), count=1, last=1) + _GOOD)

    assert [value for _, value, _ in found(reading)] == [b"a", b"b", b"behind"]


def _damaged(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


_WHOLE = {
    "fails its checksum": _damaged(batch(0, record(0, b"a"), record(1, b"b"))),
    "is compressed with codec 5": batch(0, codec=5, packed=b"??", count=2, last=1),
    "is compressed, and damaged": batch(0, last=1, count=2, codec=4, packed=b"no zstd"),
    "has format 7": b"".join((_GOOD[:16], b"\7", _GOOD[17:])).replace(_GOOD[:8], bytes(8), 1),
    "says offsets": batch(0, record(0, b"a"), last=-5),
    "says offsets that": batch(0, record(0, b"a"), last=2**31 - 1),
}


@pytest.mark.parametrize("why", _WHOLE)
def test_a_batch_that_cannot_be_read_is_one_record_with_its_bytes(why: str) -> None:
    alone, followed = read(_WHOLE[why]), read(_WHOLE[why] + _GOOD)

    first, behind = list(followed)

    assert why in first.why
    assert (first.value, first.bytes_of) == (_WHOLE[why], "batch")
    assert behind.value == b"behind"
    assert len(list(alone)) == 1
    assert alone.next_fetch_offset > 0


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_damaged_packing_of_each_codec_is_stepped_over(codec: int) -> None:
    packed = PACK[codec](b"x" * 1_000)
    for bad in (b"", b"junk", packed[:-3], packed[: len(packed) // 2], b"\0" * 40):
        reading = read(batch(0, codec=codec, packed=bad, last=4, count=5) + _GOOD)

        assert found(reading)[-1] == (10, b"behind", None)
        assert len(wrong(read(batch(0, codec=codec, packed=bad, last=4, count=5)))) == 1


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_batch_that_unpacks_to_too_much_is_stepped_over_without_being_unpacked(
    codec: int,
) -> None:
    bomb = batch(0, record(0, bytes(_MOST * 4)), codec=codec)
    reading = read(bomb + _GOOD)

    (_, value, why), behind = found(reading)

    assert value == bomb
    assert f"unpacks to more than {_MOST:,} bytes" in (why or "")
    assert behind == (10, b"behind", None)


def _beside(count: int, pair: bytes, key: bytes = b"key") -> bytes:
    """A record that has `count` headers, each written as `pair`."""
    head = b"\0" + varint(0) + varint(0) + sized(key) + sized(b"job") + varint(count)
    return sized(head + pair * count)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (_beside(500_000, b"\0\1"), "500,000 headers"),
        (_beside(300_000, b"\2\xff\1"), "300,000 headers"),
        (_beside(7_900_000, b"\0\1"), "headers of 15,800,007 bytes"),
        (_beside(1, sized(b"a") + sized(bytes(12 * 2**20))), "headers of 12,582,"),
        (_beside(0, b"", bytes(12 * 2**20)), "a key and headers of 12,582,"),
    ],
    ids=["headers", "bad names", "more headers", "a large header", "a large key"],
)
def test_what_stands_beside_a_value_is_bounded_and_its_value_kept(made: bytes, says: str) -> None:
    reading = read(batch(0, made, record(1, b"next"), codec=4))
    tracemalloc.start()

    first, last = list(reading)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (first.value, first.headers, last.value) == (b"job", (), b"next")
    assert says in first.why
    # Two copies of what it unpacks to, and no objects: those would take 700 MiB.
    assert most < 80 * 2**20


def test_as_many_headers_as_are_read_are_read() -> None:
    made = _beside(10_000, sized(b"name") + sized(b"text"))

    first, last = list(read(batch(0, made, record(1, b"next"), codec=4)))

    assert (len(first.headers), first.key, last.value) == (10_000, b"key", b"next")


def test_a_batch_of_many_pieces_of_gzip_is_stepped_over() -> None:
    pieces = gzip.compress(b"", mtime=0) * 50_000

    ((offset, why),) = wrong(read(batch(0, codec=1, packed=pieces, count=1, last=0)))

    assert offset == 0
    assert "is compressed in more than 64 pieces" in why


def test_what_was_written_since_kafka_looked_up_the_end_is_read() -> None:
    reading = read(batch(5, record(0, b"a"), record(1, b"b"), codec=4), 5, end=6)

    assert found(reading) == [(5, b"a", None), (6, b"b", None)]


@pytest.mark.parametrize("codec", [0, 4])
@pytest.mark.parametrize("count", [1, 2**31 - 1])
def test_a_batch_that_says_offsets_beyond_the_end_leads_nobody_there(
    codec: int, count: int
) -> None:
    reading = read(batch(0, record(0, b"a"), last=2**31 - 2, count=count, codec=codec))

    assert wrong(reading)[0][1].endswith("it says offsets that are not its own")
    assert reading.next_fetch_offset == 1


def test_a_damaged_batch_whose_own_words_agree_is_one_and_else_each_offset_is_tried() -> None:
    agreeing = read(_damaged(batch(0, record(0, b"a"), record(1, b"b"))))
    at_odds = read(_damaged(batch(0, record(0, b"a"), record(1, b"b"), count=7)))

    assert wrong(agreeing)[0][1].startswith("the batch of offsets 0 to 1 of jobs-3 cannot be read")
    assert wrong(at_odds)[0][1].startswith("the record at offset 0 of jobs-3 cannot be read")
    assert (agreeing.next_fetch_offset, at_odds.next_fetch_offset) == (2, 1)


@pytest.mark.parametrize("length", [1, 11, 12, 16, 17, 40, 60])
def test_a_truncated_answer_gives_one_record_and_what_is_cut_behind_others_none(
    length: int,
) -> None:
    alone, behind_others = read(_GOOD[:length], 10), read(_GOOD + batch(11)[:length], 10)

    assert [at for at, _ in wrong(alone)] == [10]
    assert alone.next_fetch_offset == 11
    assert found(behind_others) == [(10, b"behind", None)]
    assert behind_others.next_fetch_offset == 11


def test_what_was_read_before_is_not_given_again() -> None:
    raw = batch(0, record(0, b"a"), record(1, b"\xff", headers=[(b"\xff", b"")]), record(2, b"c"))

    assert [at for at, *_ in found(read(raw, 2))] == [2]
    assert [at for at, *_ in found(read(raw + _GOOD, 3))] == [10]


def test_marks_of_kafka_and_what_was_taken_back_are_not_given() -> None:
    garbage = batch(1, b"\xff\xff", codec=CONTROL, producer=7, count=1, last=0)
    theirs = batch(0, record(0, b"back"), producer=7)
    raw = theirs + garbage + batch(2, record(0, b"a"), producer=7)

    assert [value for _, value, _ in found(read(raw, aborted=[(7, 0)]))] == [b"a"]
    assert [value for _, value, _ in found(read(raw))] == [b"back", b"a"]
    assert read(garbage, 1).next_fetch_offset == 1
    assert found(alone := read(garbage, 1)) == []
    assert alone.next_fetch_offset == 2


@pytest.mark.parametrize("magic", [0, 1])
def test_records_of_old_formats_are_read_and_bad_ones_stepped_over(magic: int) -> None:
    good = old_record(4, b"value", magic=magic, key=b"key")
    damaged = good.replace(b"value", b"eulav")
    twice = [old_record(at, b"v%d" % at, magic=magic) for at in (0, 1)]
    inner = twice if magic else [old_record(at, b"v%d" % at, magic=0) for at in (5, 6)]
    packed = old_record(6, PACK[1](b"".join(inner)), magic=magic, codec=1)
    lying = old_record(7, PACK[1](b"x" * 30), magic=magic, codec=1)
    bomb = old_record(8, PACK[1](bytes(_MOST + 1)), magic=magic, codec=1)
    unknown = old_record(9, b"?", magic=magic, codec=6)

    told = found(read(good + packed + lying + bomb + unknown + _GOOD, 4))

    assert [(at, value) for at, value, why in told if why is None] == [
        (4, b"value"),
        (5, b"v0" if magic else b"v5"),
        (6, b"v1" if magic else b"v6"),
        (10, b"behind"),
    ]
    assert [at for at, _, why in told if why is not None] == [7, 8, 9]
    assert "fails its checksum" in wrong(read(damaged, 4))[0][1]


@given(st.binary(max_size=300), st.integers(0, 20))
def test_no_bytes_raise_and_every_fetch_gets_on(raw: bytes, begin: int) -> None:
    reading = read(raw, begin)

    offsets = [at for at, *_ in found(reading)]

    assert offsets == sorted(set(offsets))
    assert reading.next_fetch_offset > begin or not raw


@pytest.mark.parametrize("seed", range(200))
def test_no_mutation_of_a_batch_stops_what_is_behind_it(seed: int) -> None:
    dice = random.Random(seed)
    codec = dice.choice(list(PACK))
    body = bytearray(
        b"".join(record(at, b"value", headers=[(b"name", b"text")]) for at in range(5))
    )
    for _ in range(dice.randrange(1, 6)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    reading = read(batch(0, bytes(body), codec=codec, count=5, last=4) + _GOOD)

    told = found(reading)

    assert told[-1] == (10, b"behind", None)
    assert all(0 <= at <= 4 for at, *_ in told[:-1])
    assert told[:-1]
