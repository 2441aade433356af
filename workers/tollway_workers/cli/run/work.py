"""One run on a broker: what is there already, the rest onto the topics, the replies into OUT."""

import asyncio
import secrets
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from tollway import DeadLetters
from tollway.new_job import ReadyJob, ready
from tollway_schemas import (
    Job,
    Priority,
    Reply,
    ReplyAddress,
    SchemaError,
    TopicNames,
    headers,
)
from tollway_schemas.codec import decode
from tollway_workers.cli.batch.acknowledged import Acknowledged
from tollway_workers.cli.batch.batch import Batch, BatchReader
from tollway_workers.cli.batch.collect import Collector
from tollway_workers.cli.batch.enqueue import Enqueuer, Task
from tollway_workers.cli.batch.line import BatchJob
from tollway_workers.cli.batch.out_file import Output
from tollway_workers.cli.batch.output_lines import bad_line
from tollway_workers.cli.run import again
from tollway_workers.cli.run.identity.resume import Identity
from tollway_workers.cli.run.identity.state import RunState, StateFile
from tollway_workers.cli.run.redriven import redriven_jobs
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import BrokerUnavailable, InputError
from tollway_workers.job.ports import RecordSink
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.ownership.partition import Partition

#: Seconds between two states on disk: what a crash makes a re-run read again.
_SAVE_EVERY = 1.0
#: Reads without a record after which Kafka is away: what it still has is read by whoever goes on.
_QUIET_READS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What a run works with. `state_file` is absent where nothing can be resumed."""

    reader: BatchReader
    batch: Batch
    out: Output
    state_file: StateFile | None
    settings: FleetSettings
    #: Those that may answer, by route as topics have it.
    models: Mapping[str, Collection[str]]
    #: Topics that this command has just made, with the number of their partitions.
    made: Mapping[str, int]
    #: Two readers: looking things up on the one that follows replies takes half a second.
    jobs_log: LogReader
    replies_log: LogReader
    sink: RecordSink
    #: Those of the fleet.
    letters: DeadLetters

    @property
    def names(self) -> TopicNames:
        """The names of the fleet's topics."""
        return TopicNames(self.settings.kafka.prefix)


class RunWork:
    """`prepare`, then `enqueue` and `collect` side by side, with `save` until both are done.

    Mutable state: the run's state as it was last saved, and the position in its replies.
    """

    def __init__(self, parts: RunParts, state: RunState) -> None:
        self._parts = parts
        self._state = state
        self.collector = Collector(
            parts.batch.line_of,
            parts.out,
            generation=state.generation,
            models=parts.models,
            is_ours=self._is_reply,
        )
        self.resumed = self._done
        #: Calls that former processes and rounds of this run made.
        self.calls_before = self.collector.tally.calls
        self._acknowledged = Acknowledged(0, {}, {})
        self._replies_at = 0
        #: No more jobs are to be enqueued; and: no more replies are to be waited for.
        self.stopped = False
        self.closing = False
        #: Lines that failed and are not asked again, because of what became of their dead letters.
        self.left_alone = 0
        #: When the first job was handed over, in monotonic seconds.
        self.started: float | None = None

    @property
    def settings(self) -> FleetSettings:
        """Those of the fleet, its broker included."""
        return self._parts.settings

    @property
    def names(self) -> TopicNames:
        """Those of the fleet's topics."""
        return self._parts.names

    @property
    def run(self) -> str:
        """The run's id."""
        return self._state.run

    @property
    def generation(self) -> int:
        """Of the jobs of this round."""
        return self._state.generation

    @property
    def left(self) -> dict[str, int]:
        """Jobs without an ending, by route."""
        ended = self.collector.ended
        return {route: jobs - ended[route] for route, jobs in self._parts.batch.jobs_of.items()}

    @property
    def has_dead_letters(self) -> bool:
        """Whether a job of it is a dead letter: to redrive it its route's topics are needed."""
        return any(ending.dead_letter for ending in self.collector.failed())

    async def prepare(self) -> None:
        """Find what a former run did and what was redriven of it, and write down where this one
        starts. Calls nobody.
        """
        parts, state = self._parts, self._state
        if state.job_offsets or self.has_dead_letters:
            # Where marks may not be read: replies are taken all the same, and not waited for.
            with suppress(BrokerUnavailable):
                await self._expect_redriven()
        if state.generation > 1:
            await self._redrive()
        if any(map(self.collector.is_unasked, self.collector.missing)):
            ends = await self._job_ends()
            starts = ends | {at: offset for at, offset in state.offsets().items() if at in ends}
            _check_not_shorter(starts, ends)
            found = await self._find(starts, ends)
            self._acknowledged = Acknowledged(state.acknowledged_line, starts, found)
        else:
            # Its topics may be gone.
            self._acknowledged = Acknowledged(state.acknowledged_line, state.offsets(), {})
        # A line of OUT that is gone is read from the topic again.
        whole = len(parts.out.endings) >= state.lines_written
        self._replies_at = state.reply_offset if whole else state.reply_start
        parts.replies_log.follow({self._replies: self._replies_at})
        for bad in parts.batch.bad_lines:
            if bad.line not in parts.out.endings:
                self.collector.add(bad_line(bad, state.run))
        self.resumed = self._done
        await self.save()

    async def _job_ends(self) -> dict[Partition, int]:
        """Where the topics of the jobs end."""
        topics, made = self._job_topics, self._parts.made
        if made.keys() >= set(topics):
            # Nobody can say it yet: their partitions have no leaders for some tenths of a second.
            return {(topic, number): 0 for topic in topics for number in range(made[topic])}
        return await self._parts.jobs_log.ends(topics)

    async def ask_again(self) -> int:
        """Begin the next round: the jobs without an answer, as their next generation.

        How many they are. Every line must have its ending. Calls nobody. Raises ProducerError.
        """
        failed = self.collector.failed()
        if not failed:
            return 0
        generation = 1 + max(ending.generation for ending in failed)
        ends = await self._parts.jobs_log.ends(self._job_topics)
        self._state = self._state.next_round(generation, ends)
        self._acknowledged = Acknowledged(0, ends, {})
        self.collector.begin(generation)
        self.resumed = self._done
        self.calls_before = self.collector.tally.calls
        self.stopped = self.closing = False
        # The round has begun before anything of it is published: an interrupted one goes on.
        await self.save()
        await self._redrive()
        return len(self.collector.missing)

    async def _redrive(self) -> None:
        """Ask again for those lines of this round whose jobs are dead letters.

        The others are `enqueue`d. Of one that is a dead letter a next generation comes from a
        redrive alone, whoever began it: a second one would be paid too.
        """
        names = self.collector.given_up()
        there = await again.redrive(
            self._parts.letters, self.run, names, generation=self.generation
        )
        if there:
            await self._expect_redriven()
            self.left_alone = self.collector.leave(there)

    async def _expect_redriven(self) -> None:
        log, topic = self._parts.jobs_log, self.names.marks
        self.collector.expect(await redriven_jobs(log, topic, self.run))

    async def forget_topics(self) -> None:
        """Write down that nothing of this run is on its job topics that is not done."""
        line, _ = self._acknowledged.snapshot()
        self._acknowledged = Acknowledged(line, {}, {})
        await self.save()

    async def enqueue(self) -> None:
        """Everything that is not on the topics yet. Raises BrokerUnavailable."""
        self.started = time.monotonic()
        enqueuer = Enqueuer(self._parts.sink, self._parts.names, self._acknowledged)
        await enqueuer.run(self._tasks(), lambda: self.stopped)

    async def collect(self) -> None:
        """Replies into OUT until every line has its ending, or `closing`. Raises FleetError."""
        while self.collector.missing and not self.closing:
            await self._collect_some()

    async def finish(self) -> None:
        """What is there now, later replies of redriven jobs included; then the last state."""
        # Where Kafka does not say, every line has its ending all the same, or is read again.
        with suppress(BrokerUnavailable):
            end = (await self._parts.jobs_log.ends([self.names.replies]))[self._replies]
            quiet = 0
            while quiet < _QUIET_READS and await self._position() < end:
                quiet = 0 if await self._collect_some() else quiet + 1
        self.collector.settle()
        await self.save()

    async def _position(self) -> int:
        return await self._parts.replies_log.position(self._replies)

    async def _collect_some(self) -> bool:
        records = await self._parts.replies_log.read()
        self.collector.take(records)
        if records:
            self._replies_at = records[-1].offset + 1
        return bool(records)

    async def keep_saving(self) -> None:
        """`save` about once a second, until cancelled."""
        while True:
            await asyncio.sleep(_SAVE_EVERY)
            await self.save()

    async def save(self) -> None:
        """Write OUT, then the state that relies on it."""
        # A later run reads again what is in memory only.
        unsettled = self.collector.unsettled
        replies_at = self._replies_at if unsettled is None else unsettled
        written = len(self._parts.out.endings)
        line, offsets = self._acknowledged.snapshot()
        self._state = self._state.with_progress(
            line, offsets, reply_offset=replies_at, lines_written=written
        )
        # Not in a thread: no line may be added between the two, and both take milliseconds.
        self._parts.out.sync()
        if self._parts.state_file is not None:
            self._parts.state_file.write(self._state)

    @property
    def _done(self) -> int:
        return self._parts.batch.lines - len(self.collector.missing)

    @property
    def _job_topics(self) -> list[str]:
        routes = map(self._parts.reader.topic_route, sorted(self._parts.batch.routes))
        return [self.names.jobs(route, Priority.BULK) for route in routes]

    @property
    def _replies(self) -> Partition:
        return self._parts.names.replies, self._state.reply_partition

    async def _find(
        self, starts: dict[Partition, int], ends: dict[Partition, int]
    ) -> dict[int, tuple[Partition, int]]:
        """Lines whose jobs a former run wrote behind its last state."""
        found: dict[int, tuple[Partition, int]] = {}
        async for record in self._parts.jobs_log.between(starts, ends):
            line = self._parts.batch.line_of.get((record.key or b"").decode(errors="replace"))
            if line is None or line <= self._state.acknowledged_line:
                continue
            if self._is_job(record):
                found.setdefault(line, (record.partition, record.offset))
        return found

    def _is_reply(self, reply: Reply) -> bool:
        """Whether it is to a job of this run: others may guess an id, or have it."""
        state = self._state
        # A job may have been redriven to another route; only who was asked knows the token.
        is_asked = reply.route in self._parts.batch.jobs_of or bool(state.token)
        return is_asked and reply.run == state.run and (reply.token or "") == state.token

    def _is_job(self, record: LoggedRecord) -> bool:
        try:
            job = decode(Job, record.value)
        except SchemaError:
            return False
        token = None if job.reply_to is None else job.reply_to.token
        state = self._state
        ours = job.run == state.run and (token or "") == state.token
        return ours and job.generation == state.generation

    def _tasks(self) -> Iterator[Task]:
        good = set(self._parts.batch.line_of.values())
        there_already = self._state.acknowledged_line
        for item in self._parts.reader.jobs():
            if item.line not in good or item.line <= there_already:
                continue
            wanted = self.collector.is_unasked(item.line)
            yield item.line, partial(self._make, item) if wanted else None

    def _make(self, item: BatchJob) -> ReadyJob[object]:
        topic, partition = self._replies
        made = ready(
            self._parts.reader.new_job(item, self._state.run),
            ReplyAddress(topic=topic, partition=partition, token=self._state.token or None),
            datetime.now(UTC),
        )
        return _of_generation(made, self._state.generation)


def _of_generation(made: ReadyJob[object], generation: int) -> ReadyJob[object]:
    if generation == made.job.generation:
        return made
    own = [(name, value) for name, value in made.headers if name != headers.GENERATION]
    own += headers.encode([(headers.GENERATION, str(generation))])
    return replace(made, job=made.job.model_copy(update={"generation": generation}), headers=own)


def new_state(
    batch: Batch, ends: Mapping[Partition, int], identity: Identity, cluster: str
) -> RunState:
    """The state of a run that begins now. `ends` are those of the reply topic."""
    names = sorted(ends)
    # By the run's id, so that runs share the partitions evenly.
    topic, partition = names[zlib.crc32(batch.run_id.encode()) % len(names)]
    state = RunState(
        run=batch.run_id,
        token=secrets.token_urlsafe(12),
        input_sha256=identity.sha256,
        route=identity.route,
        cluster=cluster,
        prefix=topic.removesuffix(".replies"),
        reply_partition=partition,
        reply_start=ends[topic, partition],
        reply_offset=ends[topic, partition],
    )
    return state.with_who(identity.who, batch.routes)


def _check_not_shorter(starts: Mapping[Partition, int], ends: Mapping[Partition, int]) -> None:
    for partition, start in starts.items():
        if start > ends[partition]:
            raise InputError(
                f"topic {partition[0]} has lost records since the run stopped (it was made anew?): "
                "start anew with --fresh"
            )
