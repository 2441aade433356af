"""What a worker knows of similar prompts follows its copy of stored answers, and only that."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cache_samples import AT, cache_entry, cache_key, entry_record, forget_record
from eventually import eventually
from manual_clock import ManualClock
from memory_cache_log import TOPIC, MemoryCacheTopic
from samples import NOW

from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import encode
from tollway_schemas.semantic import Band, Observations
from tollway_workers.cache.database import NAME
from tollway_workers.cache.materialise import CopySettings, Materialiser
from tollway_workers.cache.records import CacheRecord
from tollway_workers.cache.semantic.agreement import answer_digest
from tollway_workers.cache.semantic.experience import Experience
from tollway_workers.cache.semantic.index import PromptIndex
from tollway_workers.cache.semantic.rule import BANDS
from tollway_workers.cache.semantic.similar import SimilarPrompts
from tollway_workers.cache.semantic.table import Changes, PromptTable, StoredPrompt

SCOPE = b"\x0a" * 16
VECTOR = b"\x00\x3c\x00\x00"


def asked(name: str, embedder: str = "e") -> CacheEntry:
    prompt = {"scope": SCOPE.hex(), "embedder": embedder, "vector": "ADwAAA==", "text": "what?"}
    return cache_entry(name, prompt=prompt)


def observed(name: str) -> CacheRecord:
    entry = asked(name)
    record = Observations(
        key=entry.key,
        worker="another",
        route=entry.route,
        tenant=entry.tenant,
        answer=answer_digest(entry.answer),
        embedder="e",
        bands=(Band(least=BANDS[1], agreed=3),),
        written_at=AT,
    )
    return CacheRecord(0, 0, record.record_key, encode(record))


class Bench:
    """A topic and a folder; copies of it, one after the other, and what is known by each."""

    def __init__(self, folder: Path) -> None:
        self.topic = MemoryCacheTopic(1)
        self.clock = ManualClock(NOW)
        self.folder = folder

    @asynccontextmanager
    async def copy(
        self, ready: Callable[[SimilarPrompts], bool] = lambda similar: similar.loaded
    ) -> AsyncIterator[tuple[Materialiser, SimilarPrompts]]:
        settings = CopySettings(topic=TOPIC, folder=self.folder, most_bytes=2**26, longest_gap=1e5)
        copies: list[Materialiser] = []
        experience = Experience("one", lambda key: copies[0].observed(key))
        similar = SimilarPrompts(PromptIndex(["e"]), experience)
        copies.append(
            Materialiser(settings, self.topic.reader, self.topic.cluster_id, self.clock, similar)
        )
        task = asyncio.create_task(copies[0].run())
        try:
            await eventually(lambda: ready(similar) and copies[0].serves)
            yield copies[0], similar
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "copy")


def near(similar: SimilarPrompts) -> list[bytes]:
    return [each.key for each in similar.places.nearest(SCOPE, VECTOR, 8)]


def taught(similar: SimilarPrompts, name: str) -> int:
    entry = asked(name)
    assert entry.prompt is not None
    return sum(band.agreed for band in similar.experience.learned(entry, entry.prompt).bands)


async def test_prompts_are_found_as_they_come_and_after_a_restart(bench: Bench) -> None:
    bench.topic.write(entry_record(asked("a"), 0), observed("a"), entry_record(asked("x", "f"), 0))
    async with bench.copy() as (_, similar):
        assert near(similar) == [cache_key("a")]
        assert taught(similar, "a") == 3
        bench.topic.write(entry_record(asked("b"), 0), observed("b"))
        await eventually(lambda: len(near(similar)) == 2)
        await eventually(lambda: taught(similar, "b") == 3)

    async with bench.copy() as (_, similar):
        assert set(near(similar)) == {cache_key("a"), cache_key("b")}
        assert taught(similar, "a") == taught(similar, "b") == 3
    # It has read on, and not from the beginning.
    assert bench.topic.begun[-1] == {0: 4}


async def test_what_changes_while_prompts_are_loaded_is_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, load = threading.Event(), PromptIndex.load

    def slow(index: PromptIndex, prompts: Iterable[StoredPrompt]) -> None:
        assert go_on.wait(10)
        load(index, prompts)

    bench.topic.write(*(entry_record(asked(name), 0) for name in ("a", "b")))
    async with bench.copy():
        pass
    monkeypatch.setattr(PromptIndex, "load", slow)
    bench.topic.write(entry_record(asked("c"), 0), CacheRecord(0, 0, asked("a").key.encode(), None))
    threading.Timer(0.5, go_on.set).start()
    async with bench.copy() as (_, similar):
        await eventually(lambda: set(near(similar)) == {cache_key("b"), cache_key("c")})


async def test_prompts_that_cannot_be_read_are_read_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: list[StoredPrompt]) -> list[StoredPrompt]:
        raise sqlite3.DatabaseError("malformed")

    await read_anew_where_loaded_as(bench, monkeypatch, damaged)


@pytest.mark.parametrize("vector", [b"odd", "a text"])
async def test_a_damaged_vector_is_read_anew_with_all_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, vector: Any
) -> None:
    def damaged(prompts: list[StoredPrompt]) -> list[StoredPrompt]:
        return [each._replace(vector=vector) for each in prompts]

    await read_anew_where_loaded_as(bench, monkeypatch, damaged)


async def read_anew_where_loaded_as(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    damaged: Callable[[list[StoredPrompt]], list[StoredPrompt]],
) -> None:
    """What the first look finds of a copy is damaged; nothing in what it takes in meets that."""
    bench.topic.write(entry_record(asked("a"), 0))
    async with bench.copy():
        pass
    after, tries = PromptTable.after, count()

    def found(table: PromptTable, number: int, most: int) -> tuple[int, list[StoredPrompt]]:
        last, prompts = after(table, number, most)
        return last, damaged(prompts) if next(tries) == 0 else prompts

    monkeypatch.setattr(PromptTable, "after", found)
    async with bench.copy(ready=lambda similar: next_try(bench, similar)) as (_, similar):
        assert near(similar) == [cache_key("a")]


def test_what_came_while_prompts_were_loaded_is_followed_a_step_at_a_time() -> None:
    steps: list[Changes] = []

    class Watched(PromptIndex):
        def apply(self, changes: Changes) -> None:
            steps.append(changes)
            super().apply(changes)

    similar = SimilarPrompts(Watched(["e"]), Experience("one", lambda _: []))
    came = [Changes(gone=(bytes([number]),)) for number in range(3)]
    for each in came[:2]:
        similar.apply(each)

    catching_up = similar.catch_up()
    next(catching_up)
    assert (steps, similar.loaded) == (came[:1], False)
    # What comes meanwhile comes after it.
    similar.apply(came[2])
    assert len([*catching_up]) == 2
    assert (steps, similar.loaded) == (came, True)


def next_try(bench: Bench, similar: SimilarPrompts) -> bool:
    bench.clock.advance(5)
    return similar.loaded


async def test_what_is_forgotten_is_gone_from_memory_and_from_the_file(bench: Bench) -> None:
    bench.topic.write(entry_record(asked("a"), 0), observed("a"))
    async with bench.copy() as (copy, similar):
        assert taught(similar, "a") == 3
        bench.topic.write(forget_record(0, tenant="acme"))
        await eventually(lambda: copy.told == (3,))

        assert (near(similar), len(similar.places), similar.places.bytes) == ([], 0, 0)
        assert copy.observed(cache_key("a")) == []
        assert taught(similar, "a") == 0

    assert VECTOR not in (bench.folder / NAME).read_bytes()


async def test_a_copy_that_is_made_anew_knows_what_the_topic_holds_and_nothing_else(
    bench: Bench,
) -> None:
    bench.topic.write(*(entry_record(asked(name), 0) for name in ("a", "b")))
    async with bench.copy() as (_, similar):
        assert len(near(similar)) == 2
        bench.topic.remake()
        bench.topic.write(entry_record(asked("c"), 0))

        def anew() -> bool:
            bench.clock.advance(5)
            return near(similar) == [cache_key("c")]

        await eventually(anew)


@pytest.mark.slow
def test_a_worker_that_looks_for_nothing_similar_loads_no_numpy() -> None:
    code = (
        "import sys, tollway_workers.app.process, tollway_workers.cli.cache.command;"
        "sys.exit(bool({'numpy', 'usearch', 'onnxruntime'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
