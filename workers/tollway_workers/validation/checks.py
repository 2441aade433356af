"""What a route asks of an answer beyond its schema: a callable of the operator's own.

It is given a copy of the answer and the job, and says what is wrong. It is code of somebody else:
what it raises, how long it takes and what it returns ends the answer, never the worker.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tollway_schemas.job import Job
from tollway_schemas.reply import Answer
from tollway_workers.callables.harmless import CallableBroken, harmless
from tollway_workers.callables.loading import is_coroutine
from tollway_workers.callables.threads import AllThreadsHang, OwnThreads
from tollway_workers.errors import InvalidResult
from tollway_workers.job.readable_json import read_text
from tollway_workers.providers.large_answers import read_aside
from tollway_workers.validation.engine import LONGEST_PROBLEM, MOST_PROBLEMS

#: Threads of one route for a check that is no coroutine.
THREADS = 4
#: Characters of an answer above which its copy is made in a thread.
_LARGEST_INLINE = 64 * 1024

Check = Callable[[Any, Job], Any]
Failed = Callable[[str, Exception], None]


@dataclass(frozen=True, slots=True)
class RouteCheck:
    """The check of one route."""

    check: Check
    #: Seconds.
    timeout: float


class RouteChecks:
    """The checks of all routes; `failed` is told of those that did not do their work."""

    def __init__(
        self, checks: Mapping[str, RouteCheck], failed: Failed = lambda _route, _error: None
    ) -> None:
        self._checks = dict(checks)
        self._failed = failed
        self._in_loop = {route for route, check in checks.items() if is_coroutine(check.check)}
        self._threads = {route: OwnThreads(f"check-{route}", THREADS) for route in self._checks}

    async def check(self, job: Job, answer: Answer) -> None:
        """Raises InvalidResult if the check of the job's route finds anything wrong, or fails."""
        check = self._checks.get(job.route)
        if check is None:
            return
        try:
            # It may wait for memory, which is no time of the check's.
            value = await _copied(answer)
            async with asyncio.timeout(check.timeout):
                if job.route in self._in_loop:
                    problems = _problems(await harmless(check.check(value, job)))
                else:
                    problems = await self._in_thread(job, value, check)
        except Exception as error:  # noqa: BLE001 whatever an operator's own code raises
            self._failed(job.route, error)
            raise InvalidResult((_failure(error, check),), answer.text or "") from None
        if problems:
            raise InvalidResult(problems, answer.text or "")

    async def _in_thread(self, job: Job, value: Any, check: RouteCheck) -> tuple[str, ...]:
        found = await self._threads[job.route].run(lambda: _said(check.check, value, job))
        return _problems(await harmless(found)) if inspect.isawaitable(found) else found


NO_CHECKS = RouteChecks({})


async def _copied(answer: Answer) -> Any:
    size = len(answer.text or "")
    if size > _LARGEST_INLINE:
        return await read_aside(size, _value, answer)
    return _value(answer)


def _value(answer: Answer) -> Any:
    """The answer anew: what is checked is what readers get, whatever the check does to it."""
    if answer.parsed is None or answer.text is None:
        return answer.text
    return read_text(answer.text)[0]


def _said(check: Check, value: Any, job: Job) -> Any:
    """The problems that a check finds, or what is to be awaited for them. Raises CallableBroken."""
    said = check(value, job)
    return said if inspect.isawaitable(said) else _problems(said)


def _problems(said: Any) -> tuple[str, ...]:
    """What a check said, as problems. Raises CallableBroken."""
    if said is None or said is True:
        return ()
    if said is False:
        return ("/: the route's check refuses the answer",)
    if isinstance(said, str):
        said = (said,) if said else ()
    if not isinstance(said, Iterable):
        raise CallableBroken(f"returned {type(said).__name__}, not a text or several")
    found = tuple(islice(said, MOST_PROBLEMS))
    for each in found:
        if not isinstance(each, str):
            raise CallableBroken(f"named a problem that is {type(each).__name__}, not a text")
    return tuple(map(_placed, found))


def _placed(problem: str) -> str:
    line = " ".join(problem.encode("utf-8", "replace").decode().split())
    return (line if line.startswith("/") else f"/: {line}")[:LONGEST_PROBLEM]


def _failure(error: Exception, check: RouteCheck) -> str:
    if isinstance(error, TimeoutError):
        return f"/: the route's check said nothing within {check.timeout:g} s"
    if isinstance(error, AllThreadsHang):
        return "/: the route's check hangs in all of its threads"
    if isinstance(error, CallableBroken):
        return f"/: the route's check {error}"
    return f"/: the route's check failed ({type(error).__name__})"
