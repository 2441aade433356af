"""What code of the operator's own raises, as an error that ends nothing but its own work."""

import asyncio
from collections.abc import Awaitable
from typing import Any


class CallableBroken(Exception):
    """A callable did not do its work; the text is one clause, and quotes nothing."""


def as_error(error: BaseException) -> Exception:
    """The same as an exception that can be raised in the event loop and in any coroutine.

    An exit would end the worker, a cancellation its task; StopIteration may leave no coroutine.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    return CallableBroken(f"failed ({type(error).__name__})")


async def harmless(said: Awaitable[Any]) -> Any:
    """What is awaited, where nothing of it ends the worker: not its exit, nor a cancellation of its
    own. Raises CallableBroken, and whatever else it raises.
    """
    try:
        return await said
    except GeneratorExit:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise as_error(error) from None
