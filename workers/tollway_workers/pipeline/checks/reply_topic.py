"""A reply goes to our own topic, or to one that the configuration names."""

from collections.abc import Callable
from dataclasses import dataclass

from tollway_schemas.job import ReplyAddress
from tollway_workers.job.endings import invalid_job
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress


@dataclass(frozen=True, slots=True)
class ReplyTopicAllowed:
    """A dead letter for a job that asks for its reply elsewhere."""

    may_reply_to: Callable[[ReplyAddress], bool]

    def __call__(self, job: JobProgress, now: float) -> Outcome | None:
        """See `Check`."""
        address = job.job.reply_to
        if address is None or self.may_reply_to(address):
            return None
        return invalid_job("reply_to.topic: is not a topic that this fleet replies to")
