"""Where large answers are read: off the event loop, and few at once.

An answer of 4 MiB may be a million objects of a hundred megabytes, and threads share one lock.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_AT_ONCE = 2
_THREADS = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="large-answers")


async def read_aside(read: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What `read` returns or raises; two at once in all of a process, the others wait."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, partial(read, *args, **options))
