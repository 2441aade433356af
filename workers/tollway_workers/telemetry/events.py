"""Events of the core, for metrics and logs. A listener never touches a job."""

from typing import Protocol

from tollway_schemas.attempt import Attempt
from tollway_schemas.failure import Failure
from tollway_workers.job.outcome import Forwarded, Outcome
from tollway_workers.job.progress import JobProgress


class FleetEvents(Protocol):
    """Called synchronously from the event loop; must be quick and must not raise."""

    def call_slow(self, lane: str) -> None:
        """A call on its way has no first token after the lane's `slow_after`; it goes on."""
        ...

    def call_ended(self, lane: str, attempt: Attempt) -> None:
        """A call ended, well or badly."""
        ...

    def job_ended(self, progress: JobProgress, outcome: Outcome) -> None:
        """A job has ended, its outcome is safely written."""
        ...

    def job_forwarded(self, outcome: Forwarded) -> None:
        """A job has left for a lane's topic or a retry topic."""
        ...

    def copy_answered(self, route: str) -> None:
        """A copy of a job was given the reply of the first."""
        ...

    def answers_revalidated(self, route: str, passed: bool) -> None:
        """The stored answers of a redriven job were held to it; `passed`: one is its reply."""
        ...

    def job_relayed(self, late: float) -> None:
        """A job was put back on its lane, `late` seconds after its retry topic let it go."""
        ...

    def relay_failed(self, error: Exception) -> None:
        """The relay ended and is to be started again."""
        ...

    def record_refused(self, route: str, failure: Failure) -> None:
        """A record held no job and went to the dead letters."""
        ...

    def write_failed(self, error: Exception) -> None:
        """Kafka did not take an outcome; it is held and written again."""
        ...
