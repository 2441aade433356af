"""The job: one LLM request to be answered once."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from tollway_schemas.bounds import MOST, SCHEMA_VERSION
from tollway_schemas.model import Record
from tollway_schemas.patterns import JOB_ID, ROUTE_NAME, TOPIC_NAME
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import Redrive
from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_schemas.usage import Usd

#: The latest that a deadline may be. Topics keep jobs for twice as long, at the least.
LONGEST_DEADLINE = timedelta(days=3, hours=12)

JobId = Annotated[str, Field(min_length=1, max_length=256, pattern=JOB_ID)]
RouteName = Annotated[str, Field(pattern=ROUTE_NAME)]
TopicName = Annotated[str, Field(pattern=TOPIC_NAME)]


class Priority(StrEnum):
    """Who goes first."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class ReplyAddress(Record):
    """Where the reply to a job goes."""

    topic: TopicName
    """A topic the fleet is allowed to reply to."""
    partition: Annotated[int, Field(ge=0, le=MOST)] | None = None
    """The partition its reader owns, so that it reads its own replies only; by job id if absent."""
    token: Annotated[str, Field(max_length=128, pattern=r"^[\x21-\x7e]*$")] | None = None
    """Comes back on the reply, so that a reader knows what it asked for: ids can be guessed."""


class Visit(Record):
    """One lane that a job has been on."""

    lane: str
    """The lane's name."""
    at: AwareDatetime
    """When the job came to it."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Calls charged to the job's attempt budget there."""
    reason: Annotated[str, Field(max_length=500)] | None = None
    """Why it left."""


class Job(Record):
    """One LLM request to be answered once.

    Its identity is route, tenant, `id` and `generation`: an id alone is nobody's.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    id: JobId
    """Printable ASCII without spaces; also the record's key. Another route may use it as well."""
    generation: Annotated[int, Field(ge=1, le=MOST)] = 1
    """1 at first; asking again for a job that was given up starts the next, with a fresh attempt
    budget."""
    route: RouteName
    """The route that is to answer it."""
    request: ChatRequest
    """What is asked."""
    output: OutputSchema | None = None
    """What the answer must look like; any non-empty text if absent."""
    tenant: Annotated[str, Field(max_length=128)] | None = None
    """Who the job is for."""
    run: Annotated[str, Field(max_length=128)] | None = None
    """Which batch it belongs to."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Words of the service's own; they come back on the reply."""
    priority: Priority = Priority.BULK
    """Interactive jobs go before bulk ones."""
    created_at: AwareDatetime
    """When the service handed it over."""
    deadline: AwareDatetime
    """No call starts after this instant."""
    accept: (
        Annotated[tuple[Provenance, ...], Field(min_length=1, max_length=len(Provenance))] | None
    ) = None
    """The provenances that it takes for an answer, of those that its route accepts; all if absent.
    """
    no_cache: bool | None = None
    """Whether it is called even where the answer is known; what comes is remembered."""
    no_store: bool | None = None
    """Whether its answer is given to this job alone, and remembered nowhere for another."""
    max_age: Annotated[float, Field(ge=0, le=MOST)] | None = None
    """Seconds that an answer which is given again may be old; as its route says if absent."""
    max_cost_usd: Usd | None = None
    """Most US dollars that its calls may cost together, of this generation; no call is made that
    might pass it."""
    run_budget_usd: Usd | None = None
    """Most US dollars that all jobs of its `run` may cost together; the first job that states it
    decides. Without a `run` it says nothing."""
    reply_to: ReplyAddress | None = None
    """Where the reply goes; the fleet's reply topic if absent."""
    redrive: Redrive | None = None
    """The dead letter that it was, with the answers that were paid for; see redrive.py."""
    visits: tuple[Visit, ...] = ()
    """The lanes it has been on, first to last; written by the fleet alone."""
    hops: Annotated[int, Field(ge=0)] = 0
    """How often it was forwarded between lanes; written by the fleet alone."""
