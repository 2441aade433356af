"""What a commit says of its partition besides offsets."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.ownership import commit_note, offset_map
from tollway_workers.ownership.commit_note import CommitNote, read, write
from tollway_workers.ownership.offset_map import METADATA_LIMIT

_WORD = st.integers(0, 2**32 - 1)


@given(
    base=st.integers(0, 2**62),
    ahead=st.integers(0, 24_000),
    named=st.none() | st.integers(0, 24_000),
    counts=st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100)),
    words=st.tuples(_WORD, _WORD),
    final=st.booleans(),
)
def test_a_note_says_what_was_put_in_and_the_map_beside_it_too(
    base: int,
    ahead: int,
    named: int | None,
    counts: tuple[int, int, int],
    words: tuple[int, int],
    final: bool,
) -> None:
    note = CommitNote(
        final=final,
        shards=12,
        generation=words[0],
        owner=words[1],
        takeovers=counts[0],
        stuck=counts[2],
        started=base + ahead,
        named=None if named is None else base + named,
        deaths=0 if named is None else counts[1],
    )

    alone, beside = write(base, set(), note), write(base, {base + 3, base + 9}, note)

    assert read(base, alone) == read(base, beside) == note
    assert offset_map.decode(base, alone) == set()
    assert offset_map.decode(base, beside) == {base + 3, base + 9}


def test_the_largest_note_beside_the_largest_map_fits_in_the_broker_s_limit() -> None:
    rng, base = random.Random(1), 2**62
    done = {base + i for i in range(24_000) if rng.random() < 0.5}
    word = 2**32 - 1
    note = CommitNote(
        final=True,
        shards=1_000,
        generation=word,
        owner=word,
        takeovers=10**9,
        stuck=10**9,
        started=base + 24_000,
        named=base + 24_000,
        deaths=10**9,
    )

    text = write(base, done, note)

    assert len(text) <= METADATA_LIMIT
    assert offset_map.decode(base, text) == done
    read_back = read(base, text)
    assert read_back is not None
    assert (read_back.takeovers, read_back.deaths) == (100, 100)


@pytest.mark.parametrize("text", [None, "", "o1:AAAA", "n1:", "n1:!", "n1:AAAA", "n1:é", ";;n1:A"])
def test_foreign_metadata_has_no_note(text: str | None) -> None:
    assert read(7, text) is None


@given(st.binary(max_size=60), st.integers(0, 2**62))
def test_no_text_raises(raw: bytes, base: int) -> None:
    checksum = commit_note._checksum(base, raw)
    read(base, "n1:" + base64.b64encode(checksum + raw).decode())
    read(base, raw.decode("latin-1"))


def test_a_note_of_another_offset_is_none() -> None:
    assert read(8, write(7, set(), CommitNote(final=True))) is None


@given(flip=st.integers(0, 1_000), bit=st.integers(0, 7))
def test_a_damaged_note_is_none(flip: int, bit: int) -> None:
    raw = bytearray(base64.b64decode(write(5, set(), CommitNote(shards=4, started=9))[3:]))
    raw[flip % len(raw)] ^= 1 << bit

    assert read(5, "n1:" + base64.b64encode(raw).decode()) is None


@given(st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=72))
def test_levels_are_read_as_they_were_written_and_fit(levels: list[float]) -> None:
    text = write(5, set(), CommitNote(final=True, levels=tuple(levels)))
    note = read(5, text)

    assert note is not None
    assert note.levels == tuple(levels)
    assert len(text) <= 40 + 1 + 400


def test_more_levels_than_fit_are_left_out() -> None:
    note = read(5, write(5, set(), CommitNote(final=True, levels=(1.0,) * 73)))

    assert note is not None
    assert (note.final, note.levels) == (True, ())


@given(flip=st.integers(0, 1_000), bit=st.integers(0, 7))
def test_damaged_levels_are_none_and_the_note_stands(flip: int, bit: int) -> None:
    text = write(5, set(), CommitNote(final=True, levels=(1.0, 2.0)))
    note_text, _, levels = text.partition(";q1:")
    raw = bytearray(base64.b64decode(levels))
    raw[flip % len(raw)] ^= 1 << bit

    note = read(5, f"{note_text};q1:{base64.b64encode(raw).decode()}")

    assert note is not None
    assert (note.final, note.levels) == (True, ())


@given(st.binary(max_size=60))
def test_no_levels_raise(raw: bytes) -> None:
    note_text = write(5, set(), CommitNote(final=True))
    checksum = commit_note._checksum(5, raw)
    read(5, f"{note_text};q1:{base64.b64encode(checksum + raw).decode()}")
    read(5, f"{note_text};q1:{raw.decode('latin-1')}")
