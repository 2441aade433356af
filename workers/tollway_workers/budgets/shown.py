"""What the journal shows of a process that died: what its calls had settled until its end. Pure.

Each line says what the process had settled in all by then, so the most that any of them says is
what it had settled, whichever lines are lost and however often one is written. What its last record
in the ledger let its calls reach is the most that it can have spent: the rest of that were calls in
flight, or might have been.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import orjson

from tollway_schemas.attempt import Draw
from tollway_schemas.codec import decode
from tollway_schemas.errors import SchemaError
from tollway_schemas.ledger import LedgerEntry, Pot


class Shown(NamedTuple):
    """What one process has spent of one pot, by ledger and journal together."""

    #: By calls that are in the journal, or were settled before its last record in the ledger.
    settled: int
    #: What others may have cost: they were in flight.
    doubt: int
    #: Calls that the journal has of it, since then.
    calls: int = 0


class Journaled:
    """What the journal shows of some processes. State: what each had settled of each pot, line by
    line: one that was written twice is one.
    """

    def __init__(self, processes: Collection[str] = ()) -> None:
        self._processes = processes
        self._settled: dict[tuple[str, Pot], set[int]] = {}

    def hear(self, value: bytes | None) -> None:
        """One more line; of what is none nothing is known."""
        for draw in self._draws(value):
            self._settled.setdefault((draw.process, draw.pot), set()).add(draw.settled)

    def _draws(self, value: bytes | None) -> Iterator[Draw]:
        try:
            line = orjson.loads(value or b"null")
        except orjson.JSONDecodeError:
            return
        draws = line.get("draws") if isinstance(line, dict) else None
        for each in draws if isinstance(draws, list) else ():
            process = each.get("process") if isinstance(each, dict) else None
            if isinstance(process, str) and process in self._processes:
                try:
                    yield decode(Draw, orjson.dumps(each))
                except SchemaError:
                    continue

    def of(self, entry: LedgerEntry) -> Shown:
        """What a process has spent whose last record in the ledger is `entry`."""
        lines = self._settled.get((entry.process, entry.pot), set())
        since = [settled for settled in lines if settled > entry.settled]
        settled = max(since, default=entry.settled)
        return Shown(settled, max(0, entry.most - settled), len(since))
