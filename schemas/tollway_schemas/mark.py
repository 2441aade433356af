"""Marks: what became of dead letters."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tollway_schemas.bounds import MOST, SCHEMA_VERSION
from tollway_schemas.keys import ending_key, mark_key
from tollway_schemas.model import Moment, Record
from tollway_schemas.redrive import LetterName, Name, Who

__all__ = ["Fate", "LetterName", "Mark"]

#: Characters of a reason, and of a fingerprint.
MOST_WHY, MOST_FINGERPRINT = 1_000, 64


class Fate(StrEnum):
    """What became of a dead letter."""

    # Said by an operator, under the key of the letter.
    REDRIVEN = "redriven"
    DISCARDED = "discarded"
    UNMARKED = "unmarked"
    # Said by the worker that ended a redriven job, under a key of its own.
    ANSWERED = "answered"
    FAILED = "failed"

    @property
    def by_a_worker(self) -> bool:
        """Whether a worker says so of a letter that was redriven before."""
        return self in (Fate.ANSWERED, Fate.FAILED)


class Mark(Record):
    """What became of one dead letter: a record of `<prefix>.dead-letters.marks`.

    An operator's mark (redriven, discarded, unmarked) stands under `keys.mark_key`: the last one
    counts. A worker's (answered, failed) stands under `keys.ending_key` of the job that ended, so
    that it takes the place of no other, and counts only beside the `redriven` mark of the same
    `next_generation` and `next_route`: a service that forges the redrive of a job marks nothing.
    `unmarked` says that the letter is open again. So does a record without a value, which forgets
    what was published: older releases wrote it.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    letter: LetterName
    """The dead letter."""
    fate: Fate
    """What became of it."""
    at: Moment
    """When."""
    by: Who
    """Who did it: an operator as `user@host`, or a worker's instance id."""
    why: Annotated[str, Field(max_length=MOST_WHY)] | None = None
    """discarded: the operator's reason; failed: why the redriven job has no answer."""
    next_generation: Annotated[int, Field(ge=1, le=MOST)] | None = None
    """redriven: the generation that was published; answered and failed: the one that ended;
    discarded and unmarked: the highest that was published before, so that no other job has it."""
    next_route: Name | None = None
    """The route of that job."""
    run: Name | None = None
    """The run that the letter belongs to."""
    fingerprint: Annotated[str, Field(max_length=MOST_FINGERPRINT)] | None = None
    """failed: that of how the job ended now; else the letter's own."""

    @property
    def key(self) -> bytes:
        """The key that it stands under."""
        return self.ending_key if self.fate.by_a_worker else mark_key(self.letter)

    @property
    def ending_key(self) -> bytes:
        """The key of how the job ended that it speaks of."""
        return ending_key(self.letter, self.next_generation, self.next_route)

    def ends(self, redriven: "Mark | None") -> bool:
        """Whether it says how the job of that `redriven` mark ended."""
        return (
            redriven is not None
            and redriven.fate is Fate.REDRIVEN
            and self.fate.by_a_worker
            and self.key == redriven.ending_key
        )
