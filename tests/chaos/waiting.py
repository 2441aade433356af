"""Waiting for what happens in other processes."""

import asyncio
from collections.abc import Awaitable, Callable

#: Seconds between two looks.
POLL = 0.1


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Return when `check` says yes; `asyncio.timeout` round it bounds the wait."""
    while True:
        if await check():
            return
        await asyncio.sleep(POLL)
