"""Vectors of prompts: each text is asked for once, and nobody waits for longer than is said."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import structlog
from eventually import eventually
from hashed_embedder import HashedEmbedder
from manual_clock import ManualClock

from tollway_workers.cache.semantic.index import packed
from tollway_workers.job.ports import Vector
from tollway_workers.pipeline.text_vectors import NamedEmbedder, TextVectors


class Desk:
    """Vectors of one embedder, and who waits for them."""

    def __init__(self, embedder: HashedEmbedder | None = None) -> None:
        self.embedder = embedder or HashedEmbedder()
        self.clock = ManualClock()
        self.tasks: list[asyncio.Task[None]] = []
        named = NamedEmbedder(name="e", embedder=self.embedder, timeout=2.0)
        self.vectors = TextVectors(
            named, packed, self.clock, go=lambda run: self.tasks.append(asyncio.create_task(run))
        )
        self.came: list[tuple[str, bytes | None]] = []

    def ask(self, *texts: str) -> None:
        for text in texts:
            self.vectors.ask(text, partial(self._note, text))

    def _note(self, text: str, vector: bytes | None) -> None:
        self.came.append((text, vector))

    async def until(self, count: int) -> None:
        await eventually(lambda: len(self.came) >= count)

    @property
    def asked(self) -> list[str]:
        return [text for call in self.embedder.calls for text in call]


async def test_a_text_that_several_wait_for_is_asked_for_once() -> None:
    desk = Desk()

    desk.ask("a", "b", "a")
    assert desk.came == []
    await desk.until(3)

    assert sorted(desk.asked) == ["a", "b"]
    assert dict(desk.came) == {text: packed(desk.embedder.vector(text)) for text in "ab"}


async def test_a_vector_that_no_record_has_room_for_is_none_and_that_is_said() -> None:
    desk = Desk(HashedEmbedder(dimensions=16_385))

    with structlog.testing.capture_logs() as logs:
        desk.ask("a")
        await desk.until(1)

    assert desk.came == [("a", None)]
    assert [each["why"] for each in logs] == [
        "the embedder makes vectors of 16385 numbers, and 16384 is the most that is kept"
    ]


async def test_nobody_waits_for_longer_than_the_embedders_timeout() -> None:
    desk = Desk()
    desk.embedder.hold.clear()

    desk.ask("a")
    desk.clock.advance(1.0)
    desk.ask("a")
    desk.clock.advance(1.0)
    assert desk.came == [("a", None)]
    desk.embedder.hold.set()
    await desk.until(2)

    assert desk.came[1] == ("a", packed(desk.embedder.vector("a")))
    assert len(desk.asked) == 1


async def test_a_text_that_nobody_waits_for_any_more_is_not_asked_for() -> None:
    desk = Desk()
    desk.embedder.hold.clear()

    desk.ask(*(f"first {n}" for n in range(64)))
    desk.ask("too many")
    await eventually(lambda: len(desk.asked) == 64)
    desk.clock.advance(2.0)
    desk.embedder.hold.set()
    desk.ask("later")
    await eventually(lambda: ("later", packed(desk.embedder.vector("later"))) in desk.came)

    assert "too many" not in desk.asked
    assert repr(desk.vectors) == "<TextVectors e [0 texts wait | 0 under way]>"


async def test_what_the_embedder_cannot_is_said_once_and_again_after_it_could() -> None:
    desk = Desk()
    desk.embedder.failure = "its breaker is open"
    with structlog.testing.capture_logs() as said:
        desk.ask("a", "b")
        await desk.until(2)
        desk.embedder.failure = None
        desk.ask("a")
        await desk.until(3)
        desk.embedder.failure = "its breaker is open"
        desk.ask("c")
        await desk.until(4)

    assert [vector is None for _, vector in desk.came] == [True, True, False, True]
    assert [(each["embedder"], each["why"]) for each in said] == [("e", "its breaker is open")] * 2


@pytest.mark.parametrize("found", [[], [1, 2], None, ["no vector"]], ids=str)
async def test_what_is_no_vector_is_none(found: Any) -> None:
    class Odd(HashedEmbedder):
        async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
            answer: Sequence[Vector] = found
            return answer

    desk = Desk(Odd())
    with structlog.testing.capture_logs() as said:
        desk.ask("the prompt")
        await desk.until(1)

    assert desk.came == [("the prompt", None)]
    assert "the prompt" not in str(said)


async def test_a_bug_of_one_that_waits_does_not_hold_up_the_others() -> None:
    desk = Desk()

    def broken(_: bytes | None) -> None:
        raise RuntimeError("a bug")

    desk.vectors.ask("a", broken)
    desk.ask("a", "b")
    await desk.until(2)

    assert {text for text, _ in desk.came} == {"a", "b"}


async def test_who_awaits_a_vector_has_it_and_may_be_cancelled() -> None:
    desk = Desk()
    assert await desk.vectors.of("a") == packed(desk.embedder.vector("a"))
    desk.embedder.hold.clear()

    waiting = asyncio.create_task(desk.vectors.of("b"))
    await eventually(lambda: "b" in desk.asked)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    desk.embedder.hold.set()
    await asyncio.gather(*desk.tasks)

    assert repr(desk.vectors) == "<TextVectors e [0 texts wait | 0 under way]>"
