"""The topic of a job whose time in a retry tier is over. Pure: the record's headers decide."""

from collections.abc import Mapping
from dataclasses import dataclass

from tollway_schemas import headers
from tollway_schemas.headers import Headers
from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.forwarding.tiers import tier_for
from tollway_workers.forwarding.travel import deadline_of

#: Seconds that the clocks of two workers may be apart.
_CLOCK_SKEW = 300.0
#: A job that says neither has waited long enough, and has no time to lose.
_NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTargets:
    """The topics that the relay may write to."""

    names: TopicNames
    #: First lane of each route.
    first_lanes: Mapping[str, str]
    #: All lanes that are configured, those in no route too; at least one.
    lanes: frozenset[str]
    #: Delays in seconds, ascending.
    tiers: tuple[float, ...]


def is_due(carried: Headers, now: float, tier: float) -> bool:
    """Whether a record of a tier of `tier` seconds is due; `now` is seconds since 1970.

    No worker writes a due time farther away than the tier is long. Such a record would hold up all
    behind it, so it is due at once, and the lane's worker reads its times anew.
    """
    due = headers.number(carried, headers.DUE) or 0.0
    return due <= now or due > now + tier + _CLOCK_SKEW


def onward(
    carried: Headers, targets: RelayTargets, now: float
) -> tuple[str, list[tuple[str, bytes]]]:
    """Topic and headers for a job that is due.

    A lane that is not configured any more is replaced by the first of the job's route, else by any
    lane: its worker decides what becomes of a job without a route.
    """
    not_before = headers.number(carried, headers.NOT_BEFORE) or 0.0
    deadline = deadline_of(carried)
    wait = tier_for(
        not_before, deadline=_NEVER if deadline is None else deadline, now=now, tiers=targets.tiers
    )
    if wait is not None:
        times = {headers.DUE: f"{wait.due:.3f}", headers.NOT_BEFORE: f"{wait.not_before:.3f}"}
        return targets.names.retry(wait.tier), _with(carried, times)
    asked = headers.get(carried, headers.LANE)
    lane = asked if asked in targets.lanes else _stand_in(carried, targets)
    changed = {headers.LANE: lane}
    if lane != asked:
        hops = headers.number(carried, headers.HOPS) or 0
        changed[headers.HOPS] = str(int(hops) + 1)
    return targets.names.lane(lane, _priority(carried)), _with(carried, changed)


def _stand_in(carried: Headers, targets: RelayTargets) -> str:
    route = headers.get(carried, headers.ROUTE)
    return targets.first_lanes.get(route or "") or min(targets.lanes)


def _priority(carried: Headers) -> Priority:
    try:
        return Priority(headers.get(carried, headers.PRIORITY) or "")
    except ValueError:
        return Priority.BULK


def _with(carried: Headers, changed: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """The headers with the changed ones replaced, and without the due time."""
    kept = [each for each in carried if each[0] not in changed and each[0] != headers.DUE]
    return kept + headers.encode(changed.items())
