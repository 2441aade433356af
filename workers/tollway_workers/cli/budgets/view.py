"""The ledger as an operator sees it: how each budget stands, how fast it is spent. Pure.

State: the ledger as read, and of each pot what was settled when, for the last minutes.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from tollway_schemas.ledger import LedgerClosing, LedgerEntry, LedgerSum, Pot
from tollway_workers.budgets.ledger import Ledger, Standing
from tollway_workers.budgets.standings import (
    GONE_AFTER,
    PotState,
    in_doubt,
    is_tokens,
    states,
    turns_at,
)
from tollway_workers.cli.budgets.spenders import SPAN, Spenders
from tollway_workers.config.shape.budget import BudgetSettings

#: Where the configuration does not say.
_ALERT_AT = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """How one budget stands in its window."""

    pot: Pot
    tokens: bool
    state: PotState
    #: Pico-USD or tokens a second, of the last minutes; None: too little is known.
    rate: float | None
    #: Seconds until nothing is left at that rate; inf: never; None: unknown.
    ends_in: float | None
    #: Seconds until its window turns; inf: never.
    turns_in: float
    alert_at: float
    spenders: list[tuple[str, float]]

    @property
    def condition(self) -> str:
        """`spent`, `alert` or `open`."""
        if self.state.left == 0 and self.state.granted == 0:
            return "spent"
        return "alert" if self.state.used >= self.alert_at else "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLine:
    """What one process has of one pot."""

    pot: Pot
    tokens: bool
    process: str
    standing: Standing
    #: Seconds since its last record.
    silent: float
    doubt: int

    @property
    def condition(self) -> str:
        """`spending`, `in doubt`, `left`, `closed` or `gone`, where all is settled."""
        if self.standing.closed:
            return "closed"
        if self.standing.entry.left:
            return "left"
        if self.doubt:
            return "in doubt"
        return "gone" if self.silent > GONE_AFTER else "spending"


class LedgerView:
    """All of it."""

    def __init__(self, budgets: Mapping[str, BudgetSettings], spenders: Spenders) -> None:
        self.ledger = Ledger()
        self.spenders = spenders
        self._budgets = budgets
        self._history: dict[Pot, deque[tuple[float, int]]] = {}

    def apply(self, key: bytes | None, value: bytes | None, at: float) -> None:
        """A record of the ledger, written at `at`. Raises SchemaError where it is none."""
        record = self.ledger.apply(key, value, at)
        if isinstance(record, LedgerEntry | LedgerClosing | LedgerSum):
            self._note(record.pot, at)

    def budgets(self, now: float) -> list[BudgetLine]:
        """Every budget of which something was asked for in a window that goes on, by name."""
        lines = [self._line(pot, state, now) for pot, state in states(self.ledger, now).items()]
        return sorted(lines, key=lambda line: (line.pot.budget, -line.state.used, line.pot))

    def unused(self, now: float) -> list[str]:
        """Budgets of the configuration of which nothing was asked for yet."""
        known = {pot.budget for pot in states(self.ledger, now)}
        return sorted(self._budgets.keys() - known)

    def parts(self, now: float, *, turned: bool) -> Iterator[PartLine]:
        """What each process has; `turned`: of windows that are over too."""
        for pot, view in sorted(self.ledger.pots.items(), key=lambda each: _order(each[0])):
            if not turned and now >= turns_at(view):
                continue
            for process, part in view.parts.items():
                heard = self.ledger.heard.get(process, part.at)
                doubt = part.counts - part.settled if in_doubt(part, heard, now) else 0
                yield PartLine(
                    pot=pot,
                    tokens=is_tokens(view),
                    process=process,
                    standing=part,
                    silent=max(0.0, now - heard),
                    doubt=doubt,
                )

    def _line(self, pot: Pot, state: PotState, now: float) -> BudgetLine:
        view = self.ledger.pots[pot]
        rate, known = self._rate(pot, now), self._budgets.get(pot.budget)
        return BudgetLine(
            pot=pot,
            tokens=is_tokens(view),
            state=state,
            rate=rate,
            ends_in=_ends_in(state, rate),
            turns_in=turns_at(view) - now,
            alert_at=_ALERT_AT if known is None else known.alert_at,
            spenders=self.spenders.of(pot, tokens=is_tokens(view), now=now),
        )

    def _note(self, pot: Pot, at: float) -> None:
        settled = sum(part.settled for part in self.ledger.pots[pot].parts.values())
        history = self._history.setdefault(pot, deque())
        history.append((at, settled))
        # One from before is kept: from it on the last minutes are counted.
        while len(history) > 2 and history[1][0] < at - SPAN:
            history.popleft()

    def _rate(self, pot: Pot, now: float) -> float | None:
        history = self._history.get(pot)
        if not history:
            return None
        before = [each for each in history if each[0] <= now - SPAN]
        first = before[-1] if before else history[0]
        if now - first[0] < 1.0:
            return None
        began = max(first[0], now - SPAN)
        return max(0, history[-1][1] - first[1]) / (now - began)


def _ends_in(state: PotState, rate: float | None) -> float | None:
    rest = max(0, state.limit - state.spent)
    if not rest:
        return 0.0
    if rate is None:
        return None
    return rest / rate if rate else inf


def _order(pot: Pot) -> tuple[str, str, str]:
    return pot.budget, pot.whose or "", pot.window
