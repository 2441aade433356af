"""What is done to whom and when: drawn from a seed before anything starts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Act(StrEnum):
    """What can befall a worker."""

    #: SIGKILL, and a supervisor starts it again a second later.
    KILL = "SIGKILL"
    #: SIGTERM, and it is started again when it has left.
    RESTART = "SIGTERM"
    #: SIGSTOP for longer than its session, then SIGCONT.
    FREEZE = "SIGSTOP"
    #: A worker more.
    JOIN = "join"
    #: SIGTERM for good.
    LEAVE = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One act."""

    #: Seconds from the beginning.
    at: float
    act: Act
    worker: str
    #: How long a freeze lasts.
    seconds: float = 0.0


#: Seconds until a worker that something befell is as good as any other.
_RECOVERY = {Act.KILL: 4.0, Act.RESTART: 8.0, Act.FREEZE: 4.0, Act.JOIN: 4.0, Act.LEAVE: 8.0}


@dataclass
class _Draw:
    """A schedule in the making. Mutable state: who is there, and who is busy until when."""

    random: Random
    names: list[str]
    most: int
    least: int
    busy: dict[str, float] = field(default_factory=dict)
    joined: int = 0

    def step(self, at: float, acts: Sequence[Act], freeze: tuple[float, float]) -> Step | None:
        """An act that makes sense now; None where everybody is busy."""
        free = [name for name in self.names if self.busy.get(name, 0.0) <= at]
        possible = [act for act in acts if self._is_possible(act, len(free))]
        if not possible:
            return None
        act = self.random.choice(possible)
        seconds = self.random.uniform(*freeze) if act is Act.FREEZE else 0.0
        worker = self._new_name() if act is Act.JOIN else self.random.choice(free)
        self.busy[worker] = at + seconds + _RECOVERY[act]
        if act is Act.LEAVE:
            self.names.remove(worker)
        return Step(at=at, act=act, worker=worker, seconds=seconds)

    def _is_possible(self, act: Act, free: int) -> bool:
        if act is Act.JOIN:
            return len(self.names) < self.most
        if act is Act.LEAVE and len(self.names) <= self.least:
            return False
        # One at least goes on undisturbed: all gone at once is a test of its own.
        return free > 1

    def _new_name(self) -> str:
        self.joined += 1
        self.names.append(f"joined-{self.joined}")
        return self.names[-1]


def churn(seed: int, workers: Sequence[str], seconds: float, session: float) -> list[Step]:
    """Every 2-5 s a random kill, restart, freeze beyond the session, join or leave."""
    acts = (Act.KILL, Act.RESTART, Act.FREEZE, Act.JOIN, Act.LEAVE)
    return _steps(seed, workers, seconds, acts, (session + 1, session + 4))


def planned(seed: int, workers: Sequence[str], seconds: float) -> list[Step]:
    """Every 2-5 s a join, leave or restart."""
    return _steps(seed, workers, seconds, (Act.RESTART, Act.JOIN, Act.LEAVE), (0, 0))


def _steps(
    seed: int,
    workers: Sequence[str],
    seconds: float,
    acts: Sequence[Act],
    freeze: tuple[float, float],
) -> list[Step]:
    draw = _Draw(Random(seed), list(workers), len(workers) + 2, max(2, len(workers) - 1))
    steps, at = [], draw.random.uniform(2, 5)
    while at < seconds:
        if (step := draw.step(at, acts, freeze)) is not None:
            steps.append(step)
        at += draw.random.uniform(2, 5)
    return steps
