"""Jobs onto their topics, in the order of the file, each once."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tollway.new_job import ReadyJob
from tollway_schemas import codec
from tollway_schemas.keys import job_key
from tollway_schemas.topics import TopicNames
from tollway_workers.cli.batch.acknowledged import Acknowledged
from tollway_workers.errors import InputError
from tollway_workers.job.ports import OutgoingRecord, RecordSink, RecordTooLarge
from tollway_workers.kafka.produce.written import place_of

#: Records handed over and not acknowledged; then the oldest is waited for.
_MOST_UNACKNOWLEDGED = 1_000

#: A line, and what makes its job; None where its answer is in OUT already.
Task = tuple[int, Callable[[], ReadyJob[Any]] | None]


class Enqueuer:
    """Hands jobs to Kafka and notes what it has acknowledged."""

    def __init__(self, sink: RecordSink, names: TopicNames, acknowledged: Acknowledged) -> None:
        self._sink = sink
        self._names = names
        self._acknowledged = acknowledged
        self._waiting: deque[tuple[int, Awaitable[Any]]] = deque()

    async def run(self, tasks: Iterable[Task], stopped: Callable[[], bool]) -> None:
        """Enqueue the jobs of these lines until told to stop; return when Kafka has them.

        Raises BrokerUnavailable if it does not take one, InputError if a topic takes none so large.
        Cancelled: the records handed over may be written all the same, and a re-run finds them.
        """
        for line, make in tasks:
            if stopped():
                break
            if make is None:
                self._acknowledged.acknowledge(line, None)
                self._acknowledged.begin(line)
            elif self._acknowledged.begin(line):
                await self._send(line, make())
        while self._waiting:
            await self._settle_oldest()

    async def _send(self, line: int, made: ReadyJob[Any]) -> None:
        job = made.job
        record = OutgoingRecord(
            topic=self._names.jobs(job.route, job.priority),
            key=job_key(job.id),
            value=codec.encode(job),
            headers=made.headers,
        )
        try:
            self._waiting.append((line, await self._sink.send(record)))
        except RecordTooLarge:
            raise InputError(
                f"line {line}: topic {record.topic} takes no job as large as this one "
                f"({len(record.value or b''):,} bytes): raise kafka.max_job_bytes in its fleet's "
                "configuration and run `tollway topics apply`, then give the same command again"
            ) from None
        if len(self._waiting) >= _MOST_UNACKNOWLEDGED:
            await self._settle_oldest()

    async def _settle_oldest(self) -> None:
        line, acknowledgement = self._waiting[0]
        self._acknowledged.acknowledge(line, await place_of(acknowledgement))
        self._waiting.popleft()
