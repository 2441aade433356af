"""Commands: what operators say to the whole fleet."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.job import JobId
from tollway_schemas.model import Moment, Record

#: Jobs that one command may name.
MOST_JOBS = 200

Name = Annotated[str, Field(min_length=1, max_length=128)]


class Action(StrEnum):
    """What is to be done."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    BREAK = "break"
    OPEN = "open"


class Command(Record):
    """One command: a record of `<prefix>.commands`, in force from when it is read until it expires.

    Its key is a name of its own. A record without a value under that key takes it back: so does
    `tollway resume` and `tollway lanes open`, and so does the next command for what has expired.
    A worker of an earlier release ignores an action that it does not know.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    action: Action
    """What is to be done: a cancel names jobs, a tenant or a run, any other action a lane alone."""
    lane: Name | None = None
    """pause: no call starts on this lane; break: it is taken for broken, and its jobs may go to
    another; resume and open: what its provider refused, and how its calls failed, is forgotten."""
    jobs: Annotated[tuple[JobId, ...], Field(max_length=MOST_JOBS)] = ()
    """cancel: the jobs of these ids, whenever they come; others may have the same ids."""
    tenant: Name | None = None
    """cancel: of this tenant only; without `jobs`, those that were created before `issued_at`."""
    run: Name | None = None
    """cancel: of this run only; without `jobs`, those that were created before `issued_at`."""
    route: Name | None = None
    """cancel: of this route only; beside `jobs`, `tenant` or `run`."""
    issued_at: Moment
    """When the operator said it."""
    expires_at: Moment
    """From when on it is in force no more."""
    by: Annotated[str, Field(max_length=256)] | None = None
    """Who said it: user and machine."""

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        whose = bool(self.jobs) or self.tenant is not None or self.run is not None
        if self.action is not Action.CANCEL:
            right = self.lane is not None and not whose and self.route is None
        else:
            right = self.lane is None and whose
        if not right:
            raise ValueError(
                "a pause, resume, break or open names a lane; "
                "a cancel names jobs, a tenant or a run"
            )
        return self
