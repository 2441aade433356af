"""What a route asks of an answer beyond its schema: a callable of the operator's own.

It is given a copy of the answer and the job, and says what is wrong. It is code of somebody else:
what it raises, how long it takes and what it returns ends the answer, never the worker.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tollway_schemas.job import Job
from tollway_schemas.reply import Answer
from tollway_workers.errors import InvalidResult
from tollway_workers.job.readable_json import read_text
from tollway_workers.providers.large_answers import read_aside
from tollway_workers.validation.engine import LONGEST_PROBLEM, MOST_PROBLEMS

#: Threads of one route for a check that is no coroutine: one that hangs keeps its thread.
_THREADS = 4
#: Characters of an answer above which its copy is made in a thread.
_LARGEST_INLINE = 64 * 1024

Check = Callable[[Any, Job], Any]
Failed = Callable[[str, Exception], None]


class CheckBroken(Exception):
    """A check did not say whether an answer is good; the text is one clause."""


@dataclass(frozen=True, slots=True)
class RouteCheck:
    """The check of one route."""

    check: Check
    #: Seconds.
    timeout: float

    @property
    def is_async(self) -> bool:
        """Whether it runs in the event loop."""
        call = getattr(self.check, "__call__", None)  # noqa: B004 an object's own method
        return inspect.iscoroutinefunction(self.check) or inspect.iscoroutinefunction(call)


class RouteChecks:
    """The checks of all routes; `failed` is told of those that did not do their work."""

    def __init__(
        self, checks: Mapping[str, RouteCheck], failed: Failed = lambda _route, _error: None
    ) -> None:
        self._checks = dict(checks)
        self._failed = failed
        # A slot is taken until its thread has ended, whoever waits for it.
        self._in_loop = {route for route, check in checks.items() if check.is_async}
        self._slots = {route: asyncio.Semaphore(_THREADS) for route in self._checks}

    async def check(self, job: Job, answer: Answer) -> None:
        """Raises InvalidResult if the check of the job's route finds anything wrong, or fails."""
        check = self._checks.get(job.route)
        if check is None:
            return
        try:
            async with asyncio.timeout(check.timeout):
                if job.route in self._in_loop:
                    value = await _copied(answer)
                    problems = _problems(await _harmless(check.check(value, job)))
                else:
                    problems = await self._in_thread(job, answer, check)
        except Exception as error:  # noqa: BLE001 whatever an operator's own code raises
            self._failed(job.route, error)
            raise InvalidResult((_failure(error, check),), answer.text or "") from None
        if problems:
            raise InvalidResult(problems, answer.text or "")

    async def _in_thread(self, job: Job, answer: Answer, check: RouteCheck) -> tuple[str, ...]:
        loop, slot = asyncio.get_running_loop(), self._slots[job.route]
        await slot.acquire()
        said: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            try:
                result, failure = _said(check.check, _value(answer), job), None
            except Exception as error:  # noqa: BLE001 handed on to whoever waits
                result, failure = None, error
            # The loop may be gone, with the process on its way out.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, said, result, failure)
                loop.call_soon_threadsafe(slot.release)

        try:
            # A daemon: what hangs holds up no exit.
            threading.Thread(target=work, name=f"check-{job.route}", daemon=True).start()
        except RuntimeError:
            # The machine has no thread left.
            slot.release()
            raise
        found = await said
        return _problems(await _harmless(found)) if inspect.isawaitable(found) else found


NO_CHECKS = RouteChecks({})


def _settle(said: asyncio.Future[Any], result: Any, failure: Exception | None) -> None:
    if said.done():
        return
    if failure is None:
        said.set_result(result)
    else:
        said.set_exception(failure)


async def _copied(answer: Answer) -> Any:
    if len(answer.text or "") > _LARGEST_INLINE:
        return await read_aside(_value, answer)
    return _value(answer)


def _value(answer: Answer) -> Any:
    """The answer anew: what is checked is what readers get, whatever the check does to it."""
    if answer.parsed is None or answer.text is None:
        return answer.text
    return read_text(answer.text)[0]


def _said(check: Check, value: Any, job: Job) -> Any:
    """The problems that a check finds, or what is to be awaited for them. Raises CheckBroken."""
    try:
        said = check(value, job)
        return said if inspect.isawaitable(said) else _problems(said)
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 such as an exit: it ends the answer alone
        raise CheckBroken(f"failed ({type(error).__name__})") from None


async def _harmless(said: Awaitable[Any]) -> Any:
    """The same, where nothing of it ends the worker: not its exit, nor a cancellation of its own.

    Raises CheckBroken.
    """
    try:
        return await said
    except Exception:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise CheckBroken(f"failed ({type(error).__name__})") from None


def _problems(said: Any) -> tuple[str, ...]:
    """What a check said, as problems. Raises CheckBroken."""
    if said is None or said is True:
        return ()
    if said is False:
        return ("/: the route's check refuses the answer",)
    if isinstance(said, str):
        said = (said,) if said else ()
    if not isinstance(said, Iterable):
        raise CheckBroken(f"returned {type(said).__name__}, not a text or several")
    found = tuple(islice(said, MOST_PROBLEMS))
    for each in found:
        if not isinstance(each, str):
            raise CheckBroken(f"named a problem that is {type(each).__name__}, not a text")
    return tuple(map(_placed, found))


def _placed(problem: str) -> str:
    line = " ".join(problem.encode("utf-8", "replace").decode().split())
    return (line if line.startswith("/") else f"/: {line}")[:LONGEST_PROBLEM]


def _failure(error: Exception, check: RouteCheck) -> str:
    if isinstance(error, TimeoutError):
        return f"/: the route's check said nothing within {check.timeout:g} s"
    if isinstance(error, CheckBroken):
        return f"/: the route's check {error}"
    return f"/: the route's check failed ({type(error).__name__})"
