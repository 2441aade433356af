"""Memory that large answers hold whose outcomes are not written yet."""

import asyncio

from tollway_workers.providers.large_answers import make_room


async def holds(size: int, until: asyncio.Event) -> None:
    """An answer of so many bytes that is read."""
    await make_room(size)
    await until.wait()
