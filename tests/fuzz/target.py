"""What is fuzzed, and what becomes of one target and one seed."""

import traceback
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from random import Random

from mutations import Case, mutated
from watch import Watch

#: One case. Raises only where the product does what it says it never does.
Run = Callable[[Case], Awaitable[None]]

#: Times that a pause is looked for again: it may have been the machine's.
_AGAIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A way in for bytes of strangers."""

    name: str
    #: Sound cases. What they are made of is mutated part by part.
    seeds: tuple[Case, ...]
    #: So many parts at the end say which kind of case it is, and stay.
    labels: int = 0
    #: What has to be there while cases run.
    opened: Callable[[], AbstractAsyncContextManager[Run]]

    def case(self, seed: int, number: int) -> Case:
        """A mutation; the first numbers are the seeds themselves."""
        if number < len(self.seeds):
            return self.seeds[number]
        return mutated(self.seeds, Random(f"{seed}/{self.name}/{number}"), self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What no case may cost."""

    #: Seconds that the event loop may stand still.
    pause: float = 1.0
    #: Bytes that all of it may take above what it takes when nothing is done.
    memory: int = 512 * 2**20

    def broken_by(self, watch: Watch) -> str | None:
        """What was too much."""
        if watch.pause > self.pause:
            return f"the event loop stood still for {watch.pause:.2f} s, again and again"
        if watch.memory > self.memory:
            return f"takes {watch.memory / 2**20:,.0f} MiB above idle"
        return None


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """A case that did what none may do."""

    target: str
    case: Case
    why: str


@dataclass(slots=True)
class Progress:
    """How far the fuzzing of one target is."""

    cases: int = 0
    longest_pause: float = 0.0
    memory: int = 0


async def fuzz(
    target: Target,
    cases: Iterable[Case],
    progress: Progress | None = None,
    bounds: Bounds = BOUNDS,
) -> Culprit | None:
    """The first case that is one; None where there is none among them."""
    progress = progress or Progress()
    async with target.opened() as run, Watch() as watch:
        for case in cases:
            why = await _tried(run, case, watch)
            for _ in range(_AGAIN):
                if why is None and watch.pause > bounds.pause:
                    why = await _tried(run, case, watch)
            why = why or bounds.broken_by(watch)
            progress.cases += 1
            progress.longest_pause = max(progress.longest_pause, watch.pause)
            progress.memory = watch.memory
            if why is not None:
                return Culprit(target=target.name, case=case, why=why)
    return None


async def _tried(run: Run, case: Case, watch: Watch) -> str | None:
    """What is wrong, in one line."""
    watch.begin()
    try:
        await run(case)
    except Exception as error:  # noqa: BLE001 that none is raised is what is tried
        return "".join(traceback.format_exception(error)[-6:])
    finally:
        watch.end()
    return None
