"""Who spends: what calls of the last minutes cost, by tenant, from the journal. Pure.

State: `_minutes`, what each minute's calls came to by route, tenant and lane.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping

from tollway_schemas.ledger import RUN_BUDGET, Pot
from tollway_workers.budgets.covers import Budget, own_part, run_name
from tollway_workers.cli.cost.lines import LineReader, Unreadable
from tollway_workers.config.shape.budget import BudgetSettings

#: Seconds that are looked back.
SPAN = 600.0
#: Combinations that are kept of a minute; of more, those that came first.
_MOST = 5_000

_Key = tuple[str | None, ...]


class Spenders:
    """What is known of the last minutes."""

    def __init__(self, budgets: Mapping[str, BudgetSettings]) -> None:
        self._budgets = {name: Budget(name, settings) for name, settings in budgets.items()}
        self._lines = LineReader(("route", "lane", "tenant", "run"))
        self._minutes: OrderedDict[int, tuple[Counter[_Key], Counter[_Key]]] = OrderedDict()

    def hear(self, value: bytes | None, at: float) -> None:
        """A record of the journal, written at `at` (seconds since 1970)."""
        try:
            line = self._lines.read(value)
        except Unreadable:
            return
        if line is None:
            return
        money, tokens = self._minutes.setdefault(int(at // 60), (Counter(), Counter()))
        if line.key in money or len(money) < _MOST:
            money[line.key] += line.figures.cost
            tokens[line.key] += line.figures.input + line.figures.output

    def of(self, pot: Pot, *, tokens: bool, now: float) -> list[tuple[str, float]]:
        """Whose calls draw the most from a pot, and their part of all that do; the largest first.

        Empty where that is not known.
        """
        self._forget(now)
        by_tenant: Counter[str] = Counter()
        for money, counted in self._minutes.values():
            for key, amount in (counted if tokens else money).items():
                if self._draws(pot, key):
                    by_tenant[key[2] or "-"] += amount
        total = by_tenant.total()
        return [(who, amount / total) for who, amount in by_tenant.most_common()] if total else []

    def _draws(self, pot: Pot, key: _Key) -> bool:
        route, lane, tenant, run = key
        if pot.budget == RUN_BUDGET:
            return run is not None and _is_of(pot, tenant, run)
        budget = self._budgets.get(pot.budget)
        if budget is None or not budget.covers(route or "", lane or "", tenant):
            return False
        if budget.settings.per == "run":
            return pot.whose == run or (run is not None and _is_of(pot, tenant, run))
        return pot.whose is None or pot.whose == own_part(tenant)

    def _forget(self, now: float) -> None:
        oldest = int((now - SPAN) // 60)
        for minute in list(self._old(oldest)):
            del self._minutes[minute]

    def _old(self, oldest: int) -> Iterator[int]:
        return (minute for minute in self._minutes if minute < oldest)


def _is_of(pot: Pot, tenant: str | None, run: str) -> bool:
    return pot.whose in (run_name(None, run), run_name(tenant, run))
