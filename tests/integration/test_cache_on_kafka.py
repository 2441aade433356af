"""Stored answers of several workers, shared by a real topic: found, forgotten, lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cache_samples import cache_entry, cache_key, kept
from eventually import eventually

from tollway_schemas.cache import CacheEntry, Forget
from tollway_workers.app.answer_cache import SharedCache
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.kafka.talk.cache_marks import write_mark

pytestmark = pytest.mark.kafka

MakeTopics = Callable[..., Awaitable[None]]


class Ground:
    """A prefix with its cache topic, and workers' caches on it."""

    def __init__(self, servers: str, prefix: str, folder: Path) -> None:
        self.client: dict[str, Any] = {"bootstrap_servers": servers}
        self.topic = f"{prefix}.cache"
        self._folder = folder
        self._settings = FleetSettings.model_validate({"kafka": {"prefix": prefix}})

    def damage(self, name: str) -> None:
        """Write noise over every file of a worker's copy, and cut it short."""
        for path in (self._folder / name).iterdir():
            path.write_bytes(b"noise" * 1_000)

    @asynccontextmanager
    async def worker(self, name: str) -> AsyncIterator[SharedCache]:
        """One, while the block runs."""
        cache = SharedCache(self.client, self._settings, self._folder / name, SystemClock())
        task = asyncio.create_task(cache.run())
        try:
            yield cache
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await cache.stop()


@pytest.fixture
async def ground(
    bootstrap_servers: str, topic_prefix: str, tmp_path: Path, make_topics: MakeTopics
) -> Ground:
    ground = Ground(bootstrap_servers, topic_prefix, tmp_path)
    await make_topics(
        NewTopic(
            name=ground.topic,
            num_partitions=3,
            replication_factor=1,
            topic_configs={"cleanup.policy": "compact,delete"},
        )
    )
    return ground


def fresh_entry(name: str, cache: SharedCache, **fields: Any) -> CacheEntry:
    now = datetime.now(UTC)
    times = {
        "read_at": now,
        "answered_at": now,
        "expires_at": now + timedelta(hours=1),
        "stale_until": now + timedelta(hours=1),
    }
    return cache_entry(name, seen=cache.seen(cache_key(name)), **{**times, **fields})


def has(cache: SharedCache, name: str) -> bool:
    return cache.get(cache_key(name), datetime.now(UTC).timestamp()) is not None


async def test_what_one_worker_learns_all_find_and_what_is_forgotten_none(ground: Ground) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(ground.worker("one"))
        two = await stack.enter_async_context(ground.worker("two"))
        await eventually(lambda: one.state.serves and two.state.serves)
        in_flight = fresh_entry("in flight", two)

        for name in ("a", "b", "c", "d"):
            one.put(kept(fresh_entry(name, one)))
        one.put(kept(fresh_entry("of another", one, tenant="globex")))
        names = ("a", "b", "c", "d", "of another")
        await eventually(lambda: all(has(two, name) and has(one, name) for name in names))

        mark = Forget.model_validate({"id": uuid4().hex, "tenant": "acme", "at": datetime.now(UTC)})
        written = await write_mark(ground.client, ground.topic, mark)
        await eventually(lambda: applied(one, written.offsets) and applied(two, written.offsets))
        two.put(kept(in_flight))
        one.put(kept(fresh_entry("after it", one)))

        await eventually(lambda: has(one, "after it") and has(two, "after it"))
        assert not any(has(each, name) for each in (one, two) for name in (*names[:4], "in flight"))
        assert has(one, "of another")
        assert has(two, "of another")

    async with ground.worker("cold") as cold:
        await eventually(lambda: cold.state.serves)
        assert [name for name in (*names, "in flight", "after it") if has(cold, name)] == [
            "of another",
            "after it",
        ]


@pytest.mark.slow
async def test_a_topic_that_is_deleted_gives_misses_and_made_again_it_serves(
    ground: Ground, make_topics: MakeTopics
) -> None:
    async with ground.worker("one") as one:
        await eventually(lambda: one.state.serves)
        one.put(kept(fresh_entry("a", one)))
        await eventually(lambda: has(one, "a"))
        with structlog.testing.capture_logs() as logs:
            admin = AIOKafkaAdminClient(**ground.client)
            await admin.start()
            await admin.delete_topics([ground.topic])
            await admin.close()
            one.put(kept(fresh_entry("b", one)))
            await eventually(lambda: not has(one, "a"))
            await make_topics(NewTopic(ground.topic, num_partitions=3, replication_factor=1))

            def learns_again() -> bool:
                one.put(kept(fresh_entry("c", one)))
                return has(one, "c")

            await eventually(learns_again)
        assert not has(one, "a")

    warnings = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert len(warnings) == len(set(warnings))


async def test_files_replaced_by_noise_while_open_give_misses_and_are_made_anew(
    ground: Ground,
) -> None:
    async with ground.worker("one") as one:
        await eventually(lambda: one.state.serves)
        # More than SQLite keeps in memory: else it would not read what is on the disk.
        long = {"text": "x" * 60_000}
        for begin in (0, 100):
            names = [f"{n}" for n in range(begin, begin + 100)]
            for name in names:
                one.put(kept(fresh_entry(name, one, answer=long)))
            await eventually(partial(holds, one, begin + len(names)))
        with structlog.testing.capture_logs() as logs:
            ground.damage("one")

            def notices() -> bool:
                for n in range(200):
                    has(one, f"{n}")
                return any("damaged" in line["event"] for line in logs)

            await eventually(notices, 30)
            await eventually(lambda: all(has(one, f"{n}") for n in range(200)), 30)

    warnings = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert len(warnings) == 1


def holds(cache: SharedCache, entries: int) -> bool:
    """Whether its copy does, which is later than that it gives what it wrote itself."""
    return cache.state.entries == entries


def applied(cache: SharedCache, offsets: dict[int, int]) -> bool:
    told = cache.told
    return told is not None and all(told[number] > at for number, at in offsets.items())
