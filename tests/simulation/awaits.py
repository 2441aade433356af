"""Every await of a worker, by number: tasks that count where they stop, and can be met there."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tollway_workers

PRODUCT = Path(tollway_workers.__file__).parent
_PRODUCT = f"{PRODUCT}{os.sep}"

#: A line of the product: its file, and the number.
Line = tuple[str, int]


class State(NamedTuple):
    """What is known outside of the worker."""

    answered: int
    #: Records handed over and not written yet.
    owed: int
    #: Goes up with each record, commit and call.
    version: int


@dataclass(frozen=True, slots=True)
class Point:
    """A task of the worker that stopped at an await."""

    number: int
    #: The lines that wait, from the task's own to the innermost.
    lines: tuple[Line, ...]
    #: The port that is asked, and whether that was before or after it did what it was asked.
    port: str
    state: State

    def __str__(self) -> str:
        chain = " > ".join(f"{Path(name).name}:{number}" for name, number in self.lines)
        return f"await {self.number} ({chain}{' > ' + self.port if self.port else ''})"


#: Told at which port a task stopped. What it returns is raised there when the task goes on.
Meet = Callable[[str], BaseException | None]


class Watched(Coroutine[Any, Any, Any]):
    """A coroutine of the product that tells of each stop."""

    def __init__(self, inner: Coroutine[Any, Any, Any], awaits: "Awaits") -> None:
        self._inner = inner
        self._awaits = awaits
        self._error: BaseException | None = None

    def send(self, value: Any) -> Any:
        if self._error is not None:
            error, self._error = self._error, None
            return self.throw(error)
        yielded = self._inner.send(value)
        self._error = self._awaits.stopped(self)
        return yielded

    def throw(self, error: Any, value: Any = None, trace: Any = None) -> Any:
        # A cancellation comes before anything that was to be raised.
        self._error = None
        yielded = self._inner.throw(error)
        self._error = self._awaits.stopped(self)
        return yielded

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Any:
        return self._inner.__await__()

    @property
    def lines(self) -> tuple[Line, ...]:
        """The product's lines that wait, outermost first."""
        frames = [frame for frame in _frames(self._inner) if _is_product(frame)]
        return tuple(
            (str(Path(f.f_code.co_filename).relative_to(PRODUCT)), f.f_lineno) for f in frames
        )

    @property
    def port(self) -> str:
        """What the innermost of our ports is at; empty where none is asked."""
        names = [f.f_locals["at"] for f in _frames(self._inner) if f.f_code.co_name == "stepped"]
        return str(names[-1]) if names else ""


class Awaits:
    """All stops between `begin` and `end`, numbered from 0 on.

    Without `at`, all are kept in `points`; with it, `meet` is told of that one as it comes.
    """

    def __init__(self, state: Callable[[], State], at: int | None, meet: Meet) -> None:
        self.points: list[Point] = []
        self._state = state
        self._at = at
        self._meet = meet
        self._count = 0
        self._counts = False

    def begin(self) -> None:
        """Count from here on."""
        self._counts = True

    def end(self) -> None:
        """Count no more."""
        self._counts = False

    def stopped(self, task: Watched) -> BaseException | None:
        """A task stopped. Returns what is to be raised there."""
        if not self._counts:
            return None
        number, self._count = self._count, self._count + 1
        if self._at is None:
            self.points.append(self._point(number, task))
        elif number == self._at:
            self.points.append(self._point(number, task))
            return self._meet(task.port)
        return None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have each coroutine of the product that becomes a task watched."""

        def task(loop: Any, work: Any, **how: Any) -> asyncio.Task[Any]:
            if _is_product(getattr(work, "cr_frame", None)):
                work = Watched(work, self)
            return asyncio.Task(work, loop=loop, **how)

        loop.set_task_factory(task)

    def _point(self, number: int, task: Watched) -> Point:
        return Point(number, task.lines, task.port, self._state())


def _frames(coroutine: Any) -> list[Any]:
    frames = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            frames.append(frame)
        coroutine = getattr(coroutine, "cr_await", None)
    return frames


def _is_product(frame: Any) -> bool:
    if frame is None:
        return False
    file: str = frame.f_code.co_filename
    return file.startswith(_PRODUCT)
