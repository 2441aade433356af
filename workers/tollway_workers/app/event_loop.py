"""The event loop that worker processes run on: uvloop, or asyncio's own on Windows."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import TypeVar

if sys.platform != "win32":
    import uvloop

_Result = TypeVar("_Result")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new one; there is no uvloop for Windows."""
    return asyncio.new_event_loop() if sys.platform == "win32" else uvloop.new_event_loop()


def run(main: Coroutine[None, None, _Result]) -> _Result:
    """`asyncio.run` on such a loop."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
