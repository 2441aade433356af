"""A worker's copy of stored answers: what it finds, forgets, evicts, and survives."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from cache_samples import AT, HOUR, cache_entry, cache_key, entry_record, forget_record, kept
from samples import NOW
from size import sized

from tollway_workers.cache.database import NAME
from tollway_workers.cache.held_keys import HeldKeys
from tollway_workers.cache.records import CacheRecord
from tollway_workers.cache.store import CacheStore, Origin, Reach

MIB = 2**20
ORIGIN = Origin("cluster-1", "tollway.cache")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CacheStore]:
    opened = CacheStore(tmp_path, 64 * MIB)
    opened.begin(ORIGIN, NOW)
    yield opened
    opened.close()


def apply(store: CacheStore, *records: CacheRecord, known_at: float | None = None) -> None:
    reached = {record.partition: Reach(record.offset + 1, record.offset) for record in records}
    store.apply(records, reached, known_at)


def texts(store: CacheStore, *names: str, now: float = NOW) -> list[str | None]:
    found = [store.get(cache_key(name), now) for name in names]
    return [None if each is None else each.entry.answer.text for each in found]


def test_an_answer_is_found_under_its_key_alone(store: CacheStore) -> None:
    entry = cache_entry("a")

    apply(store, entry_record(entry, 0))

    found = store.get(cache_key("a"), NOW)
    assert found is not None
    assert (found.entry, found.stale) == (entry, False)
    assert store.get(cache_key("b"), NOW) is None


def test_a_copy_that_is_opened_again_finds_and_replaces_all_that_it_held(tmp_path: Path) -> None:
    first = CacheStore(tmp_path, 64 * MIB)
    first.begin(ORIGIN, NOW)
    apply(first, *(entry_record(cache_entry(name), at) for at, name in enumerate("abc")))
    first.close()

    again = CacheStore(tmp_path, 64 * MIB)
    apply(again, entry_record(cache_entry("b", answer={"text": "newer"}), 3))

    assert texts(again, "a", "b", "c") == ["the answer of a", "newer", "the answer of c"]
    assert again.entries == 3
    again.close()


def test_most_keys_that_a_copy_does_not_hold_are_known_not_to_be_there() -> None:
    held, added = HeldKeys(), [cache_key(f"a{number}") for number in range(1_000)]

    held.add(added)

    assert all(map(held.may_hold, added))
    assert sum(held.may_hold(cache_key(f"b{number}")) for number in range(1_000)) < 5


def test_an_answer_past_its_time_is_stale_and_later_it_is_gone(store: CacheStore) -> None:
    apply(store, entry_record(cache_entry("a"), 0))

    stale = store.get(cache_key("a"), NOW + 3_600)
    gone = store.get(cache_key("a"), NOW + 7_200)

    assert stale is not None
    assert stale.stale
    assert gone is None
    assert store.entries == 1

    apply(store, known_at=NOW + 7_200 + 3_600)

    assert store.entries == 0


def test_the_last_record_of_a_key_counts(store: CacheStore) -> None:
    newer = cache_entry("a", answer={"text": "newer"})

    apply(store, entry_record(cache_entry("a"), 0), entry_record(newer, 1))
    assert texts(store, "a") == ["newer"]
    assert store.entries == 1

    apply(store, CacheRecord(0, 2, newer.key.encode(), None))
    assert texts(store, "a") == [None]
    assert store.entries == 0


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        ({"tenant": "acme"}, ["globex", "other route"]),
        ({"route": "extract"}, ["other route"]),
        ({"route": "extract", "tenant": "globex"}, ["acme", "other route"]),
        ({"key": cache_key("acme").hex()}, ["globex", "other route"]),
        ({"before": AT}, ["acme", "globex", "other route"]),
        ({"before": AT + HOUR}, []),
    ],
)
def test_a_mark_forgets_all_that_it_names_and_nothing_else(
    store: CacheStore, scope: dict[str, object], left: list[str]
) -> None:
    entries = [
        cache_entry("acme"),
        cache_entry("globex", tenant="globex"),
        cache_entry("other route", route="sum", tenant="initech"),
    ]
    names = ["acme", "globex", "other route"]
    apply(store, *(entry_record(each, at) for at, each in enumerate(entries)))

    apply(store, forget_record(3, **scope))

    found = dict(zip(names, texts(store, *names), strict=True))
    assert [name for name, text in found.items() if text is not None] == left
    assert store.entries == len(left)


def test_an_answer_to_a_job_that_was_read_before_a_mark_is_forgotten_when_it_comes(
    store: CacheStore,
) -> None:
    apply(store, forget_record(5, tenant="acme"))

    apply(
        store,
        entry_record(cache_entry("in flight", seen=5), 6),
        entry_record(cache_entry("in flight by its clock", seen=6, read_at=AT - HOUR), 7),
        entry_record(cache_entry("read after it", seen=6), 8),
    )

    names = ("in flight", "in flight by its clock", "read after it")
    assert texts(store, *names) == [None, None, "the answer of read after it"]


def test_a_mark_is_remembered_over_a_restart(tmp_path: Path) -> None:
    first = CacheStore(tmp_path, 64 * MIB)
    first.begin(ORIGIN, NOW)
    apply(first, forget_record(5, tenant="acme"), known_at=NOW)
    first.close()

    second = CacheStore(tmp_path, 64 * MIB)
    position = second.position(ORIGIN)
    apply(second, entry_record(cache_entry("a", seen=2), 6))

    assert position is not None
    assert (position.reached, position.known_at) == ({0: Reach(6, 5)}, NOW)
    assert texts(second, "a") == [None]
    second.close()


def test_a_mark_with_an_age_never_takes_the_place_of_one_without(store: CacheStore) -> None:
    apply(store, forget_record(5, route="extract"), forget_record(6, route="extract", before=AT))

    apply(store, entry_record(cache_entry("in flight", seen=3, answered_at=AT), 7))

    assert texts(store, "in flight") == [None]


@pytest.mark.parametrize(
    "record",
    [
        CacheRecord(0, 0, None, b"{}"),
        CacheRecord(0, 0, b"\xff\xfe", None),
        CacheRecord(0, 0, b"forget/x", b"no mark"),
        CacheRecord(0, 0, b"forget/" + b"0" * 32, None),
        CacheRecord(0, 0, cache_key("a").hex().encode(), b"\x00noise"),
        entry_record(cache_entry("another"), 0)._replace(key=cache_key("a").hex().encode()),
    ],
)
def test_a_record_that_is_none_of_ours_changes_nothing(
    store: CacheStore, record: CacheRecord
) -> None:
    apply(store, record)

    assert texts(store, "a", "another") == [None, None]
    assert store.entries == 0


def test_a_copy_of_another_cluster_or_topic_says_no_position(store: CacheStore) -> None:
    apply(store, entry_record(cache_entry("a"), 0))

    assert store.position(ORIGIN) is not None
    assert store.position(Origin("cluster-2", ORIGIN.topic)) is None
    assert store.position(Origin(ORIGIN.cluster, "other.cache")) is None


def test_the_oldest_answers_go_where_there_is_no_room(tmp_path: Path) -> None:
    store = CacheStore(tmp_path, 2 * MIB)
    store.begin(ORIGIN, NOW)
    long = {"text": "x" * 1_000}

    for begin in range(0, 4_000, 500):
        numbers = range(begin, begin + 500)
        apply(store, *(entry_record(cache_entry(f"{n}", answer=long), n) for n in numbers))

    assert store.used <= 2 * MIB
    assert store.evicted > 0
    assert store.entries + store.evicted == 4_000
    assert texts(store, "0", "3999") == [None, "x" * 1_000]
    store.close()


def test_data_and_offset_are_taken_in_together_or_not_at_all(store: CacheStore) -> None:
    apply(store, entry_record(cache_entry("a"), 0))
    broken = {0: Reach(2), 1: Reach(object())}  # type: ignore[arg-type] # what SQLite refuses

    with pytest.raises(sqlite3.Error):
        store.apply([entry_record(cache_entry("b"), 1)], broken, None)

    position = store.position(ORIGIN)
    assert position is not None
    assert position.reached == {0: Reach(1, 0)}
    assert texts(store, "a", "b") == ["the answer of a", None]
    assert store.entries == 1


def test_an_own_answer_that_cannot_be_read_is_none_and_no_damage(store: CacheStore) -> None:
    bad = kept(cache_entry("bad"))._replace(value=b'{"written":"by another release"}')
    known = CacheRecord(0, 0, bad.key.encode(), bad.value, bad)

    apply(store, known, entry_record(cache_entry("a"), 1))

    assert texts(store, "bad", "a") == [None, "the answer of a"]
    assert store.damage is None


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "bits"])
def test_a_file_damaged_while_it_is_open_gives_misses_and_never_another_answer(
    tmp_path: Path, damage: str
) -> None:
    store = CacheStore(tmp_path, 64 * MIB)
    store.begin(ORIGIN, NOW)
    names = [f"{n}" for n in range(sized(quick=3_000, thorough=9_999))]
    entries = {name: cache_entry(name, answer={"text": name * 900}) for name in names}
    apply(store, *(entry_record(each, at) for at, each in enumerate(entries.values())))
    for path in tmp_path.iterdir():
        harm(path, damage)

    found = {name: store.get(cache_key(name), NOW) for name in entries}

    wrong = [name for name, each in found.items() if each and each.entry != entries[name]]
    assert wrong == []
    assert store.damage is not None
    store.close()


#: A flipped bit makes a text of a blob, which may be none in UTF-8.
_NO_BLOBS = [b"a text", b"\xff\xfe"]


@pytest.mark.parametrize("no_blob", _NO_BLOBS)
def test_a_key_that_is_damaged_while_the_copy_is_closed_costs_its_own_answer(
    tmp_path: Path, no_blob: bytes
) -> None:
    first = CacheStore(tmp_path, 64 * MIB)
    apply(first, *(entry_record(cache_entry(name), at) for at, name in enumerate("ab")))
    first.close()
    with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as file:
        damaged = "UPDATE answers SET key = CAST(? AS TEXT) WHERE key = ?"
        file.execute(damaged, (no_blob, cache_key("a")))

    again = CacheStore(tmp_path, 64 * MIB)

    assert texts(again, "a", "b") == [None, "the answer of b"]
    again.close()


@pytest.mark.parametrize("no_blob", _NO_BLOBS)
def test_a_mark_that_is_damaged_while_the_copy_is_closed_has_it_made_anew(
    tmp_path: Path, no_blob: bytes
) -> None:
    first = CacheStore(tmp_path, 64 * MIB)
    apply(first, forget_record(0, tenant="acme"))
    first.close()
    with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as file:
        file.execute("UPDATE marks SET value = CAST(? AS TEXT)", (no_blob,))

    with pytest.raises(sqlite3.DatabaseError, match="a mark cannot be read"):
        CacheStore(tmp_path, 64 * MIB)


@pytest.mark.parametrize(
    ("row", "no_number"),
    [
        *product(
            [
                "meta SET value = {} WHERE name = 'entries'",
                "meta SET value = {} WHERE name = 'known_at'",
                "offsets SET next = {}",
                "offsets SET last = {}",
                "offsets SET stamp = {}",
            ],
            _NO_BLOBS,
        ),
        # It becomes a number without an end.
        ("offsets SET next = {}", b"1e999"),
    ],
)
def test_how_far_a_copy_is_is_damage_where_it_is_no_number(
    tmp_path: Path, row: str, no_number: bytes
) -> None:
    first = CacheStore(tmp_path, 64 * MIB)
    first.begin(ORIGIN, NOW)
    apply(first, entry_record(cache_entry("a"), 0), known_at=NOW)
    first.close()
    with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as file:
        file.execute("UPDATE " + row.format("CAST(? AS TEXT)"), (no_number,))

    refused = pytest.raises(sqlite3.DatabaseError, match="is not what was written")
    with refused, closing(CacheStore(tmp_path, 64 * MIB)) as damaged:
        damaged.position(ORIGIN)


@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_a_file_damaged_while_it_was_closed_raises_or_gives_misses(
    tmp_path: Path, damage: str
) -> None:
    first = CacheStore(tmp_path, 64 * MIB)
    first.begin(ORIGIN, NOW)
    apply(first, *(entry_record(cache_entry(f"{n}"), n) for n in range(3_000)))
    first.close()
    harm(tmp_path / NAME, damage)

    try:
        second = CacheStore(tmp_path, 64 * MIB)
    except sqlite3.Error:
        return
    assert set(texts(second, *map(str, range(3_000)))) <= {
        None,
        *(f"the answer of {n}" for n in range(3_000)),
    }
    second.close()


def test_a_copy_is_one_process_s_own_and_maps_nothing_into_memory(
    tmp_path: Path, store: CacheStore
) -> None:
    del store
    opening = f"""
import sys
from pathlib import Path
from tollway_workers.cache import database
from tollway_workers.cache.store import CacheStore
database._PATIENCE = 0.1
CacheStore(Path({str(tmp_path)!r}), 1)
"""

    other = subprocess.run(
        [sys.executable, "-c", opening], capture_output=True, text=True, check=False
    )

    assert "database is locked" in other.stderr
    # Who cuts a file short that is mapped into memory ends the process.
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, f"{NAME}-wal"]


def harm(path: Path, damage: str) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "cut":
            file.truncate(size // 3)
        elif damage == "empty":
            file.truncate(0)
        elif damage == "noise":
            file.write(os.urandom(size))
        else:
            for at in range(0, size, 1_500):
                file.seek(at)
                file.write(b"\x35")
