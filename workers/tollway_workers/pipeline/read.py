"""From a record to a job that waits for its lane, or to the reason why it holds none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from tollway_schemas import headers
from tollway_schemas.errors import TollwayError, UndecodableRecord, UnsupportedVersion
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Job, Priority
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.forwarding.travel import arrival
from tollway_workers.job.endings import bug
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.refusals import counted, listed
from tollway_workers.job.unknown_fields import unknown_fields
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.decode import read_job
from tollway_workers.safe_traceback import error_fields
from tollway_workers.validation.asking import ask_on

log = structlog.get_logger(__name__)

#: Names of unknown fields that a worker warns of.
_MOST_WARNINGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """What a worker reads."""

    #: Route and priority of each jobs topic.
    jobs: Mapping[str, tuple[str, Priority]]
    #: Lane and priority of each lane topic, those of lanes in no route included.
    lanes: Mapping[str, tuple[str, Priority]]
    routes: Mapping[str, RouteSettings]
    #: Largest job, as its service wrote it.
    most_bytes: int


class Refused(NamedTuple):
    """A record that holds no job: it is to become a dead letter of its raw bytes."""

    record: ReceivedRecord
    route: str
    failure: Failure


class JobReader:
    """Reads records. State: the unknown fields that it has warned of."""

    def __init__(self, settings: ReadSettings) -> None:
        self._settings = settings
        self._warned: set[str] = set()

    @property
    def topic_of_lane(self) -> dict[str, str]:
        """One topic of each lane: the owner of a shard of it may call the lane."""
        return {lane: topic for topic, (lane, _) in self._settings.lanes.items()}

    @property
    def routes(self) -> Mapping[str, RouteSettings]:
        """The routes that jobs ask for."""
        return self._settings.routes

    def topics_of(self, lane: str, priority: Priority | None = None) -> list[str]:
        """The topics that a lane's jobs come from, of one priority if that is given."""
        reads = self._settings
        begin = (
            (topic, reads.routes[route].lanes[0], of) for topic, (route, of) in reads.jobs.items()
        )
        sent = ((topic, name, of) for topic, (name, of) in reads.lanes.items())
        return [
            topic for topic, name, of in (*begin, *sent) if name == lane and priority in (None, of)
        ]

    def read(self, record: ReceivedRecord) -> JobProgress | Refused:
        """The job in a record, or why it holds none.

        Raises nothing: what meets a bug in us is a dead letter, and ends no worker.
        """
        begins = self._settings.jobs.get(record.topic)
        route = begins[0] if begins else headers.get(record.headers, headers.ROUTE) or ""
        if (failure := _unread(record, self._settings.most_bytes)) is not None:
            return Refused(record, route, failure)
        try:
            progress = self._begin(record, *begins) if begins else self._go_on(record)
            # Here, where a bug ends one job alone.
            _ = progress.digest
        except UnsupportedVersion as error:
            return _refused(record, route, FailureClass.UNSUPPORTED_VERSION, error)
        except UndecodableRecord as error:
            return _refused(record, route, FailureClass.UNDECODABLE, error)
        except Exception as error:  # noqa: BLE001 a bug met by one job must not end the others'
            log.error(
                "unexpected exception while reading a job: it is a dead letter, the others go on",
                record=f"{record.topic}-{record.partition}@{record.offset}",
                **error_fields(error),
            )
            return Refused(record, route, bug(error).failure)
        return progress

    def _begin(self, record: ReceivedRecord, route_name: str, priority: Priority) -> JobProgress:
        """A service's job: nothing is believed but the job itself."""
        job = read_job(record, route_name, priority)
        if job.__pydantic_extra__ or (job.reply_to and job.reply_to.__pydantic_extra__):
            self._warn(route_name, job)
        route = self._settings.routes[route_name]
        return JobProgress(
            job=job,
            record=record,
            route=route,
            lane=route.lanes[0],
            deadline=job.deadline.timestamp(),
            request=job.request,
        )

    def _warn(self, route: str, job: Job) -> None:
        """Name fields that nobody reads, each once in the life of a worker."""
        for field in unknown_fields(job):
            if field not in self._warned and len(self._warned) < _MOST_WARNINGS:
                self._warned.add(field)
                log.warning(
                    "a job has a field that this release does not know: it is kept, and not used",
                    field=field,
                    route=route,
                )

    def _go_on(self, record: ReceivedRecord) -> JobProgress:
        """A job that a worker sent here, with what was tried: the topic says which lane."""
        lane, priority = self._settings.lanes[record.topic]
        job, history, not_before = arrival(record, priority)
        progress = JobProgress(
            job=job,
            record=record,
            # Of a route that is gone, nothing is left to know but that.
            route=self._settings.routes.get(job.route) or RouteSettings(lanes=(lane,)),
            lane=lane,
            deadline=job.deadline.timestamp(),
            request=job.request,
            attempts=listed(history.attempts),
            # An older release counts nothing and lists more.
            uncharged={**counted(history.attempts), **history.uncharged},
            bad_answers=list(history.bad_answers),
            not_before=not_before,
            doubt=history.doubt,
            lane_failures=history.lane_failures,
            tally=history.tally,
            waited=history.waited,
        )
        progress.last_elsewhere = progress.calls
        progress.failures.update(progress.uncharged)
        for attempt in history.attempts:
            if attempt.failure_class is not None and attempt.charged:
                progress.failures[attempt.failure_class] += 1
        ask_on(progress)
        return progress


def _unread(record: ReceivedRecord, most_bytes: int) -> Failure | None:
    """Why nobody even tries to read a job from it."""
    if record.unreadable is not None:
        return Failure(failure_class=FailureClass.UNDECODABLE, message=record.unreadable)
    size = len(record.value or b"")
    if size <= most_bytes:
        return None
    message = f"the job is {size:,} bytes long, more than max_job_bytes ({most_bytes:,})"
    return Failure(failure_class=FailureClass.INVALID_JOB, message=message)


def _refused(
    record: ReceivedRecord, route: str, kind: FailureClass, error: TollwayError
) -> Refused:
    return Refused(record, route, Failure(failure_class=kind, message=str(error)))
