"""The event loop that worker processes run on: uvloop, or asyncio's own on Windows."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import TypeVar

_Result = TypeVar("_Result")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new one; there is no uvloop for Windows."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def run(main: Coroutine[None, None, _Result]) -> _Result:
    """`asyncio.run` on such a loop."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
