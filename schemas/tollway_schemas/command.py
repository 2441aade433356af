"""Commands: what operators say to the whole fleet."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from tollway_schemas.job import SCHEMA_VERSION, JobId
from tollway_schemas.model import Moment, Record

#: Jobs that one command may name.
MOST_JOBS = 200

Name = Annotated[str, Field(min_length=1, max_length=128)]


class Action(StrEnum):
    """What is to be done."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class Command(Record):
    """One command: a record of `<prefix>.commands`, in force from when it is read until it expires.

    Its key is a name of its own. A record without a value under that key takes it back: so does
    `tollway resume`, and so does whoever clears away what has expired.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    action: Action
    """What is to be done; it says which of the next four is there, and only one of them is."""
    lane: Name | None = None
    """pause: no call starts on this lane; resume: what its provider refused is forgotten."""
    jobs: Annotated[tuple[JobId, ...], Field(max_length=MOST_JOBS)] = ()
    """cancel: these jobs, whenever they come."""
    tenant: Name | None = None
    """cancel: the jobs of this tenant that were created before `issued_at`."""
    run: Name | None = None
    """cancel: the jobs of this run that were created before `issued_at`."""
    issued_at: Moment
    """When the operator said it."""
    expires_at: Moment
    """From when on it is in force no more."""
    by: Annotated[str, Field(max_length=256)] | None = None
    """Who said it: user and machine."""

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        given = [self.lane is not None, bool(self.jobs), self.tenant is not None]
        given.append(self.run is not None)
        if sum(given) != 1 or (self.action is not Action.CANCEL) != given[0]:
            raise ValueError(
                "a pause or resume names a lane; a cancel names jobs, or a tenant, or a run"
            )
        return self
