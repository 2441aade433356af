"""Where large answers are read: off the event loop, few at once, and within bounded memory.

An answer of 4 MiB may be a million objects of a hundred megabytes, and threads share one lock. What
an answer takes is reserved before it is read on or parsed, and is free once the task that asked for
it has ended: by then its outcome is written.
"""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from tollway_workers.providers.memory_pool import MemoryPool

P = ParamSpec("P")
R = TypeVar("R")

#: Bytes of an answer that are read; no chat answer is nearly as large.
LARGEST_ANSWER = 4 * 2**20
#: Bytes above which an answer waits for memory, and is parsed in a thread: the event loop is the
#: heartbeat.
LARGEST_INLINE = 64 * 1024
#: Bytes of memory for one of an answer that is read: its pieces, and the text that they become,
#: with four for a character.
_READ = 4
#: The same for one that is parsed: of `{"":{}}` again and again each byte is 38.
_PARSED = 40
#: Bytes of memory that the largest answer takes at most, read and parsed. Held to a schema and then
#: checked it is parsed twice more: of all answers the oldest alone takes that beyond `MOST_MEMORY`.
_MOST_OF_ONE = LARGEST_ANSWER * (2 * _READ + _PARSED)
#: Bytes of memory that all large answers of a process take together.
MOST_MEMORY = 288 * 2**20
_AT_ONCE = 2

Task = asyncio.Task[Any]


class _LargeAnswers:
    """State: `pool`, and `_granted`, by the task that waits for it."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(_AT_ONCE)
        self.pool: MemoryPool[Task] = MemoryPool(MOST_MEMORY, _MOST_OF_ONE)
        self._granted: dict[Task, asyncio.Future[None]] = {}

    async def reserve(self, more: int) -> None:
        """Return once the task that calls this has so much more."""
        task = _this_task()
        if not self.pool.held(task):
            task.add_done_callback(self._release)
        self.pool.ask(task, more)
        self._granted[task] = granted = asyncio.get_running_loop().create_future()
        self.grant()
        try:
            await granted
        finally:
            # Cancelled, as a call is by its timeout, it waits no more.
            self._granted.pop(task, None)
            self.pool.withdraw(task)
            self.grant()

    def grant(self) -> None:
        """Wake those who have what they asked for."""
        for task in self.pool.grant():
            granted = self._granted.pop(task)
            if not granted.done():
                granted.set_result(None)

    def _release(self, task: Task) -> None:
        self.pool.release(task)
        self.grant()


#: A process has one event loop; tests have many.
_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _LargeAnswers] = WeakKeyDictionary()


async def make_room(size: int) -> None:
    """Wait until there is memory for the answer that this task reads, so many bytes so far."""
    answers = _answers()
    more = size * _READ - answers.pool.held(_this_task())
    if more > 0:
        await answers.reserve(more)


async def read_aside(size: int, read: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What `read` returns or raises, which parses so many bytes of this task's answer.

    Once there is memory for it, where that is a large one; two at once in all of a process, the
    others wait.
    """
    answers = _answers()
    if size > LARGEST_INLINE:
        await answers.reserve(size * _PARSED)
    async with answers.turns:
        return await asyncio.to_thread(read, *args, **options)


def keep(size: int) -> None:
    """Of this task's answer so many bytes of memory are needed still; the rest is free."""
    answers = _answers()
    answers.pool.keep(_this_task(), size)
    answers.grant()


def _answers() -> _LargeAnswers:
    loop = asyncio.get_running_loop()
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = _LargeAnswers()
    return found


def _this_task() -> Task:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 a coroutine runs in a task
    return task
