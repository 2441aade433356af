"""Dead letters: jobs given up on, with all that is known of them."""

from contextlib import suppress
from typing import Annotated

import orjson
from pydantic import AwareDatetime, Field
from pydantic.types import JsonValue

from tollway_schemas.attempt import Attempt, CallCount
from tollway_schemas.bounds import MOST, MOST_OFFSET, SCHEMA_VERSION
from tollway_schemas.errors import InvalidValue
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.model import Record
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import MOST_ANSWERS, LetterName, StoredAnswer
from tollway_schemas.request import ToolCall

#: Characters that are kept of what a model said, and was refused.
LONGEST_KEPT = 65_536


class Origin(Record):
    """Where a record was read from."""

    topic: str
    """Its topic."""
    partition: Annotated[int, Field(ge=0, le=MOST)]
    """Its partition."""
    offset: Annotated[int, Field(ge=0, le=MOST_OFFSET)]
    """Its offset."""

    @property
    def place(self) -> str:
        """It as topic-partition-offset."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class BadAnswer(StoredAnswer):
    """An answer that was paid for and could not be used."""

    problems: tuple[str, ...] = ()
    """Places and rules it breaks, values masked."""
    cut: bool = False
    """Whether the model said more than stands here. The journal has it whole, where the route keeps
    one."""

    @property
    def revalidatable(self) -> bool:
        """Whether it can be held to a schema again.

        An older release said neither why an answer ended nor whether it was cut: one that broke its
        schema was whole, and what is as long as was kept at most may not be.
        """
        if self.cut:
            return False
        return self.finish is not None or (bool(self.problems) and len(self.text) < LONGEST_KEPT)

    def shortened(self, most: int) -> "BadAnswer":
        """The same of at most `most` characters of text, and as many of calls; it says so."""
        calls = self.tool_calls
        kept = calls if sum(_size(call) for call in calls) <= most else ()
        if len(self.text) <= most and kept == calls:
            return self
        return self.model_copy(update={"text": self.text[:most], "tool_calls": kept, "cut": True})

    def stored(self) -> StoredAnswer:
        """The same for a job that is redriven, without what was wrong with it."""
        kept = {name: getattr(self, name) for name in StoredAnswer.model_fields}
        return StoredAnswer(**kept)


class StoredElsewhere(Record):
    """A value that was too large for the record it belongs to."""

    bytes: Annotated[int, Field(ge=0)]
    """Its size."""
    sha256: str
    """The SHA-256 of all of it, in hex."""
    head: str
    """Its beginning as text, at most 64 KiB, bad bytes replaced."""


class DeadLetter(Record):
    """A job given up on. Its key is job id and generation (see `keys.dead_letter_key`).

    A record that could not be decoded keeps its raw bytes as the dead letter's value instead, and
    this description travels in the headers (see headers.py).
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    job_id: str
    """The job, or topic-partition-offset of a record without an id."""
    generation: Annotated[int, Field(ge=1, le=MOST)]
    """The job's generation."""
    route: str | None = None
    """The route the job asked for."""
    lane: str | None = None
    """The lane that it was on when it was given up."""
    tenant: str | None = None
    """Who the job is for."""
    run: str | None = None
    """Which batch it belongs to."""
    failure: Failure
    """Why it was given up."""
    fingerprint: str
    """Equal for dead letters of likely one cause (see `failure.fingerprint`)."""
    origin: Origin
    """Where the job was read from: its bytes are there as long as that topic keeps them."""
    dead_at: AwareDatetime
    """When it was given up."""
    worker: str
    """The worker that gave it up: its instance id."""
    configuration: str | None = None
    """What the fleet's settings were there, without its secrets: equal for equal settings."""
    attempts: tuple[Attempt, ...] = ()
    """The calls that were made; see `uncharged`."""
    uncharged: dict[FailureClass, CallCount] = Field(default_factory=dict)
    """Calls that were not charged (a 429, a refused key), by failure class: all of them, while
    `attempts` lists their first 2 and last 8."""
    bad_answers: tuple[BadAnswer, ...] = ()
    """Answers that were paid for and could not be used."""
    waited: str | None = None
    """Why its lane let nothing through while it waited there."""
    job: JsonValue = None
    """The job itself as it was read, fields of newer releases included."""
    job_elsewhere: StoredElsewhere | None = None
    """In place of `job` where that was too large."""

    @property
    def calls(self) -> int:
        """How many calls were made, those that are not listed included."""
        return max(len(self.attempts), self.attempts[-1].number) if self.attempts else 0

    @property
    def name(self) -> LetterName:
        """Its identity; one that no fleet has written is named by what of it a name may have."""
        whose = self.job_id or self.origin.place
        return LetterName.cut(self.route, self.tenant, whose, self.generation)

    def stored_answers(self) -> tuple[StoredAnswer, ...]:
        """The answers that a redriven job can be given, at most 8, the latest last.

        Those that the job carried itself are among them. What an older release did not say of one
        is taken from its attempt.
        """
        calls = {attempt.number: attempt for attempt in self.attempts}
        own = [
            _with_call(answer, calls.get(answer.attempt))
            for answer in self.bad_answers
            if answer.revalidatable
        ]
        carried = [answer for answer in _carried(self.job) if answer not in own]
        return tuple([*carried, *own][-MOST_ANSWERS:])


def _carried(job: JsonValue) -> list[StoredAnswer]:
    """The stored answers of a job as it was read; none where it says none that can be read."""
    redrive = job.get("redrive") if isinstance(job, dict) else None
    answers = redrive.get("answers") if isinstance(redrive, dict) else None
    found = []
    for each in answers if isinstance(answers, list) else ():
        with suppress(InvalidValue):
            found.append(StoredAnswer.model_validate_json(orjson.dumps(each)))
    return found


def _size(call: ToolCall) -> int:
    return len(call.id) + len(call.function.name) + len(call.function.arguments)


def _with_call(answer: BadAnswer, call: Attempt | None) -> StoredAnswer:
    stored = answer.stored()
    if stored.lane is not None or call is None:
        return stored
    said = {
        "provenance": Provenance.REASKED if call.reask else None,
        "lane": call.lane,
        "model": call.model_served or call.model,
        "usage": call.usage,
        "cost": call.cost,
        "finish_reason": call.finish_reason,
    }
    return stored.model_copy(update=said)
