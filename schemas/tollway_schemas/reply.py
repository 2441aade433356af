"""The reply: how a job ended."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from tollway_schemas.attempt import Attempt, CallCount
from tollway_schemas.bounds import MOST, SCHEMA_VERSION
from tollway_schemas.dead_letter import StoredElsewhere
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.model import Record
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import LetterName
from tollway_schemas.request import ToolCall
from tollway_schemas.usage import PicoUsd, Usage


class Answer(Record):
    """What the model said, validated."""

    text: str | None = None
    """The answer as text; absent where it is tool calls alone, or in a form that is no text. Where
    the job had an output schema: the JSON that satisfies it, and nothing around it."""
    parsed: Any = None
    """The same as JSON, where the job had an output schema."""
    repairs: tuple[str, ...] = ()
    """What was done to make it satisfy the schema, each as its kind and its place
    (`number_from_string /total`); empty where it came as it had to. At most 20 are named."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The calls the model asks for."""
    finish_reason: str | None = None
    """Why the model stopped, in the provider's word."""
    body: dict[str, Any] | None = None
    """The provider's whole answer as it came, in its own form (on lanes of OpenAI's protocol a chat
    completion): reasoning, annotations, citations, log probabilities, the text before anything was
    taken out of it. Not validated."""
    body_elsewhere: StoredElsewhere | None = None
    """In place of `body` where the reply had no room for it, or it is nested deeper than readers of
    JSON go. The journal has it, where the route keeps one."""


class Reply(Record):
    """How a job ended: an answer or a failure, never both, and what it took."""

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    job_id: str
    """The job this replies to; also the record's key."""
    generation: Annotated[int, Field(ge=1, le=MOST)]
    """The job's generation; readers keep the highest."""
    status: Literal["completed", "failed", "cancelled"]
    """How it ended."""
    route: str
    """The route the job asked for."""
    tenant: str | None = None
    """Who the job is for."""
    run: str | None = None
    """Which batch it belongs to."""
    labels: dict[str, str] = Field(default_factory=dict)
    """The job's labels."""
    token: str | None = None
    """That of the job's reply address; empty where it has none. Absent on what older fleets wrote.
    """
    answer: Answer | None = None
    """The answer, where there is one."""
    failure: Failure | None = None
    """Why there is none."""
    dead_letter: bool = False
    """Whether the job went to the dead letters, with every attempt."""
    provenance: Provenance | None = None
    """What made the answer: the weakest rung that applies."""
    age: Annotated[float, Field(ge=0)] | None = None
    """Seconds since the answer was new, where it is `cached`, `semantic` or `stale`."""
    cached_from: LetterName | None = None
    """The job that it was an answer to, where it is `cached`, `semantic` or `stale`."""
    similarity: Annotated[float, Field(ge=-1, le=1)] | None = None
    """How similar that job's prompt is to this one's, where it is `semantic`: 1 is the same."""
    scripted: bool = False
    """Whether a simulator answered, and no model."""
    revalidated: bool = False
    """Whether the answer is that of an earlier generation of the job: it satisfies what is asked
    now, and no call was made for it. What it cost stands with that generation."""
    lane: str | None = None
    """The lane that answered."""
    model: str | None = None
    """The model that answered, in the provider's word."""
    usage: Usage | None = None
    """Tokens of all attempts together."""
    cost: PicoUsd | None = None
    """Pico-USD of all attempts together; absent if that of any of them is unknown."""
    attempts: tuple[Attempt, ...] = ()
    """The calls that were made, without prompts and answers; see `uncharged`."""
    uncharged: dict[FailureClass, CallCount] = Field(default_factory=dict)
    """Calls that were not charged (a 429, a refused key), by failure class: all of them, while
    `attempts` lists their first 2 and last 8."""
    waited: str | None = None
    """Why its lane let nothing through while it waited there, or why it left that; absent where it
    did not wait for such a reason."""
    created_at: AwareDatetime
    """When the service handed the job over."""
    finished_at: AwareDatetime
    """When the fleet was done with it."""
    worker: str | None = None
    """The worker that finished it: its instance id."""

    @property
    def calls(self) -> int:
        """How many calls were made, those that are not listed included."""
        return max(len(self.attempts), self.attempts[-1].number) if self.attempts else 0
