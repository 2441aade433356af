"""Windows that have turned become one sum each, in place of what every process had of them. Pure.

Whoever reads the ledger may do it, several at once too: all write the same sum, and who has read
a sum writes no other. A sum comes before what it replaces goes.
"""

from tollway_schemas.codec import encode
from tollway_schemas.ledger import LedgerSum, Pot, entry_key, sum_key
from tollway_workers.budgets.ledger import Ledger, PotView

#: Seconds after its turn in which calls of a window may still settle: no call takes longer.
SETTLED_AFTER = 3_600.0
#: Records that are written at once, at most.
_MOST = 500


def fold(ledger: Ledger, now: float) -> list[tuple[bytes, bytes | None]]:
    """Records by key and value, None for one that goes; `now`: by Kafka's clock, since 1970."""
    found: list[tuple[bytes, bytes | None]] = []
    for pot, view in ledger.pots.items():
        if not _has_settled(view, now):
            continue
        if view.total is None:
            found.append((sum_key(pot), encode(_sum(pot, view))))
        found += [(entry_key(pot, process), None) for process in view.parts]
        if len(found) >= _MOST:
            break
    return found


def _has_settled(view: PotView, now: float) -> bool:
    first = next(iter(view.parts.values()), None)
    ends_at = None if first is None else first.entry.ends_at
    return ends_at is not None and ends_at.timestamp() + SETTLED_AFTER < now


def _sum(pot: Pot, view: PotView) -> LedgerSum:
    parts = list(view.parts.values())
    return LedgerSum(
        budget=pot.budget,
        whose=pot.whose,
        window=pot.window,
        ends_at=parts[0].entry.ends_at,
        tokens=parts[0].entry.tokens,
        limit=min(part.entry.limit for part in parts),
        settled=sum(part.settled for part in parts),
        granted=view.counted,
        processes=len(parts),
    )
