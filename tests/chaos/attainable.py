"""What a fleet can use of a limit while a written schedule befalls it. Pure.

A limit is divided into as many slices as its group has shards, and a slice brings its rate all the
time, to whoever owns its shard. So what can be used of it is its rate, less what the protocol makes
each act cost. The unit is the shard-second: what one slice brings in a second.

- **A crash** (SIGKILL, started again after a while): nobody uses the shards of that worker until
  its next process has joined, or until its session is over and another has them; then one lease is
  waited for, in which the dead could still call, and they begin with nothing. What they held when
  it died is lost too: a call is whole, and waits until there is enough for all of it.
- **A freeze** shorter than the session: the shards stay, and when the worker wakes what came
  meanwhile is there, up to what a slice holds. What it held when it was frozen takes its place.
- **A planned move** (SIGTERM, a join): the level travels with the shard and is not refilled on the
  way, which takes one heartbeat: the others hear of the rebalance that gives it to them with their
  next one. A worker that goes moves all of its shards, one that comes those that balance wants, and
  not before its process is ready.

Not in it: a rebalance waits for all members, so one that waits for a dead one and then for a frozen
one takes longer than a lease, and all stop. A schedule that is judged by this does not do that.

Whoever has how many shards follows from the acts alone. Those without an owner go to who has least,
then shards move from who has most to who has least while that makes them more equal. Where several
have as many, their names decide.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from schedule import Act, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What the protocol, the supervisor and the machine make shards wait for, in seconds."""

    session: float
    lease: float
    #: Between two heartbeats of a member.
    heartbeat: float
    #: From a SIGKILL until a supervisor starts the worker again.
    restart: float
    #: From the start of a process until it is ready, as measured.
    start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One slice of a limit, in seconds of its rate."""

    #: What it holds at most.
    full: float
    #: What its worker has on average while the next call waits until there is enough for it.
    waiting: float
    #: Since when the limit binds (seconds of the schedule): what is idle is full.
    binds_since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """So many shards of one worker are not used for a time."""

    shards: int
    begin: float
    end: float
    kind: Literal["crash", "freeze", "move"]

    def outside(self, begin: float, end: float) -> float:
        """Shard-seconds of it within a window."""
        return self.shards * max(0.0, min(self.end, end) - max(self.begin, begin))

    def given_back(self, slice_: Slice) -> float:
        """Shard-seconds that are there at its end; negative where it took some along."""
        if self.kind == "crash":
            return 0.0 if self.begin < slice_.binds_since else -slice_.waiting
        if self.begin < slice_.binds_since:
            # It was full before it was needed, and nobody has used that since.
            return self.shards * slice_.full
        if self.kind == "move":
            return 0.0
        room = self.shards * slice_.full - slice_.waiting
        return min(self.shards * (self.end - self.begin), room)


def attainable(
    gaps: Iterable[Gap], slice_: Slice, *, shards: int, begin: float, end: float
) -> float:
    """Shard-seconds that can be used from `begin` to `end`, a while after the limit began to bind.

    By then what had been saved up before is used up, but for that of shards in a gap.
    """
    gaps = tuple(gaps)
    lost = sum(gap.outside(begin, end) for gap in gaps)
    back = sum(gap.given_back(slice_) for gap in gaps if begin < gap.end <= end)
    return shards * (end - begin) - lost + back


def gaps(
    steps: Sequence[Step], workers: Iterable[str], shards: int, protocol: Protocol
) -> list[Gap]:
    """When shards are not used; `workers` are there at the beginning.

    Raises ValueError where an act befalls a worker that is not there, or comes that is.
    """
    fleet = _Fleet(shards)
    for worker in workers:
        fleet.come(worker)
    return [gap for step in steps for gap in _gaps_of(step, fleet, protocol)]


def _gaps_of(step: Step, fleet: "_Fleet", protocol: Protocol) -> list[Gap]:
    at, worker = step.at, step.worker
    match step.act:
        case Act.KILL:
            away = min(protocol.restart + protocol.start, protocol.session)
            end = at + away + protocol.lease
            return [Gap(shards=fleet.of(worker), begin=at, end=end, kind="crash")]
        case Act.FREEZE:
            if step.seconds >= protocol.session:
                raise ValueError(f"{worker} is frozen for longer than its session")
            end = at + step.seconds
            return [Gap(shards=fleet.of(worker), begin=at, end=end, kind="freeze")]
        case Act.LEAVE:
            return [_move(fleet.go(worker), at, protocol)]
        case Act.JOIN:
            return [_move(fleet.come(worker), at + protocol.start, protocol)]
        case Act.RESTART:
            gone, back = fleet.go(worker), fleet.come(worker)
            return [_move(gone, at, protocol), _move(back, at + protocol.start, protocol)]


def _move(shards: int, at: float, protocol: Protocol) -> Gap:
    return Gap(shards=shards, begin=at, end=at + protocol.heartbeat, kind="move")


class _Fleet:
    """How many shards each worker has. Mutable state: `_counts`, changed by `come` and `go`."""

    def __init__(self, shards: int) -> None:
        self._counts: dict[str, int] = {}
        self._shards = shards

    def of(self, worker: str) -> int:
        """How many a worker has."""
        if worker not in self._counts:
            raise ValueError(f"{worker} is not there")
        return self._counts[worker]

    def go(self, worker: str) -> int:
        """It leaves; returns how many shards move."""
        free = self.of(worker)
        del self._counts[worker]
        self._give(free)
        return free

    def come(self, worker: str) -> int:
        """It joins; returns how many shards move."""
        if worker in self._counts:
            raise ValueError(f"{worker} is there already")
        self._counts[worker] = 0
        self._give(self._shards - sum(self._counts.values()))
        moved = 0
        while True:
            by_load = sorted(self._counts, key=lambda name: (self._counts[name], name))
            light, heavy = by_load[0], by_load[-1]
            if self._counts[heavy] - self._counts[light] < 2:
                return moved
            self._counts[heavy] -= 1
            self._counts[light] += 1
            moved += 1

    def _give(self, free: int) -> None:
        for _ in range(free if self._counts else 0):
            self._counts[min(self._counts, key=lambda name: (self._counts[name], name))] += 1
