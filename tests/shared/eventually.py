"""Waiting for what happens in other processes, of which nobody sends an event."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

_T = TypeVar("_T")

#: Seconds that a test waits at most, on a machine that is busy with others.
PATIENCE = 60.0
#: Seconds between two looks.
_POLL = 0.05


@overload
async def eventually(
    look: Callable[[], Awaitable[_T]], seconds: float = ..., *, poll: float = ...
) -> _T: ...
@overload
async def eventually(look: Callable[[], _T], seconds: float = ..., *, poll: float = ...) -> _T: ...
async def eventually(
    look: Callable[[], Any], seconds: float = PATIENCE, *, poll: float = _POLL
) -> Any:
    """What `look` sees, or what its awaitable gives, once that is true.

    Raises TimeoutError after so many seconds.
    """
    async with asyncio.timeout(seconds):
        while True:
            seen = look()
            if inspect.isawaitable(seen):
                seen = await seen
            if seen:
                return seen
            await asyncio.sleep(poll)


def eventually_sync(look: Callable[[], _T], seconds: float = PATIENCE) -> _T:
    """`eventually` for tests without an event loop."""
    until = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(_POLL)
    return seen
