"""Waiting for what happens in other processes, of which nobody sends an event."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")

#: Seconds that a test waits at most, on a machine that is busy with others.
PATIENCE = 45.0
#: Seconds between two looks.
_POLL = 0.02


async def eventually(
    look: Callable[[], _T | Awaitable[_T]], seconds: float = PATIENCE, *, poll: float = _POLL
) -> _T:
    """What `look` sees, once that is true; else TimeoutError after so many seconds."""
    async with asyncio.timeout(seconds):
        while True:
            seen = look()
            found: _T = await seen if inspect.isawaitable(seen) else seen
            if found:
                return found
            await asyncio.sleep(poll)


def eventually_sync(look: Callable[[], _T], seconds: float = PATIENCE) -> _T:
    """`eventually` for tests without an event loop."""
    until = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(_POLL)
    return seen
