"""The ledger: what processes were granted of each budget, what they ask for, and what they settled.

All figures are cumulative over one process's life, so that a process's last record says all. What a
budget's window counts is a *pot*: money in pico-USD, or tokens.
"""

from typing import Annotated, NamedTuple

import orjson
from pydantic import Field

from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.model import Moment, Record
from tollway_schemas.usage import MOST_PICO_USD, PicoUsd

#: Budget of the pots that jobs state for their run (`run_budget_usd`): no table of the
#: configuration can have that name.
RUN_BUDGET = "@run"
#: Window of a pot that never turns.
FOR_EVER = "total"

BudgetName = Annotated[str, Field(min_length=1, max_length=64)]
Whose = Annotated[str, Field(max_length=300)]
WindowName = Annotated[str, Field(min_length=1, max_length=32)]
#: `<instance id>@<random>`: a start of a worker, never used again.
ProcessName = Annotated[str, Field(min_length=1, max_length=300)]
Amount = Annotated[PicoUsd, Field(ge=0, le=MOST_PICO_USD)]


class Pot(NamedTuple):
    """One budget in one window: what processes draw from."""

    budget: str
    #: The tenant of a budget `each = "tenant"`, the run of one `per = "run"`; None: all share it.
    whose: str | None
    #: `2026-11-29` (a day), `2026-11-29T14` (an hour), `2026-W48`, `2026-11`, `total`.
    window: str


class LedgerEntry(Record):
    """What one process has of one pot: a record of `<prefix>.ledger`, under `entry_key`.

    It counts with `granted + asking` for every other process, until its next record. Its writer may
    spend what it asked for once it has read this record back and everything before it in the log
    leaves room for it; nobody else judges that.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    budget: BudgetName
    """The budget, as the configuration calls it; `@run` where jobs stated it for their run."""
    whose: Whose | None = None
    """Whose part of it, where each tenant or run has one of its own."""
    window: WindowName
    """The window that it counts in, by UTC."""
    ends_at: Moment | None = None
    """When the window turns; absent where it never does."""
    tokens: bool = False
    """Whether the figures are tokens; else they are pico-USD."""
    limit: Amount
    """What the writer's configuration allows: the lowest of all who are here holds."""
    process: ProcessName
    """The writer: one start of a worker."""
    number: Annotated[int, Field(ge=1, le=2**53 - 1)]
    """Counts the writer's records; one that is not higher than the last of its writer is void."""
    granted: Amount
    """What it may have spent of what it was granted before this record."""
    asking: Amount = 0
    """What it asks for besides; its next record says what became of it."""
    settled: Amount = 0
    """What its finished calls have cost, of `granted`. The rest of that is in flight, or spare."""
    reach: Amount | None = None
    """The most of `granted + asking` that its calls come to before its next record stands in the
    log; absent: all of it."""
    left: bool = False
    """Whether it has settled all that it ever spent, and is gone: its `limit` binds nobody."""

    @property
    def pot(self) -> Pot:
        """What it is an entry of."""
        return Pot(self.budget, self.whose, self.window)

    @property
    def counts(self) -> int:
        """What others count for it."""
        return self.granted + self.asking

    @property
    def most(self) -> int:
        """What it has spent at most, if this was its last record."""
        return self.counts if self.reach is None else max(self.settled, self.reach)


class LedgerClosing(Record):
    """An operator, or what the journal shows, ends the doubt about a process that died: a record of
    `<prefix>.ledger`, under `closing_key`. Kept: it says who did it and why.

    From it on the process counts with `settled + doubt` in that pot, and its `limit` binds nobody.
    One that lives after all, and reads this, takes another name; what it settles under this one
    then counts again.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    budget: BudgetName
    """The budget of the entry that is closed."""
    whose: Whose | None = None
    """Whose part of it."""
    window: WindowName
    """The window."""
    process: ProcessName
    """The process that died."""
    number: Annotated[int, Field(ge=1, le=2**53 - 1)]
    """The number of its record that this closes; a later record of it counts again."""
    settled: Amount
    """What it has spent, as far as is known: counted from now on."""
    doubt: Amount = 0
    """What its calls in flight may have cost besides: counted too."""
    granted: Amount
    """What had counted until now, for the record."""
    at: Moment
    """When."""
    by: Annotated[str, Field(min_length=1, max_length=256)]
    """Who did it: an operator as `user@host`."""
    why: Annotated[str, Field(min_length=1, max_length=1000)]
    """The reason, such as `the journal shows 214 calls` or a ticket."""

    @property
    def pot(self) -> Pot:
        """What it closes an entry of."""
        return Pot(self.budget, self.whose, self.window)


class LedgerSum(Record):
    """What a closed window came to: a record of `<prefix>.ledger`, under `sum_key`, written once it
    has turned and in place of its entries.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    budget: BudgetName
    """The budget."""
    whose: Whose | None = None
    """Whose part of it."""
    window: WindowName
    """The window."""
    ends_at: Moment | None = None
    """When it turned."""
    tokens: bool = False
    """Whether the figures are tokens; else they are pico-USD."""
    limit: Amount
    """What was allowed."""
    settled: Amount
    """What finished calls cost."""
    granted: Amount
    """What may have been spent at most: more than `settled` by what stayed in doubt."""
    processes: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """How many had a part in it."""

    @property
    def pot(self) -> Pot:
        """What it is the sum of."""
        return Pot(self.budget, self.whose, self.window)


class LedgerPresence(Record):
    """A process reads the ledger: a record of `<prefix>.ledger`, under `presence_key`.

    Its append time, which the writer reads back, tells it Kafka's clock. A record without a value
    under that key says that it has left.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    process: ProcessName
    """The process."""
    number: Annotated[int, Field(ge=1, le=2**53 - 1)]
    """Counts these records of it."""
    configuration: Annotated[str, Field(max_length=64)] = ""
    """Equal for equal `[budgets]`."""


#: What stands in the ledger, by the first element of its key.
LEDGER_RECORDS: dict[str, type[LedgerEntry | LedgerClosing | LedgerSum | LedgerPresence]] = {
    "entry": LedgerEntry,
    "closing": LedgerClosing,
    "sum": LedgerSum,
    "presence": LedgerPresence,
}


def entry_key(pot: Pot, process: str) -> bytes:
    """The key of what a process has of a pot: a JSON array, as all keys of the ledger."""
    return orjson.dumps(["entry", *pot, process])


def closing_key(pot: Pot, process: str) -> bytes:
    """The key of how the doubt about a process ended."""
    return orjson.dumps(["closing", *pot, process])


def sum_key(pot: Pot) -> bytes:
    """The key of what a closed window came to."""
    return orjson.dumps(["sum", *pot])


def presence_key(process: str) -> bytes:
    """The key of a process that reads the ledger."""
    return orjson.dumps(["presence", process])
