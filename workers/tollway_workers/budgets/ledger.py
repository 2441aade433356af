"""The ledger as one process reads it, and the rule by which its own order grants money. Pure.

A reader never judges another's claim: of each other process its last record counts, with what it
was granted and what it asks for. Mine is granted if it and all that stands before it in the log fit
the limit. So of any two processes at least the later one counts what the other asked for, and the
sum of what was granted never passes the limit, whoever joins late, withdraws or dies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from tollway_schemas.codec import decode
from tollway_schemas.errors import SchemaError
from tollway_schemas.ledger import (
    LEDGER_RECORDS,
    LedgerClosing,
    LedgerEntry,
    LedgerPresence,
    LedgerSum,
    Pot,
    closing_key,
    entry_key,
    presence_key,
    sum_key,
)

LedgerRecord = LedgerEntry | LedgerClosing | LedgerSum | LedgerPresence

#: Seconds by Kafka's clock without a record of a process (one is written every 15 s) after which
#: what it has not settled is not expected back. It goes on counting; only what is *said* of the pot
#: changes.
SILENT_AFTER = 45.0


@dataclass(slots=True)
class Standing:
    """What one process has of a pot by its last record, and how the doubt about it ended."""

    entry: LedgerEntry
    #: Kafka's time of it, in seconds since 1970.
    at: float
    closing: LedgerClosing | None = None

    @property
    def closed(self) -> bool:
        """Whether the doubt about it was ended, and it has said nothing since."""
        return self.closing is not None and self.closing.number >= self.entry.number

    @property
    def counts(self) -> int:
        """What every other process counts for it."""
        if self.closing and self.closed:
            return self.closing.settled + self.closing.doubt
        return self.entry.counts

    @property
    def settled(self) -> int:
        """What it has surely spent."""
        return self.closing.settled if self.closing and self.closed else self.entry.settled

    @property
    def binds(self) -> bool:
        """Whether the limit that it knows of holds for others."""
        return not self.entry.left and not self.closed


@dataclass(slots=True)
class PotView:
    """One pot by all that was read of it. State: `counted` is the sum of what its parts count."""

    parts: dict[str, Standing] = field(default_factory=dict)
    counted: int = 0
    #: Of a window that has turned, in place of the parts that were folded into it.
    total: LedgerSum | None = None

    def others(self, process: str) -> int:
        """What all but one process count."""
        own = self.parts.get(process)
        return self.counted - (own.counts if own else 0)

    def limit(self, process: str, own: int) -> int:
        """The lowest limit of all that are here; `own`: what the process itself knows of."""
        stated = (
            part.entry.limit for name, part in self.parts.items() if name != process and part.binds
        )
        return min(own, *stated, own)

    def first_limit(self) -> int | None:
        """What the first process that is still to be read stated; None where none did."""
        first = next(iter(self.parts.values()), None)
        return None if first is None else first.entry.limit

    def spent(self, process: str, heard: Mapping[str, float], now: float) -> int:
        """What others have surely spent, and what is not expected back from silent ones.

        `heard`: when each process wrote last; `now`: both in seconds since 1970 by Kafka's clock.
        """
        return sum(
            part.counts if now - heard.get(name, 0.0) > SILENT_AFTER else part.settled
            for name, part in self.parts.items()
            if name != process
        )

    def put(self, process: str, standing: Standing | None) -> None:
        """Set or remove what a process has."""
        before = self.parts.get(process)
        if before is not None:
            self.counted -= before.counts
        if standing is None:
            self.parts.pop(process, None)
            return
        self.parts[process] = standing
        self.counted += standing.counts


class Ledger:
    """All that was read, in the log's order. State: the pots, the closings and who is present.

    What was read once is not forgotten where the topic is made anew: it still counts.
    """

    def __init__(self) -> None:
        self.pots: dict[Pot, PotView] = {}
        self.present: dict[str, LedgerPresence] = {}
        #: When each process wrote last, by Kafka's clock.
        self.heard: dict[str, float] = {}
        self._closings: dict[tuple[Pot, str], LedgerClosing] = {}

    def pot(self, pot: Pot) -> PotView:
        """What was read of a pot."""
        return self.pots.setdefault(pot, PotView())

    def apply(self, key: bytes | None, value: bytes | None, at: float) -> LedgerRecord | None:
        """Take one more record into account, appended at `at`; the record, None for a tombstone
        and for one that says nothing new. Raises SchemaError where it is none of the ledger's.
        """
        if not value:
            self._forget(key)
            return None
        record = read_record(key, value)
        if isinstance(record, LedgerEntry | LedgerPresence):
            self.heard[record.process] = at
        match record:
            case LedgerEntry():
                return record if self._enter(record, at) else None
            case LedgerClosing():
                self._close(record)
            case LedgerSum():
                self.pot(record.pot).total = record
            case LedgerPresence():
                self.present[record.process] = record
        return record

    def _enter(self, entry: LedgerEntry, at: float) -> bool:
        view = self.pot(entry.pot)
        before = view.parts.get(entry.process)
        if before is not None and entry.number <= before.entry.number:
            # Written by a client that was given up: its process has said more since.
            return False
        closing = self._closings.get((entry.pot, entry.process))
        view.put(entry.process, Standing(entry, at, closing))
        return True

    def _close(self, closing: LedgerClosing) -> None:
        self._closings[closing.pot, closing.process] = closing
        view = self.pot(closing.pot)
        before = view.parts.get(closing.process)
        if before is not None:
            view.put(closing.process, Standing(before.entry, before.at, closing))

    def _forget(self, key: bytes | None) -> None:
        kind, *rest = _parts_of(key)
        if kind == "presence":
            self.present.pop(str(rest[0]), None)
            self.heard.pop(str(rest[0]), None)
            return
        pot = Pot(str(rest[0]), rest[1], str(rest[2]))
        view = self.pots.get(pot)
        if view is None:
            return
        if kind == "entry":
            view.put(str(rest[3]), None)
            self._closings.pop((pot, str(rest[3])), None)
        elif kind == "sum":
            view.total = None
        if not view.parts and view.total is None:
            del self.pots[pot]


def read_record(key: bytes | None, value: bytes) -> LedgerRecord:
    """A record of the ledger. Raises SchemaError where it is none, or its key is another's."""
    kind = _parts_of(key)[0]
    record = decode(LEDGER_RECORDS[str(kind)], value)
    if key != key_of(record):
        raise SchemaError("its key is that of another record")
    return record


def key_of(record: LedgerRecord) -> bytes:
    """The key that a record stands under."""
    match record:
        case LedgerEntry():
            return entry_key(record.pot, record.process)
        case LedgerClosing():
            return closing_key(record.pot, record.process)
        case LedgerSum():
            return sum_key(record.pot)
        case LedgerPresence():
            return presence_key(record.process)


_LENGTHS = {"entry": 5, "closing": 5, "sum": 4, "presence": 2}


def _parts_of(key: bytes | None) -> list[str | None]:
    """The elements of a key. Raises SchemaError where it is none of ours."""
    try:
        said = orjson.loads(key or b"")
    except orjson.JSONDecodeError:
        said = None
    parts: list[str | None] = said if isinstance(said, list) else []
    texts = all(isinstance(each, str | None) for each in parts)
    if not parts or not texts or len(parts) != _LENGTHS.get(parts[0] or ""):
        raise SchemaError("its key is none of the ledger's")
    return parts


def is_granted(view: PotView, entry: LedgerEntry, own_limit: int) -> bool:
    """The rule: whether what `entry` asks for is its writer's.

    `view` holds exactly what stands before the entry in the log, and the entry itself.
    """
    process = entry.process
    return view.others(process) + entry.counts <= view.limit(process, own_limit)
