"""Windows that have turned become one sum each, in place of what every process had of them, and
what is of no more use goes: runs long over, old sums, processes long gone. Pure.

Whoever reads the ledger may do it, several at once too: all write the same sum, and who has read
a sum writes no other. A sum comes before what it replaces goes.
"""

from collections.abc import Callable, Iterator
from math import inf

from tollway_schemas.codec import encode
from tollway_schemas.ledger import LedgerSum, Pot, entry_key, presence_key, sum_key
from tollway_schemas.usage import MOST_PICO_USD
from tollway_workers.budgets.ledger import Ledger, PotView

#: Seconds after its turn in which calls of a window may still settle: no call takes longer.
SETTLED_AFTER = 3_600.0
#: Seconds after which nobody goes on with a run that nothing was drawn from, nor asks for the sum
#: of a window: the journal has it.
FORGOTTEN_AFTER = 7 * 86_400.0
#: Seconds without a record of a process after which it is listed no more.
_ABSENT_AFTER = 86_400.0
#: Records that are written at once, at most.
_MOST = 500

Records = Iterator[tuple[bytes, bytes | None]]


def fold(
    ledger: Ledger, now: float, is_run: Callable[[Pot], bool] = lambda _: False
) -> list[tuple[bytes, bytes | None]]:
    """Records by key and value, None for one that goes; `now`: by Kafka's clock, since 1970.

    `is_run`: whether a pot that never turns is of one run.
    """
    found: list[tuple[bytes, bytes | None]] = []
    for pot, view in ledger.pots.items():
        found += _of_pot(pot, view, now, is_run)
        if len(found) >= _MOST:
            return found
    absent = [name for name in ledger.present if now - ledger.heard.get(name, now) > _ABSENT_AFTER]
    found += [(presence_key(name), None) for name in absent[:_MOST]]
    return found


def _of_pot(pot: Pot, view: PotView, now: float, is_run: Callable[[Pot], bool]) -> Records:
    entries = ((entry_key(pot, process), None) for process in view.parts)
    if _has_settled(view, now):
        if view.total is None:
            yield sum_key(pot), encode(_sum(pot, view))
        yield from entries
    elif view.parts:
        last = max(part.at for part in view.parts.values())
        if now - last > FORGOTTEN_AFTER and is_run(pot):
            yield from entries
    elif view.total is not None and _ended(view.total) + FORGOTTEN_AFTER < now:
        yield sum_key(pot), None


def _ended(total: LedgerSum) -> float:
    return inf if total.ends_at is None else total.ends_at.timestamp()


def _has_settled(view: PotView, now: float) -> bool:
    """Whether it turned long ago, as all say who have a part in it."""
    ends = [part.entry.ends_at for part in view.parts.values()]
    return bool(ends) and all(
        each is not None and each.timestamp() + SETTLED_AFTER < now for each in ends
    )


def _sum(pot: Pot, view: PotView) -> LedgerSum:
    parts = list(view.parts.values())
    return LedgerSum(
        budget=pot.budget,
        whose=pot.whose,
        window=pot.window,
        ends_at=parts[0].entry.ends_at,
        tokens=parts[0].entry.tokens,
        limit=min(part.entry.limit for part in parts),
        settled=min(sum(part.settled for part in parts), MOST_PICO_USD),
        granted=min(view.counted, MOST_PICO_USD),
        processes=len(parts),
    )
