"""What a run waits for, from its fleet's heartbeats, and when it gives up waiting. Pure.

Times are in seconds of whatever clock the caller has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tollway_workers.cli.fleet.view import LaneView
from tollway_workers.lanes.lane_wait import waiting

#: States that do not pass by themselves.
_FOR_LONG = ("parked", "paused")
#: Seconds that a lane may be without a worker: shards that move have no owner for a moment.
_SETTLES = 3.0
#: Seconds that an interruption of a wait may last: a restarted worker reports no wait yet.
_GRACE = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What jobs of a run wait for."""

    #: Such as `lane main`.
    of: str
    reason: str
    #: The reason with what is to come.
    sentence: str
    since: float | None = None
    next_try: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A run's waits at one moment, and whether all that is left of it waits so."""

    waits: tuple[Wait, ...] = ()
    stuck: bool = False

    @property
    def text(self) -> str:
        """All of them on one line; of what is said where there are several."""
        if len(self.waits) == 1:
            return self.waits[0].sentence
        return "  ".join(f"{each.of} {each.sentence}" for each in self.waits)

    @property
    def reasons(self) -> tuple[tuple[str, str], ...]:
        """What is shown again once it changes."""
        return tuple((each.of, each.reason) for each in self.waits)


#: Nothing is waited for, as far as is known.
NO_WAITS = Look()


class Lookout:
    """State: since when lanes have had no worker, or no job although some are left for them."""

    def __init__(self, lanes: Mapping[str, Sequence[str]] | None) -> None:
        """`lanes`: those of each route, first choice first; None: only its workers know."""
        self._lanes = lanes
        self._alone: dict[str, float] = {}
        self._resting: dict[str, float] = {}

    def look(self, lanes: Sequence[LaneView], left: Mapping[str, int], now: float) -> Look:
        """`left`: jobs without an ending, by route."""
        known = {each.lane: each for each in lanes}
        names = self._names(lanes, [route for route, jobs in left.items() if jobs > 0])
        served = {name: known.get(name.removeprefix("lane ")) for name in names}
        alone = [name for name, lane in served.items() if lane is None or not lane.owners]
        self._alone = {name: self._alone.get(name, now) for name in alone}
        resting = [name for name, lane in served.items() if lane is not None and _rests(lane)]
        self._resting = {name: self._resting.get(name, now) for name in resting}
        waits, stuck = [], bool(served)
        for name, lane in served.items():
            if name in self._alone:
                began = self._alone[name]
                is_wait = now - began >= _SETTLES
                found = _nobody(name, began) if is_wait else None
            elif name in self._resting:
                began = self._resting[name]
                is_wait = now - began >= _SETTLES
                found = _failed(name, began) if is_wait else None
            else:
                is_wait = lane is not None and lane.wait is not None and lane.stuck
                found = None if lane is None else _wait_of(name, lane, now)
            stuck = stuck and is_wait
            waits += [found] if found is not None else []
        return Look(tuple(waits), stuck)

    def _names(self, lanes: Sequence[LaneView], routes: Sequence[str]) -> list[str]:
        """The first lanes of these routes and the others that have jobs, and routes that nobody
        says the lane of.
        """
        known = self._lanes
        if known is None:
            known = {route: (each.lane,) for each in lanes for route in each.routes}
        busy = {each.lane for each in lanes if each.outstanding}
        named = (lane for each in routes for lane in known.get(each, ())[:1])
        others = (lane for each in routes for lane in known.get(each, ())[1:] if lane in busy)
        unknown = (f"route {each}" for each in routes if each not in known)
        return sorted({*(f"lane {lane}" for lane in (*named, *others)), *unknown})


class Patience:
    """Says when a run has waited long enough.

    State: how many lines had ended, since when nothing has and all that is left waits, and since
    when it does not.
    """

    def __init__(self, limit: float) -> None:
        """`limit`: seconds; 0: for ever."""
        self._limit = limit
        self._ended = 0
        self._since: float | None = None
        self._free: float | None = None

    def is_over(self, look: Look, ended: int, now: float) -> bool:
        """`ended`: lines that have their ending."""
        if ended != self._ended:
            self._ended, self._since = ended, None
        if look.stuck:
            self._free = None
            self._since = now if self._since is None else self._since
        else:
            self._free = now if self._free is None else self._free
            if now - self._free >= _GRACE:
                self._since = None
        if self._since is None or not look.stuck or not self._limit:
            return False
        return now - self._since >= self._limit


def _rests(lane: LaneView) -> bool:
    """Whether it has nothing to do: what is left for it waits in retry topics."""
    return bool(lane.owners) and lane.wait is None and not lane.outstanding and not lane.in_flight


def _failed(name: str, began: float) -> Wait:
    reason = "what is left failed, and is called again after a while"
    return Wait(of=name, reason=reason, sentence=waiting(reason, None), since=began)


def _nobody(name: str, began: float) -> Wait:
    reason = f"no worker serves {name}"
    sentence = waiting(f"{reason}: start one with `tollway worker`", None)
    return Wait(of=name, reason=reason, sentence=sentence, since=began)


def _wait_of(name: str, lane: LaneView, now: float) -> Wait | None:
    """Why it waits, where that is not the usual pause after a 429, nor one worker's among many."""
    wait, parked = lane.wait, lane.state in _FOR_LONG
    stands = lane.stuck or not lane.in_flight
    if wait is None or not (parked or (stands and not wait.is_brief(now))):
        return None
    return Wait(
        of=name,
        reason=wait.reason,
        sentence=wait.sentence(now),
        since=wait.since,
        next_try=wait.next_try,
    )
