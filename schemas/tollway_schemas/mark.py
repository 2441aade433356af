"""Marks: what became of dead letters."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tollway_schemas.bounds import MOST, SCHEMA_VERSION
from tollway_schemas.model import Moment, Record
from tollway_schemas.redrive import LetterName, Name, Who

__all__ = ["Fate", "LetterName", "Mark"]


class Fate(StrEnum):
    """What became of a dead letter."""

    # Said by an operator, under the key of the letter.
    REDRIVEN = "redriven"
    DISCARDED = "discarded"
    # Said by the worker that ended a redriven job, under a key of its own.
    ANSWERED = "answered"
    FAILED = "failed"

    @property
    def by_a_worker(self) -> bool:
        """Whether a worker says so of a letter that was redriven before."""
        return self in (Fate.ANSWERED, Fate.FAILED)


class Mark(Record):
    """What became of one dead letter: a record of `<prefix>.dead-letters.marks`.

    An operator's mark (redriven, discarded) stands under `keys.mark_key`, a worker's (answered,
    failed) under `keys.ending_key`, so that it never takes the place of the operator's. A worker's
    counts only beside a `redriven` mark of the same `next_generation` and `next_route`: a service
    that forges the redrive of a job marks nothing. A record without a value takes a mark back.
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
    why: Annotated[str, Field(max_length=1000)] | None = None
    """discarded: the operator's reason; failed: why the redriven job has no answer."""
    next_generation: Annotated[int, Field(ge=1, le=MOST)] | None = None
    """redriven: the generation that was published; answered and failed: the one that ended."""
    next_route: Name | None = None
    """The route of that job."""
    run: Name | None = None
    """The run that the letter belongs to."""
    fingerprint: Annotated[str, Field(max_length=64)] | None = None
    """redriven, discarded: the letter's fingerprint; failed: that of how the job ended now."""

    def ends(self, redriven: "Mark | None") -> bool:
        """Whether it says how the job of that `redriven` mark ended."""
        return (
            redriven is not None
            and redriven.fate is Fate.REDRIVEN
            and self.fate.by_a_worker
            and self.letter == redriven.letter
            and self.next_generation == redriven.next_generation
            and self.next_route == redriven.next_route
        )
