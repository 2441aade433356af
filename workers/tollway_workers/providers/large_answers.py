"""Where large answers are read: off the event loop, and few at once.

An answer of 4 MiB may be a million objects of a hundred megabytes, and threads share one lock.
"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
R = TypeVar("R")

_AT_ONCE = 2
#: A process has one event loop; tests have many.
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def read_aside(read: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What `read` returns or raises; two at once in all of a process, the others wait."""
    turns = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
    async with turns:
        return await asyncio.to_thread(read, *args, **options)
