"""Whether a job need not be called at all: an ordered tuple of checks. A new reason is a new file
in `checks/`, and a line where the worker is put together.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import structlog

from tollway_workers.job.endings import bug
from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)


class Check(Protocol):
    """One reason not to call. Synchronous, and without a clock of its own."""

    def __call__(self, job: JobProgress, now: float, /) -> Decision | None:
        """How the job ends or goes on without a call; None where this check has nothing to say.

        `now`: seconds since 1970.
        """
        ...


class Checks(NamedTuple):
    """All checks, in the order in which they are asked."""

    #: Asked when a job is read, and when it comes back from a call.
    when_read: tuple[Check, ...]
    #: Those of them that may say something else while it waits: asked when its prompt is counted,
    #: and at the head of its queue.
    while_waiting: tuple[Check, ...]


def outcome_of(checks: Sequence[Check], job: JobProgress, now: float) -> Decision | None:
    """What is decided by the first check that has one.

    Raises nothing: a job on which a check fails is a dead letter, and ends no worker.
    """
    for check in checks:
        try:
            outcome = check(job, now)
        except Exception as error:  # noqa: BLE001 a bug met by one job must not end the others'
            log.error(
                "unexpected exception while checking a job: it is a dead letter, the others go on",
                job=job.job.id,
                **error_fields(error),
            )
            return bug(error, job.lane)
        if outcome is not None:
            return outcome
    return None
