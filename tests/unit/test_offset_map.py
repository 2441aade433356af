"""The offset map: what is done above a committed offset, in 4,096 characters."""

import base64
import random
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.ownership import offset_map
from tollway_workers.ownership.offset_map import METADATA_LIMIT, OFFSET_WINDOW, decode, encode

#: What one poll may take beyond the window.
_POLL = 500
_BASES = st.integers(min_value=0, max_value=2**62)


def _of(base: int, kind: bytes, body: bytes) -> str:
    checksum = (zlib.crc32(base.to_bytes(8, "big") + kind + body) & 0xFFFF).to_bytes(2, "big")
    return "o1:" + base64.b64encode(checksum + kind + body).decode()


@given(base=_BASES, above=st.sets(st.integers(0, OFFSET_WINDOW + _POLL)))
def test_a_map_says_what_was_put_in(base: int, above: set[int]) -> None:
    done = {base + offset for offset in above}

    assert decode(base, encode(base, done)) == done


@given(base=_BASES, runs=st.lists(st.tuples(st.integers(0, 999), st.integers(1, 999)), max_size=20))
def test_a_map_of_runs_says_what_was_put_in(base: int, runs: list[tuple[int, int]]) -> None:
    done: set[int] = set()
    position = base
    for gap, length in runs:
        done.update(range(position + gap, position + gap + length))
        position += gap + length
    done = {offset for offset in done if offset < base + OFFSET_WINDOW}

    assert decode(base, encode(base, done)) == done


_PATTERNS: dict[str, Callable[[int, random.Random], bool]] = {
    "all": lambda i, rng: True,
    "every other": lambda i, rng: i % 2 == 1,
    "pairs": lambda i, rng: i % 4 > 1,
    "every 130th is missing": lambda i, rng: i % 130 != 0,
    "a coin": lambda i, rng: rng.random() < 0.5,
    "one in three": lambda i, rng: rng.random() < 1 / 3,
    "one in fifty": lambda i, rng: rng.random() < 0.02,
}


@pytest.mark.parametrize("pattern", _PATTERNS)
def test_a_full_window_fits_in_the_broker_s_limit(pattern: str) -> None:
    rng, base = random.Random(pattern), 10**15
    chosen = range(1, OFFSET_WINDOW + _POLL)
    done = {base + i for i in chosen if _PATTERNS[pattern](i, rng)}

    text = encode(base, done)

    assert len(text) <= METADATA_LIMIT
    assert decode(base, text) == done


def test_offsets_beyond_what_fits_are_left_out_and_the_rest_is_kept() -> None:
    text = encode(5, {6, 7, 10**12})

    assert decode(5, text) == {6, 7}


@pytest.mark.parametrize("text", [None, "", "o1:", "o1:!!!!", "o2:AAAA", "{}", "o1:é", "o1:AA=="])
def test_foreign_metadata_means_that_nothing_is_done(text: str | None) -> None:
    assert decode(7, text) == set()


@given(st.text(max_size=200), st.integers(0, 2**62))
def test_no_text_raises(text: str, base: int) -> None:
    assert decode(base, text) == set()
    decode(base, "o1:" + text)


@given(body=st.binary(max_size=300), kind=st.sampled_from([b"R", b"B", b"r", b"b", b"x", b""]))
def test_no_body_raises_even_where_its_checksum_is_right(body: bytes, kind: bytes) -> None:
    assert all(offset >= 100 for offset in decode(100, _of(100, kind, body)))


@given(flip=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_map_means_that_nothing_is_done(flip: int, bit: int) -> None:
    raw = bytearray(base64.b64decode(encode(100, {101, 105, 140, 141, 300})[3:]))
    raw[flip % len(raw)] ^= 1 << bit

    assert decode(100, "o1:" + base64.b64encode(raw).decode()) == set()


def test_a_map_of_another_offset_means_that_nothing_is_done() -> None:
    assert decode(101, encode(100, {105, 106})) == set()


@pytest.mark.parametrize(
    "text",
    [
        _of(0, b"r", zlib.compress(b"\x00" * 50_000_000)),
        _of(0, b"b", zlib.compress(b"\xff" * 50_000_000)),
        _of(0, b"R", b"\x00" + b"\xff" * 8 + b"\x7f"),
        _of(0, b"R", b"\xff" * 3_000),
    ],
    ids=["inflating runs", "inflating bits", "an endless run", "an endless number"],
)
def test_a_hostile_map_takes_no_memory(text: str) -> None:
    tracemalloc.start()
    try:
        decode(0, text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * 2**20


def test_nothing_done_needs_no_map() -> None:
    assert encode(9, set()) == ""
    assert offset_map.METADATA_LIMIT == 4_096
