"""From a record to what is to be done with it: a job for its lane, or an end without a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tollway_schemas.errors import TollwayError, UndecodableRecord, UnsupportedVersion
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Job, Priority
from tollway_workers.clock import Clock
from tollway_workers.config.route import RouteSettings
from tollway_workers.policies.endings import invalid_job
from tollway_workers.policies.intake import read_job
from tollway_workers.policies.outcome import Outcome
from tollway_workers.policies.progress import JobProgress
from tollway_workers.policies.record import ReceivedRecord
from tollway_workers.policies.retry import expired
from tollway_workers.publisher import OutcomePublisher
from tollway_workers.validation.validator import ResultValidator


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """What a worker reads."""

    #: Route and priority of each jobs topic.
    jobs: Mapping[str, tuple[str, Priority]]
    routes: Mapping[str, RouteSettings]


class Refused(NamedTuple):
    """A record that holds no job: it is to become a dead letter of its raw bytes."""

    record: ReceivedRecord
    route: str
    failure: Failure


class Ended(NamedTuple):
    """A job that is not to be called: this outcome is to be written."""

    progress: JobProgress
    outcome: Outcome


class Intake:
    """Reads records. Decides, and changes nothing."""

    def __init__(
        self,
        settings: IntakeSettings,
        publisher: OutcomePublisher,
        validator: ResultValidator,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._validator = validator
        self._clock = clock

    def topics_of(self, lane: str) -> list[str]:
        """The topics that a lane's jobs come from."""
        routes = self._settings.routes
        return [
            topic
            for topic, (route, _) in self._settings.jobs.items()
            if routes[route].lanes[0] == lane
        ]

    def take(self, record: ReceivedRecord) -> JobProgress | Ended | Refused:
        """A job that is to wait for its lane, or how it ends at once."""
        route, priority = self._settings.jobs[record.topic]
        try:
            job = read_job(record, route, priority)
        except UnsupportedVersion as error:
            return _refused(record, route, FailureClass.UNSUPPORTED_VERSION, error)
        except UndecodableRecord as error:
            return _refused(record, route, FailureClass.UNDECODABLE, error)
        progress = self._progress(job, record)
        outcome = self._refusal(progress)
        return progress if outcome is None else Ended(progress, outcome)

    def _progress(self, job: Job, record: ReceivedRecord) -> JobProgress:
        route = self._settings.routes[job.route]
        return JobProgress(
            job=job,
            record=record,
            route=route,
            lane=route.lanes[0],
            deadline=job.deadline.timestamp(),
            request=job.request,
        )

    def _refusal(self, progress: JobProgress) -> Outcome | None:
        """The outcome of a job that need not be called at all."""
        if progress.deadline <= self._clock.now():
            return expired(progress)
        if not self._publisher.may_reply_to(progress.job.reply_to):
            return invalid_job("reply_to.topic: is not a topic that this fleet replies to")
        try:
            progress.schema = self._validator.check(progress.job.output)
        except TollwayError as error:
            return invalid_job(f"output.json_schema: {error}")
        return None


def _refused(
    record: ReceivedRecord, route: str, kind: FailureClass, error: TollwayError
) -> Refused:
    return Refused(record, route, Failure(failure_class=kind, message=str(error)))
