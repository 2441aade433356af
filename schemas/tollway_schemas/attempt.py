"""Attempts: one call to a provider on behalf of a job, and what is kept of it."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field
from pydantic.types import JsonValue

from tollway_schemas.bounds import MOST, SCHEMA_VERSION
from tollway_schemas.failure import FailureClass
from tollway_schemas.ledger import Amount, BudgetName, Pot, ProcessName, Whose, WindowName
from tollway_schemas.model import Record
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import LetterName
from tollway_schemas.usage import PicoUsd, Usage

#: How many calls. Bounded, because what strangers wrote is summed and shown.
CallCount = Annotated[int, Field(ge=0, le=MOST)]


class Billed(StrEnum):
    """Whether the provider charges for a call, as far as we can know."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Attempt(Record):
    """One call to a provider."""

    number: Annotated[int, Field(ge=1, le=MOST)]
    """1 for the first call of the job's generation, counting every call."""
    lane: str
    """The lane that called."""
    provider: str
    """The provider's name in the fleet's configuration."""
    model: str
    """The model that was asked for."""
    model_served: str | None = None
    """The model that answered, in the provider's word."""
    provider_request_id: str | None = None
    """The provider's own id of the call, for its support desk."""
    started_at: AwareDatetime
    """When the call was sent."""
    latency: Annotated[float, Field(ge=0)]
    """Seconds from sending to the whole answer, or to giving up."""
    first_token: Annotated[float, Field(ge=0)] | None = None
    """Seconds from sending to the first token, where the answer came as a stream."""
    status: Annotated[int, Field(ge=0, le=MOST)] | None = None
    """HTTP status, if one came."""
    failure_class: FailureClass | None = None
    """How the call failed; absent where its answer was good."""
    message: str | None = None
    """What went wrong, redacted."""
    finish_reason: str | None = None
    """Why the model stopped, in the provider's word."""
    charged: bool = True
    """Whether it counts in the job's attempt budget (a 429, for one, does not)."""
    reask: bool = False
    """Whether this call fed the errors of the answer before back to the model."""
    usage: Usage | None = None
    """Tokens, where the provider said or we could estimate."""
    cost: PicoUsd | None = None
    """Pico-USD, by the lane's prices; absent means unknown, never zero."""
    billed: Billed = Billed.UNKNOWN
    """Whether the provider charges for it."""

    @property
    def spent(self) -> int | None:
        """Pico-USD that it came to: nothing where it was surely not billed, None where unknown."""
        return 0 if self.billed is Billed.NO else self.cost


class Draw(Record):
    """What a call has drawn from one budget, as the ledger's process counted it."""

    process: ProcessName
    """The process, as the ledger names it."""
    budget: BudgetName
    """The budget; `@run` where jobs stated it for their run."""
    whose: Whose | None = None
    """Whose part of it."""
    window: WindowName
    """The window that the call counts in."""
    amount: Amount
    """What the call was settled to: pico-USD, or tokens."""
    settled: Amount
    """What the process had settled there in all by then, this call included: what a process that
    died had settled is the most that its calls say here."""

    @property
    def pot(self) -> Pot:
        """What was drawn from."""
        return Pot(self.budget, self.whose, self.window)


class JournalRecord(Record):
    """One attempt with its prompt and its answer, or an answer that no call was made for: a record
    of `<prefix>.journal`.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    job_id: str
    """The job, which is also the record's key."""
    generation: Annotated[int, Field(ge=1, le=MOST)]
    """The job's generation."""
    route: str
    """The route the job asked for."""
    tenant: str | None = None
    """Who the job is for."""
    run: str | None = None
    """Which batch it belongs to."""
    worker: str
    """The worker that called, or answered: its instance id."""
    attempt: Attempt | None = None
    """How the call went; absent where none was made for the answer."""
    draws: tuple[Draw, ...] = ()
    """What it has drawn from each budget that it falls under."""
    provenance: Provenance | None = None
    """What answered in place of a call, such as the route's rule; absent beside an attempt."""
    revalidated: bool = False
    """Whether it is a stored answer of an earlier generation of the job, `provenance` included,
    that satisfies what is asked now."""
    answered_at: AwareDatetime | None = None
    """When it did."""
    age: Annotated[float, Field(ge=0)] | None = None
    """Seconds since the answer was new, where it is `cached` or `stale`."""
    cached_from: LetterName | None = None
    """The job that it was an answer to, where it is `cached` or `stale`."""
    waited: str | None = None
    """Why its lane let nothing through while the job waited there."""
    request: JsonValue = None
    """The body that was sent; absent where the route journals metadata only."""
    response: JsonValue = None
    """The body that came back: parsed where it is JSON, else as text, bad bytes replaced. Where no
    call was made: the answer."""
