"""How a budget stands, for people and metrics: what is settled, granted, in doubt. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from tollway_schemas.ledger import RUN_BUDGET, Pot
from tollway_workers.budgets.ledger import Ledger, PotView, Standing

#: Seconds by Kafka's clock without a record of a process after which it counts as gone: it says
#: every half a minute that it is here.
GONE_AFTER = 100.0


class PotState(NamedTuple):
    """Pico-USD, or tokens. `settled + granted + doubt` may have been spent, and no more."""

    limit: int
    #: What finished calls have cost.
    settled: int
    #: What processes that are alive may spend besides, or ask for.
    granted: int
    #: What processes that are gone had claimed, and nobody has settled.
    doubt: int

    @property
    def spent(self) -> int:
        """What is gone, or must be taken for it."""
        return self.settled + self.doubt

    @property
    def left(self) -> int:
        """What nobody has yet."""
        return max(0, self.limit - self.spent - self.granted)

    @property
    def used(self) -> float:
        """The part of the limit that is gone."""
        return self.spent / self.limit if self.limit else 1.0


def in_doubt(part: Standing, heard: float, now: float) -> bool:
    """Whether what a process has not settled is not expected to be settled by it.

    `heard`: when its last record of any kind was written; `now` by the same clock.
    """
    unsettled = part.counts > part.settled and not part.entry.left
    return unsettled and (part.closed or now - heard > GONE_AFTER)


def pot_state(view: PotView, heard: Mapping[str, float], now: float, *, of_run: bool) -> PotState:
    """How a pot stands at `now`; `of_run`: its first record says its limit."""
    if view.total is not None and not view.parts:
        total = view.total
        return PotState(total.limit, total.settled, 0, total.granted - total.settled)
    settled = granted = doubt = 0
    for process, part in view.parts.items():
        settled += part.settled
        open_ = part.counts - part.settled
        if in_doubt(part, heard.get(process, part.at), now):
            doubt += open_
        else:
            granted += open_
    return PotState(_limit(view, of_run=of_run), settled, granted, doubt)


def states(ledger: Ledger, now: float) -> dict[Pot, PotState]:
    """Every pot whose window has not turned at `now` (seconds since 1970, by Kafka's clock)."""
    return {
        pot: pot_state(view, ledger.heard, now, of_run=pot.budget == RUN_BUDGET)
        for pot, view in ledger.pots.items()
        if (view.parts or view.total) and now < turns_at(view)
    }


def turns_at(view: PotView) -> float:
    """When its window turns, in seconds since 1970; inf: never, or nobody says."""
    entry = next((part.entry for part in view.parts.values()), view.total)
    if entry is None or entry.ends_at is None:
        return float("inf")
    return entry.ends_at.timestamp()


def is_tokens(view: PotView) -> bool:
    """Whether its figures are tokens, not pico-USD."""
    entry = next((part.entry for part in view.parts.values()), view.total)
    return entry is not None and entry.tokens


def _limit(view: PotView, *, of_run: bool) -> int:
    """The lowest of all who are here; where nobody is, of all who were."""
    if of_run:
        return view.first_limit() or 0
    stated = [part.entry.limit for part in view.parts.values() if part.binds]
    return min(stated or [part.entry.limit for part in view.parts.values()])
