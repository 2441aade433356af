"""A worker's copy follows its topic, answers once it has caught up, and fails open."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cache_samples import AT, cache_entry, cache_key, entry_record, forget_record, kept
from eventually import eventually
from manual_clock import ManualClock
from memory_cache_log import TOPIC, MemoryCacheTopic
from samples import NOW

from tollway_schemas.codec import decode, encode
from tollway_workers.cache.arrivals import MOST_KEYS, Arrivals
from tollway_workers.cache.continuing import why_not
from tollway_workers.cache.database import NAME
from tollway_workers.cache.materialise import CopySettings, Materialiser
from tollway_workers.cache.ports import Found
from tollway_workers.cache.records import CacheRecord
from tollway_workers.cache.store import CacheStore, Position, Reach

DAY = 86_400.0


class Bench:
    """A topic and a folder; copies of it, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.topic = MemoryCacheTopic()
        self.clock = ManualClock(NOW)
        self.folder = folder

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[Materialiser]:
        """One that follows until the end of the block."""
        settings = CopySettings(
            topic=TOPIC, folder=self.folder, most_bytes=2**26, longest_gap=DAY / 2
        )
        made = Materialiser(settings, self.topic.reader, self.topic.cluster_id, self.clock)
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def again(self, until: Callable[[], bool]) -> None:
        """Let the wait between two tries pass, until something holds."""

        def holds() -> bool:
            self.clock.advance(5)
            return until()

        await eventually(holds)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "copy")


def has(copy: Materialiser, name: str) -> bool:
    return copy.get(cache_key(name), NOW) is not None


async def test_a_copy_answers_once_it_has_caught_up_and_follows_from_there(bench: Bench) -> None:
    bench.topic.write(*(entry_record(cache_entry(f"{n}"), 0, n % 2) for n in range(20)))

    async with bench.copy() as copy:
        assert not has(copy, "0")
        await eventually(lambda: copy.serves)
        assert all(has(copy, f"{n}") for n in range(20))
        assert copy.told == (10, 10)

        bench.topic.write(entry_record(cache_entry("new"), 0))
        await eventually(lambda: has(copy, "new"))
        bench.topic.write(forget_record(0, tenant="acme"))
        await eventually(lambda: copy.told == (12, 10))
        assert not has(copy, "new")


async def test_what_lies_behind_is_taken_in_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    apply = CacheStore.apply

    def noted(store: CacheStore, records: list[CacheRecord], *told: Any) -> None:
        sizes.append(len(records))
        apply(store, records, *told)

    monkeypatch.setattr(CacheStore, "apply", noted)
    # One read brings three.
    bench.topic.write(*(entry_record(cache_entry(f"{n}"), n) for n in range(20)))

    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)

    assert sizes[0] == 20


async def test_a_restart_reads_on_from_where_it_was(bench: Bench) -> None:
    bench.topic.write(entry_record(cache_entry("a"), 0))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)

    bench.topic.write(entry_record(cache_entry("b"), 0))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        assert has(copy, "a")
        assert has(copy, "b")

    # The last record is read again: it says that the topic is the same.
    assert bench.topic.begun == [{0: 0, 1: 0}, {0: 0, 1: 0}]


async def test_a_worker_away_for_longer_than_deletes_are_kept_reads_all_anew(bench: Bench) -> None:
    bench.topic.write(entry_record(cache_entry("a"), 0))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
    # Its deletion was told meanwhile, and is told no more.
    bench.topic.records[0][0] = bench.topic.records[0][0]._replace(key=b"0" * 32)
    bench.clock.advance(DAY)

    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        assert not has(copy, "a")


async def test_a_copy_of_another_cluster_is_made_anew(bench: Bench) -> None:
    bench.topic.write(entry_record(cache_entry("a"), 0))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
    bench.topic.cluster = "cluster-2"
    bench.topic.remake()

    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        assert not has(copy, "a")


async def test_a_topic_made_anew_under_a_running_copy_empties_it(bench: Bench) -> None:
    bench.topic.write(entry_record(cache_entry("a"), 0), entry_record(cache_entry("b"), 0))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        with structlog.testing.capture_logs() as logs:
            bench.topic.remake()
            bench.topic.write(entry_record(cache_entry("c"), 0))
            await bench.again(lambda: has(copy, "c"))

        assert not has(copy, "a")
        assert [line["log_level"] for line in logs].count("warning") == 1


async def test_a_topic_made_anew_that_has_grown_beyond_the_copy_is_noticed(bench: Bench) -> None:
    bench.topic.write(*(entry_record(cache_entry(name), 0) for name in ("a", "b")))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
    bench.topic.remake()
    # Read on from where the copy was, the mark would never be seen.
    bench.topic.write(
        forget_record(0, tenant="acme"),
        *(entry_record(cache_entry(f"{n}", seen=9), 0) for n in range(5)),
    )

    async with bench.copy() as copy:
        await bench.again(lambda: has(copy, "4"))
        assert not has(copy, "a")


async def test_a_copy_that_hears_nothing_of_its_topic_any_more_gives_misses(bench: Bench) -> None:
    bench.topic.write(entry_record(cache_entry("a"), 0))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)

        bench.topic.missing = bench.topic.silent = True
        await bench.again(lambda: not copy.serves)
        assert not has(copy, "a")

        bench.topic.missing = bench.topic.silent = False
        await bench.again(lambda: has(copy, "a"))


async def test_a_topic_that_is_gone_is_said_once_and_gives_misses(bench: Bench) -> None:
    bench.topic.missing = True
    looks = 0

    def long_enough() -> bool:
        nonlocal looks
        looks += 1
        return looks > 20

    with structlog.testing.capture_logs() as logs:
        async with bench.copy() as copy:
            await bench.again(long_enough)
            assert not has(copy, "a")

    said = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert len(said) == 1
    assert "'tollway.cache' does not exist" in said[0]


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_damaged_file_is_made_anew_and_said_once(bench: Bench, is_open: bool) -> None:
    bench.topic.write(*(entry_record(cache_entry(f"{n}"), 0) for n in range(500)))
    logs: list[Any] = []
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        if is_open:
            logs = await noise_and_all_found_again(bench, copy)
    if not is_open:
        (bench.folder / NAME).write_bytes(b"noise" * 50_000)
        with structlog.testing.capture_logs() as captured:
            async with bench.copy() as copy:
                await bench.again(lambda: copy.serves)
                assert all(has(copy, f"{n}") for n in range(500))
        logs = list(captured)

    said = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert len(said) == 1
    assert "damaged" in said[0]


async def test_a_note_that_is_damaged_while_the_copy_is_closed_has_it_made_anew(
    bench: Bench,
) -> None:
    bench.topic.write(entry_record(cache_entry("a"), 0))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
    with closing(sqlite3.connect(bench.folder / NAME, isolation_level=None)) as file:
        file.execute("UPDATE meta SET value = 'noise' WHERE name = 'known_at'")

    with structlog.testing.capture_logs() as logs:
        async with bench.copy() as copy:
            await bench.again(lambda: has(copy, "a"))

    said = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert len(said) == 1
    assert "damaged" in said[0]


async def noise_and_all_found_again(bench: Bench, copy: Materialiser) -> list[Any]:
    with structlog.testing.capture_logs() as logs:
        for path in bench.folder.iterdir():
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.write(b"noise" * (size // 5))
        # Pages that SQLite holds in memory are good as long as it does.
        await bench.again(lambda: all(has(copy, f"{n}") for n in range(500)))
        bench.topic.write(entry_record(cache_entry("new"), 0))
        await bench.again(lambda: has(copy, "new") and has(copy, "0"))
    return list(logs)


async def test_a_disk_that_is_full_gives_misses_until_it_is_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorname = "SQLITE_FULL"

    def refuse(*_: Any) -> None:
        raise full

    bench.topic.write(entry_record(cache_entry("a"), 0))
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        with structlog.testing.capture_logs() as logs, monkeypatch.context() as patched:
            patched.setattr(CacheStore, "apply", refuse)
            bench.topic.write(forget_record(0, tenant="acme"))
            # What is forgotten cannot be taken out: so nothing is given at all.
            await bench.again(lambda: not copy.serves)
            assert not has(copy, "a")
        await bench.again(lambda: copy.serves)
        assert not has(copy, "a")

    said = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert len(said) == 1
    assert "SQLITE_FULL" in said[0]


async def test_a_folder_that_cannot_be_made_gives_misses(bench: Bench) -> None:
    bench.folder.parent.joinpath("file").write_text("")
    bench.folder = bench.folder.parent / "file" / "copy"

    with structlog.testing.capture_logs() as logs:
        async with bench.copy() as copy:
            await bench.again(lambda: bool(logs))
            assert not copy.serves

    assert "every job is called" in logs[0]["event"]


@pytest.mark.parametrize(
    ("position", "starts", "ends", "gap", "why"),
    [
        (Position({0: Reach(5)}, 0), {0: 0}, {0: 9}, 1, None),
        (Position({0: Reach(5)}, 0), {0: 0, 1: 0}, {0: 9, 1: 9}, 1, None),
        (None, {0: 0}, {0: 9}, 1, "another cluster"),
        (Position({0: Reach(5), 1: Reach(0)}, 0), {0: 0}, {0: 9}, 1, "fewer partitions"),
        (Position({0: Reach(10)}, 0), {0: 0}, {0: 9}, 1, "made anew"),
        (Position({0: Reach(5)}, 0), {0: 6}, {0: 9}, 1, "deleted"),
        (Position({0: Reach(5)}, 0), {0: 0}, {0: 9}, 61, "older"),
        (Position({0: Reach(5)}, 0), {0: 0}, {0: 9}, -61, "older"),
    ],
)
def test_a_copy_is_read_on_only_where_nothing_can_have_been_missed(
    position: Position | None,
    starts: dict[int, int],
    ends: dict[int, int],
    gap: float,
    why: str | None,
) -> None:
    said = why_not(position, starts, ends, gap, longest_gap=60)

    assert (said is None) if why is None else (said is not None and why in said)


async def test_what_this_worker_wrote_is_not_read_a_second_time_and_nothing_else_is_believed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes | None] = []

    def noted(model: Any, value: bytes | None) -> Any:
        read.append(value)
        return decode(model, value)

    monkeypatch.setattr("tollway_workers.cache.records.decode", noted)
    own, other = cache_entry("own"), cache_entry("other")
    changed = cache_entry("other", answer={"text": "what Kafka holds"})
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        copy.remember(kept(own))
        copy.remember(kept(other))

        bench.topic.write(entry_record(own, 0), entry_record(changed, 1))
        await eventually(lambda: copy.applied(0) == 2)

        found = copy.get(cache_key("other"), NOW)
        assert found is not None
        assert found.entry.answer == changed.answer
    assert read == [encode(changed)]


async def test_what_this_worker_wrote_is_given_before_it_is_read_back(bench: Bench) -> None:
    old, later = cache_entry("a"), AT + timedelta(minutes=1)
    new = cache_entry("a", answer={"text": "newer"}, answered_at=later, read_at=later)
    async with bench.copy() as copy:
        copy.remember(kept(old))
        assert not has(copy, "a")
        await eventually(lambda: copy.serves)
        assert copy.get(cache_key("a"), NOW) == Found(old, stale=False)
        assert copy.get(cache_key("a"), NOW + 3_600) is None

        bench.topic.write(entry_record(new, 0))
        await eventually(lambda: copy.applied(0) == 1)
        assert copy.get(cache_key("a"), NOW) == Found(new, stale=False)

        newest = cache_entry("a", answered_at=later + timedelta(seconds=1), read_at=later)
        copy.remember(kept(newest))
        assert copy.get(cache_key("a"), NOW) == Found(newest, stale=False)


async def test_what_this_worker_wrote_is_given_to_nobody_once_it_is_forgotten(
    bench: Bench,
) -> None:
    name = next(each for each in "abcdef" if int.from_bytes(cache_key(each)[:4]) % 2 == 0)
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        copy.remember(kept(cache_entry(name)))
        assert not copy.forgotten(kept(cache_entry(name)))

        bench.topic.write(forget_record(0, tenant="acme"))
        await eventually(lambda: copy.applied(0) == 1)

        assert copy.forgotten(kept(cache_entry(name)))
        assert not has(copy, name)


async def test_what_this_worker_wrote_is_given_to_nobody_once_it_is_taken_back(
    bench: Bench,
) -> None:
    async with bench.copy() as copy:
        await eventually(lambda: copy.serves)
        # Kafka may not have taken it: then it never comes back.
        copy.remember(kept(cache_entry("a")))
        assert has(copy, "a")

        bench.topic.write(entry_record(cache_entry("a"), 0)._replace(value=None))
        await eventually(lambda: copy.applied(0) == 1)

        assert not has(copy, "a")


async def test_a_job_in_line_is_looked_for_again_only_where_its_own_key_came(bench: Bench) -> None:
    async with bench.copy() as copy:
        before = copy.arrivals.changes
        await eventually(lambda: copy.serves)
        assert copy.arrivals.came(cache_key("a"), before)

        since = copy.arrivals.changes
        copy.remember(kept(cache_entry("own")))
        assert copy.arrivals.came(cache_key("own"), since)
        assert not copy.arrivals.came(cache_key("a"), since)

        since = copy.arrivals.changes
        bench.topic.write(entry_record(cache_entry("a"), 0))
        await eventually(lambda: has(copy, "a"))
        await eventually(lambda: copy.arrivals.changes > since)

        assert copy.arrivals.came(cache_key("a"), since)
        assert not copy.arrivals.came(cache_key("a"), copy.arrivals.changes)
        assert not copy.arrivals.came(cache_key("b"), since)


def test_where_too_much_came_to_remember_it_every_key_may_have_come() -> None:
    arrivals = Arrivals()

    arrivals.add([cache_key("a"), *(str(n).encode() for n in range(MOST_KEYS))])
    arrivals.add([b"another"])

    assert arrivals.came(cache_key("a"), 0)
    assert arrivals.came(cache_key("b"), 1)
    assert not arrivals.came(cache_key("b"), 2)
