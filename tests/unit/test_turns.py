"""Answers that come together are worked on a few at a time."""

import asyncio

from tollway_workers.pipeline.turns import Turns


async def test_what_an_answer_begins_goes_before_the_answers_behind_it() -> None:
    turns, seen = Turns(at_once=2), list[str]()

    async def begun(n: int) -> None:
        seen.append(f"call {n}")

    async with asyncio.TaskGroup() as tasks:

        async def answer(n: int) -> None:
            await turns.take()
            seen.append(f"answer {n}")
            tasks.create_task(begun(n))

        for n in range(6):
            tasks.create_task(answer(n))

    places = {what: seen.index(what) for what in seen}
    assert [each for each in seen if each.startswith("answer")] == [f"answer {n}" for n in range(6)]
    assert all(places[f"call {n}"] < places[f"answer {n + 4}"] for n in range(2))


async def test_a_few_answers_wait_for_nothing() -> None:
    turns = Turns(at_once=2)
    for _ in range(3):
        for _ in range(2):
            with_no_wait = turns.take()
            try:
                with_no_wait.send(None)
            except StopIteration:
                continue
            raise AssertionError("waited")
        # The next pass of the event loop.
        await asyncio.sleep(0)


async def test_one_that_is_cancelled_while_it_waits_takes_no_turn() -> None:
    turns = Turns(at_once=1)
    tasks = [asyncio.create_task(turns.take()) for _ in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()

    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)

    assert [type(each) for each in done] == [type(None), asyncio.CancelledError, *[type(None)] * 2]
