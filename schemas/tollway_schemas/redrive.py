"""What a redriven job carries: which dead letter it was, and the answers that were paid for."""

from typing import Annotated, Self

from pydantic import Field

from tollway_schemas.bounds import MOST
from tollway_schemas.model import Moment, Record
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import ToolCall
from tollway_schemas.usage import PicoUsd, Usage

#: Stored answers that one job may carry.
MOST_ANSWERS = 8
#: Calls of tools in one stored answer.
MOST_TOOL_CALLS = 128

#: Characters of the parts of a dead letter's name.
MOST_NAME, MOST_TENANT, MOST_JOB_ID = 128, 256, 512
#: Characters of who did something, and of a failure class.
MOST_WHO, MOST_CLASS = 256, 64

Name = Annotated[str, Field(max_length=MOST_NAME)]
#: Who did something: an operator as `user@host`, or a worker's instance id.
Who = Annotated[str, Field(max_length=MOST_WHO)]


class LetterName(Record):
    """The identity of a dead letter. An id alone is nobody's."""

    route: Name
    """The route the job asked for; empty where nobody knows."""
    tenant: Annotated[str, Field(max_length=MOST_TENANT)] | None = None
    """Who the job was for, as the dead letter says; absent of a record that holds no job."""
    job_id: Annotated[str, Field(min_length=1, max_length=MOST_JOB_ID)]
    """The job's id; of a record that holds no job its origin, topic-partition-offset."""
    generation: Annotated[int, Field(ge=1, le=MOST)] = 1
    """The job's generation; 1 of a record that holds no job."""

    @classmethod
    def cut(cls, route: str | None, tenant: str | None, job_id: str, generation: int) -> Self:
        """The name of what strangers claim to be, as much of it as a name may have."""
        return cls(
            route=(route or "")[:MOST_NAME],
            tenant=None if tenant is None else tenant[:MOST_TENANT],
            job_id=job_id[:MOST_JOB_ID],
            generation=max(generation, 1),
        )


class StoredAnswer(Record):
    """An answer of an earlier call: all that is needed to hold it to a schema again."""

    attempt: Annotated[int, Field(ge=1, le=MOST)]
    """The number of the attempt that brought it, in the generation that called."""
    text: str = ""
    """What the model said."""
    tool_calls: Annotated[tuple[ToolCall, ...], Field(max_length=MOST_TOOL_CALLS)] = ()
    """The calls it asked for."""
    finish: Annotated[str, Field(max_length=32)] | None = None
    """Why it stopped, in the fleet's own word (`stop`, `length`, `tool`...)."""
    finish_reason: Annotated[str, Field(max_length=128)] | None = None
    """The same in the provider's word."""
    provenance: Provenance | None = None
    """The rung that it stands on, if nothing has to be repaired; by its lane if absent."""
    lane: Name | None = None
    """The lane that answered."""
    model: Annotated[str, Field(max_length=256)] | None = None
    """The model that answered, in the provider's word."""
    scripted: bool = False
    """Whether a simulator answered, and no model."""
    usage: Usage | None = None
    """Tokens of the call, paid for in the generation that called."""
    cost: PicoUsd | None = None
    """What it cost then, in pico-USD; absent if unknown."""


class Redrive(Record):
    """Which dead letter a job was, and what its worker is to try before it calls.

    Written by the SDK. A service that forges it harms its own job alone: a stored answer is given
    to that job and to nobody else.
    """

    of: LetterName
    """The dead letter that was published again."""
    answers: Annotated[tuple[StoredAnswer, ...], Field(max_length=MOST_ANSWERS)] = ()
    """Answers to hold to the job's schema when it is read, the latest last: the latest of those
    that satisfy it is the reply, and no call is made."""
    only_revalidate: bool = False
    """Whether the job is given up again, as what it was, where none of them satisfies it."""
    failure_class: Annotated[str, Field(max_length=MOST_CLASS)] | None = None
    """Why it was given up, by its class: what it is given up as again."""
    by: Who | None = None
    """Who redrove it."""
    at: Moment | None = None
    """When."""
