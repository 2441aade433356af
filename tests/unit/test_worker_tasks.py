"""The tasks of a worker: each takes its first step, so that it gives back what it holds."""

import asyncio

from tollway_workers.worker.tasks import Tasks


async def test_a_task_that_was_only_just_begun_notices_that_it_is_ended() -> None:
    told: list[str] = []

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("broken off")
            raise

    tasks = Tasks()
    tasks.go(call())
    await tasks.end(1.0)

    assert told == ["broken off"]
