"""What the semantic cache of a route saved, or would have, and how often it was wrong. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from tollway_schemas.semantic import Observations, Tally
from tollway_workers.cache.semantic.bounds import bounds, forecast
from tollway_workers.cache.semantic.observing import MODES, Mode

Bounds = Callable[[Sequence[tuple[int, int]]], tuple[float, float]]


class Share(NamedTuple):
    """A part of a whole, and the bounds in which it lies with a confidence of 95 %.

    Wrong answers are few: their bounds are those of the next as many.
    """

    part: int
    whole: int
    least: float
    most: float

    @property
    def value(self) -> float | None:
        """The share itself; None of nothing."""
        return self.part / self.whole if self.whole else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeReport:
    """One mode. What `shadow` says it served, it would have served."""

    #: Stored answers that were a candidate.
    answers: int
    #: Of the jobs that had a candidate, those that were given it.
    served: Share
    #: Of the given answers that were checked, those that were wrong.
    wrong: Share
    #: Tokens and pico-USD that were not spent.
    tokens: int
    cost: int

    @property
    def wrong_of_all(self) -> tuple[float, float, float] | None:
        """Wrong answers as a part of all jobs that had a candidate, which `error_bound` bounds:
        the share and its bounds. None where nothing was checked.
        """
        served, wrong = self.served.value, self.wrong.value
        if served is None or wrong is None:
            return None
        return served * wrong, served * self.wrong.least, served * self.wrong.most


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReport:
    """One route."""

    route: str
    #: The first and the last day that was counted; None: there is none.
    days: tuple[date, date] | None
    modes: dict[Mode, ModeReport]


def report(records: Iterable[Observations], route: str, since: date | None = None) -> RouteReport:
    """What these records say of a route, from a day on.

    `records`: the last one of each answer and worker.
    """
    counts: dict[Mode, dict[str, Tally]] = {mode: {} for mode in MODES}
    days: list[date] = []
    for record in records:
        for day in record.days if record.route == route else ():
            if since is not None and day.day < since:
                continue
            days.append(day.day)
            for mode in MODES:
                tally: Tally | None = getattr(day, mode)
                if tally is not None:
                    # One answer of all workers and days together.
                    known = counts[mode].get(record.key)
                    counts[mode][record.key] = tally if known is None else known + tally
    modes: dict[Mode, ModeReport] = {
        mode: _mode([*found.values()]) for mode, found in counts.items() if found
    }
    return RouteReport(route=route, days=(min(days), max(days)) if days else None, modes=modes)


def _mode(tallies: Sequence[Tally]) -> ModeReport:
    return ModeReport(
        answers=len(tallies),
        served=_share([(each.served, each.asked) for each in tallies], bounds),
        wrong=_share([(each.wrong, each.checked) for each in tallies], forecast),
        tokens=sum(each.tokens for each in tallies),
        cost=sum(each.cost for each in tallies),
    )


def _share(parts: Sequence[tuple[int, int]], bounded: Bounds) -> Share:
    least, most = bounded(parts)
    return Share(sum(part for part, _ in parts), sum(whole for _, whole in parts), least, most)
