"""Whatever befalls a worker's copy of known answers: it misses, says so once, and calls."""

import resource
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from os import geteuid
from pathlib import Path
from typing import Protocol

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from cache_samples import cache_entry
from caching_fleet import QUESTIONS, CachingFleet, caching_fleet, given_again
from eventually import eventually
from live_fleet import OpenFleet, Process

from tollway_schemas.codec import encode
from tollway_workers.local.simulator import Simulator, SimulatorOptions

#: Slow: `test_cache_store.py` and `test_cache_copy.py` have the short forms.
pytestmark = [pytest.mark.kafka, pytest.mark.slow]

#: Bytes of a disk that is too small, and of one that is not.
_SMALL, _LARGE = 4 * 2**20, 64 * 2**20
_DAY = 86_400.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions()) as simulator:
        yield simulator


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    return tmp_path / "copies"


@pytest.fixture
async def fleet(live_fleet: OpenFleet, simulator: Simulator, copies: Path) -> CachingFleet:
    return await caching_fleet(live_fleet, simulator, copies)


async def test_a_topic_that_is_deleted_costs_calls_and_one_line(fleet: CachingFleet) -> None:
    async with fleet.fleet.workers("one") as (worker,):
        await fleet.serves()
        await fleet.ask()
        admin = AIOKafkaAdminClient(**fleet.fleet.client)
        await admin.start()
        await admin.delete_topics([fleet.fleet.names.cache])
        await admin.close()
        await eventually(fleet.warnings, 60)

        again = await fleet.ask()

        assert given_again(again) == 0
        assert {each.status for each in again} == {"completed"}
        assert fleet.calls == 2 * QUESTIONS
        assert worker.returncode is None
        (line,) = fleet.warnings()
        assert fleet.fleet.names.cache in line

        await fleet.fleet.tollway("topics", "apply")
        await fleet.serves(times=2)
        await fleet.ask()
        assert given_again(await fleet.ask()) == QUESTIONS
    assert worker.returncode == 0


def cut_short(file: Path) -> None:
    """The first half of it."""
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def to_noise(file: Path) -> None:
    """As long as it was."""
    file.write_bytes(b"\x5a" * file.stat().st_size)


@pytest.mark.parametrize("damage", [cut_short, to_noise])
async def test_a_closed_copy_that_is_damaged_is_made_anew_and_serves_all_again(
    fleet: CachingFleet, damage: object
) -> None:
    assert callable(damage)
    async with fleet.fleet.workers("one"):
        await fleet.serves()
        await fleet.ask()
    damage(fleet.file)

    async with fleet.fleet.workers("one") as (worker,):
        await fleet.serves(times=2)
        again = await fleet.ask()

    assert given_again(again) == QUESTIONS
    assert fleet.calls == QUESTIONS
    assert worker.returncode == 0
    (line,) = fleet.warnings()
    assert "damaged" in line


@pytest.mark.parametrize("damage", [cut_short, to_noise])
async def test_an_open_copy_that_is_damaged_gives_misses_and_never_another_answer(
    fleet: CachingFleet, damage: object
) -> None:
    assert callable(damage)
    async with fleet.fleet.workers("one") as (worker,):
        await fleet.serves()
        await fleet.ask()
        # More than SQLite keeps in memory: else it would not read what is on the disk.
        # What is written goes there in steps of 16 MiB.
        await _fill(fleet, 56 * 2**20)
        await eventually(lambda: fleet.file.stat().st_size > 24 * 2**20, 60)
        for file in fleet.file.parent.iterdir():
            damage(file)
        for n in range(1, 4):
            # What comes is written into what is damaged, so that it is read anew.
            await fleet.ask(first=n * QUESTIONS)
            assert {each.status for each in await fleet.ask()} == {"completed"}
        await fleet.serves(times=2)
        assert worker.returncode is None
        assert given_again(await fleet.ask()) == QUESTIONS

    assert worker.returncode == 0
    (line,) = fleet.warnings()
    assert "damaged" in line


class Disk(Protocol):
    """What a worker's copy lies on."""

    def enlarge(self, worker: Process) -> None:
        """From now on there is room."""
        ...

    def limit(self, worker: Process) -> None:
        """There is little room for what it writes."""
        ...


class FileSystem:
    """A file system in memory: what is full says so by ENOSPC."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def limit(self, worker: Process) -> None:
        del worker

    def enlarge(self, worker: Process) -> None:
        del worker
        _mount(self._folder, "-o", f"remount,size={_LARGE}")


class FileSizeLimit:
    """What any user may set for a process of its own: EFBIG."""

    def limit(self, worker: Process) -> None:
        self._set(worker, _SMALL)

    def enlarge(self, worker: Process) -> None:
        self._set(worker, resource.RLIM_INFINITY)

    def _set(self, worker: Process, size: int) -> None:
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def small_file_system(folder: Path) -> Iterator[FileSystem]:
    folder.mkdir()
    _mount(folder, "-t", "tmpfs", "-o", f"size={_SMALL}", "tmpfs")
    try:
        yield FileSystem(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 where it lies differs


def _mount(folder: Path, *arguments: str) -> None:
    subprocess.run(["mount", *arguments, str(folder)], check=True)  # noqa: S607 as above


@pytest.fixture(params=["file system", "file size"])
def disk(request: pytest.FixtureRequest, copies: Path) -> Iterator[Disk]:
    if request.param == "file size":
        yield FileSizeLimit()
        return
    if geteuid() != 0:
        pytest.skip("only root may mount a small file system; a limit of file sizes is tested")
    with small_file_system(copies) as mounted:
        yield mounted


async def test_on_a_full_disk_jobs_are_called_and_nothing_forgotten_comes_back(
    live_fleet: OpenFleet, simulator: Simulator, copies: Path, disk: Disk
) -> None:
    fleet = await caching_fleet(live_fleet, simulator, copies, cache_mib=1_024)
    async with fleet.fleet.workers("one") as (worker,):
        await fleet.serves()
        first = await fleet.ask()
        disk.limit(worker)
        await _fill(fleet, 2 * _SMALL)
        await eventually(fleet.warnings, 60)

        again = await fleet.ask()
        assert given_again(again) == 0
        assert {each.status for each in (*first, *again)} == {"completed"}
        assert fleet.calls == 2 * QUESTIONS
        await fleet.fleet.tollway("cache", "forget", "--tenant", "acme")
        disk.enlarge(worker)
        await fleet.serves(times=2)

        after = await fleet.ask()
        assert given_again(after) == 0
        assert given_again(await fleet.ask()) == QUESTIONS
        assert fleet.calls == 3 * QUESTIONS

    assert worker.returncode == 0
    (line,) = fleet.warnings()
    assert "every job is called" in line


async def _fill(fleet: CachingFleet, size: int) -> None:
    """Write as much to the topic, in answers of 100 kB of another tenant."""
    now = datetime.now(UTC)
    each = 100_000
    times = {
        "read_at": now,
        "answered_at": now,
        "expires_at": now + timedelta(hours=1),
        "stale_until": now + timedelta(hours=1),
    }
    for n in range(size // each):
        entry = cache_entry(f"{n}", tenant="other", answer={"text": "x" * each}, **times)
        await fleet.fleet.write(fleet.fleet.names.cache, encode(entry), entry.key.encode())
    await fleet.fleet.flush()


@pytest.mark.parametrize(("days", "hits"), [(1.0, QUESTIONS), (8.0, 0)])
async def test_a_worker_away_for_longer_than_deletes_are_kept_gives_nothing_of_its_copy(
    fleet: CachingFleet, days: float, hits: int
) -> None:
    async with fleet.fleet.workers("one"):
        await fleet.serves()
        await fleet.ask()
    # Once it has caught up, all of them are in its copy.
    async with fleet.fleet.workers("one"):
        await fleet.serves(times=2)
    # Kafka has dropped what was taken back, and that it was.
    await _empty(fleet)
    with closing(sqlite3.connect(fleet.file)) as copy, copy:
        copy.execute("UPDATE meta SET value = value - ? WHERE name = 'known_at'", (days * _DAY,))

    async with fleet.fleet.workers("one"):
        await fleet.serves(times=3)
        again = await fleet.ask()

    assert given_again(again) == hits
    assert fleet.calls == 2 * QUESTIONS - hits
    lines = fleet.warnings()
    assert [each for each in lines if "made anew" not in each] == []
    assert len(lines) == (0 if hits else 1)


async def _empty(fleet: CachingFleet) -> None:
    topic = fleet.fleet.names.cache
    ends = await fleet.fleet.ends(topic)
    admin = AIOKafkaAdminClient(**fleet.fleet.client)
    await admin.start()
    await admin.delete_records(
        {TopicPartition(*at): RecordsToDelete(end) for at, end in ends.items()}
    )
    await admin.close()
