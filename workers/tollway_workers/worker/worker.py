"""One process of the fleet: takes jobs, starts calls, ends jobs, leaves."""

import asyncio
from collections import ChainMap
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog

from tollway_workers.errors import CallNotSent
from tollway_workers.job.endings import bug
from tollway_workers.job.envelopes import Exchange
from tollway_workers.job.outcome import Completed, Decision, RetryLater
from tollway_workers.job.progress import JobProgress
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.check import Check, outcome_of
from tollway_workers.pipeline.copies import Copies
from tollway_workers.pipeline.count import Counting
from tollway_workers.pipeline.decide import out_of_time
from tollway_workers.pipeline.dispatch import Dispatcher, answer_expired
from tollway_workers.pipeline.lookup import FOLLOWS, Following, Lookups
from tollway_workers.pipeline.read import Refused
from tollway_workers.pipeline.revalidate import Revalidation
from tollway_workers.pipeline.semantic_cache import SemanticCache
from tollway_workers.pipeline.single_flight import SingleFlight
from tollway_workers.pipeline.sweep import Sweep
from tollway_workers.pipeline.write import OutcomeWriter
from tollway_workers.safe_traceback import error_fields
from tollway_workers.worker.commits import Commits
from tollway_workers.worker.exits import Exits
from tollway_workers.worker.handover import Releases
from tollway_workers.worker.operators import Operators
from tollway_workers.worker.parts import Parts
from tollway_workers.worker.tasks import Tasks, in_turns

log = structlog.get_logger(__name__)

#: Seconds that jobs whose calls were broken off by a drain may take to be sent on.
_SENDING_ON = 2.0
#: Seconds that the relay may take to write its last batch and to leave.
_RELAY_LEAVES = 10.0
#: Records taken by one poll at most: decoding them holds up the event loop.
_MOST_POLLED = 500


class Worker:
    """Runs until it is told to drain, then until its calls have ended.

    State: `_tasks` (what calls or writes), `_calls` (those that call), `_freed` (lanes of which
    calls have ended, where nobody has looked for who is next), `_full` (by lane, topics that hold
    their part of it, and are not read).
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._tasks = Tasks()
        self._calls: dict[JobProgress, asyncio.Task[None]] = {}
        self._full: dict[str, list[str]] = {}
        self._freed: dict[str, None] = {}
        self._draining = asyncio.Event()
        self._topic_of_lane = parts.reader.topic_of_lane
        admissions = {name: lane.admission for name, lane in parts.lanes.items()}
        self.dispatcher = Dispatcher(admissions, parts.clock, self, parts.fairness)
        self.writer = OutcomeWriter(parts.publisher, parts.sink, parts.events, parts.clock)
        self._commits = Commits(parts.source, parts.clock, self.dispatcher.pump_all)
        self._exits = Exits(parts, self.writer, self._commits, self._tasks, self._again)
        self._flights = SingleFlight(parts.cache, self.dispatcher, parts.clock, end=self._exits.end)
        self._lookups = self._exits.lookups = self._new_lookups()
        self._counting = Counting(
            self.dispatcher, admissions, check=self._check, go=self._tasks.go, end=self.end
        )
        under_way = ChainMap[JobProgress, asyncio.Task[Any]](self._calls, self._exits.asking)
        self._releases = Releases(
            parts.source,
            self.dispatcher,
            under_way,
            parts.clock,
            topic_of_lane=self._topic_of_lane,
            longest_call=parts.longest_call,
        )
        self.operators = Operators(parts, self.dispatcher, under_way, self.end)
        self._sweep = Sweep(
            self.dispatcher,
            parts.reader,
            parts.surroundings,
            parts.clock,
            paused=self.operators.is_paused,
            end=self.end,
        )

    def _new_lookups(self) -> Lookups:
        parts = self._parts
        plain = (
            Copies(
                parts.replies,
                self.dispatcher,
                go=self._tasks.go,
                answer=self._exits.answer_copy,
            ),
            Revalidation(
                parts.stored,
                self.dispatcher,
                parts.events,
                go=self._tasks.go,
                end=self._exits.end,
            ),
        )
        # Single flight before the semantic cache: what is asked at this moment needs no vector.
        return Lookups(plain, (*plain, parts.cache, self._flights, *self._new_semantic()))

    def _new_semantic(self) -> tuple[SemanticCache, ...]:
        """Of a worker none of whose routes looks for similar prompts, nothing."""
        semantic = self._parts.semantic
        if semantic is None:
            return ()
        semantic.attach(self.dispatcher, go=self._tasks.go, end=self._exits.end)
        return (semantic,)

    async def run(self, drain_timeout: float) -> None:
        """Work until `drain` is called, then finish what is begun, commit and leave.

        `drain_timeout`: seconds that calls in flight may still take. Cancelled, it ends calls at
        once, commits what is complete and leaves: nothing is lost, what was in flight runs again.
        """
        parts = self._parts
        await parts.sink.start()
        try:
            await parts.source.start()
            async with asyncio.TaskGroup() as background:
                tasks = [
                    background.create_task(self._commits.run(), name="commits"),
                    background.create_task(
                        answer_expired(self.dispatcher.take_expired, self._clock, self._expire),
                        name="deadlines",
                    ),
                    background.create_task(self._sweep.run(), name="ladder"),
                    relaying := background.create_task(parts.relay.keep_running(), name="relay"),
                ]
                await self._take_jobs()
                await self._finish_begun(drain_timeout)
                await asyncio.wait({relaying}, timeout=_RELAY_LEAVES)
                for task in tasks:
                    task.cancel()
        finally:
            await self._leave()

    def drain(self) -> None:
        """Take nothing more; `run` returns when what is begun has ended. Idempotent."""
        self._draining.set()
        self._parts.source.drain()
        self._parts.relay.stop()
        self._leave_to_others()

    @property
    def draining(self) -> bool:
        """Whether it was told to stop."""
        return self._draining.is_set()

    @property
    def held_bytes(self) -> int:
        """Bytes of the records that wait, run or are written."""
        return self._exits.bytes

    # Take: from records to jobs that wait for their lane.

    async def _take_jobs(self) -> None:
        source = self._parts.source
        while not self.draining:
            held = self._exits.bytes + self.dispatcher.bytes_besides
            room = _MOST_POLLED if held < self._parts.memory_bytes else 0
            lanes = set()
            async for record in in_turns(await source.poll(room)):
                job = self._take(record)
                if job is not None:
                    lanes.add(job.lane)
            for lane in lanes:
                self.dispatcher.pump(lane)
            self._leave_to_others()
            self._hold_back()

    def _take(self, record: ReceivedRecord) -> JobProgress | None:
        """The job that now waits for its lane; None where it is on its way out already."""
        self._exits.bytes += record.size
        taken = self._parts.reader.read(record)
        if isinstance(taken, Refused):
            self._exits.refuse(taken)
            return None
        taken.came = self._clock.monotonic()
        again = taken.attempts or taken.not_before
        return taken if self._queue(taken, self._delay(taken) if again else None) else None

    def _queue(self, job: JobProgress, delay: float | None) -> bool:
        """Whether a job waits for its lane now; else it need not be called, and goes its way.

        `delay`: seconds until it queues before those of its tenant; None: now, behind them.
        """
        known = self._known(job, self._parts.checks.when_read)
        if known is FOLLOWS:
            self.dispatcher.follow(job)
        elif known is not None:
            self.end(job, known)
        elif delay is None:
            self.dispatcher.offer(job)
        else:
            self.dispatcher.retry(job, delay)
        return known is None

    def _delay(self, job: JobProgress) -> float:
        """Seconds until a job may be called; its deadline is no reason to wait longer."""
        return min(job.not_before, job.deadline) - self._clock.now()

    def look(self, job: JobProgress) -> Decision | Following | None:
        """What is known of a waiting job without a call: its end, or that it follows another."""
        return self._known(job, self._parts.checks.while_waiting)

    def _known(self, job: JobProgress, checks: Sequence[Check]) -> Decision | Following | None:
        outcome = outcome_of(checks, job, self._clock.now())
        return self._lookups.find(job) if outcome is None else outcome

    def _check(self, job: JobProgress) -> Decision | None:
        return outcome_of(self._parts.checks.while_waiting, job, self._clock.now())

    def count_ahead(self, lane: str) -> None:
        """Count the prompts of the jobs that go next on a lane."""
        self._counting.count_ahead(lane)

    # Start: from a job at the head of its queue to a call.

    def may_start(self, job: JobProgress) -> bool:
        """Whether job and lane are provably ours at this moment, and the lane is not paused."""
        parts, clock = self._parts, self._clock
        return (
            parts.source.may_start(job.record)
            and parts.source.serves(self._topic_of_lane[job.lane])
            and parts.commands.may_start(job.lane, clock.now(), clock.boottime())
        )

    def start(self, job: JobProgress, permit: Permit) -> None:
        """Call a job."""
        job.waited = self._sweep.why_waited(job)
        self._flights.begin(job)
        self._calls[job] = self._tasks.go(self._call(job, permit))

    async def _call(self, job: JobProgress, permit: Permit) -> None:
        calls_before = job.calls
        ended: tuple[Decision, Exchange | None] | None = None
        try:
            may_send = partial(self.may_start, job)
            ended = await self._parts.executor.execute(job, permit, may_send)
        except CallNotSent:
            # It waits until a commit has proved that it is ours, or for the partition's next owner.
            self._queue(job, 0.0)
        except Exception as error:  # noqa: BLE001 a bug met by one job must not end the others'
            log.error(
                "unexpected exception while calling a job: it is a dead letter, the others go on",
                job=job.job.id,
                **error_fields(error),
            )
            ended = bug(error, job.lane), None
        except asyncio.CancelledError:
            self._exits.break_off(job)
            raise
        finally:
            answered = ended is not None and isinstance(ended[0], Completed)
            self._call_over(job, permit, answered=answered)
        if job.calls > calls_before:
            self._parts.events.call_ended(job.lane, job.attempts[-1])
        if ended is not None:
            await self._exits.write(job, *ended)

    def _call_over(self, job: JobProgress, permit: Permit, *, answered: bool) -> None:
        """What a call held is free again, however it ended."""
        del self._calls[job]
        permit.close()
        if not answered:
            # First: of those that followed it one may take its place at once.
            self._flights.land(job)
        if permit.admission.take_freed():
            self.dispatcher.pump_all()
        if not self._freed:
            # Answers come several at once: one look for who is next does for all of them.
            asyncio.get_running_loop().call_soon(self._refill)
        self._freed[job.lane] = None

    def _refill(self) -> None:
        """Start what the calls that have ended leave room for."""
        freed, self._freed = self._freed, {}
        for lane in freed:
            self.dispatcher.pump(lane)
            full = self._full.get(lane)
            if full and full != self.dispatcher.full_topics(lane):
                # There is room again: waiting for the next poll would idle a fast lane.
                self._hold_back()

    # End: from an outcome to a complete record.

    def end(self, job: JobProgress, decision: Decision) -> None:
        """Begin to write the outcome of a job that was not called."""
        self._exits.end(job, decision)

    def drop(self, job: JobProgress) -> None:
        """A job's partition went to another worker before it was called."""
        self._exits.drop(job)

    def _expire(self, job: JobProgress) -> None:
        job.waited = self._sweep.why_waited(job)
        self.end(job, out_of_time(job))

    def _again(self, job: JobProgress, outcome: RetryLater) -> None:
        if outcome.behind:
            self._queue(job, None)
        else:
            job.not_before = self._clock.now() + outcome.delay
            self._queue(job, self._delay(job))
        self._leave_to_others()
        self.dispatcher.pump(job.lane)

    # Leave: what others call from now on.

    def _leave_to_others(self) -> None:
        """Of what waits, let go of what is called elsewhere."""
        for job in self._releases.take_leaving():
            self._exits.leave(job)

    def _hold_back(self) -> None:
        self._full = {lane: self.dispatcher.full_topics(lane) for lane in self._parts.lanes}
        full = [topic for topics in self._full.values() for topic in topics]
        self._parts.source.hold_back(full, self.operators.resting_topics)

    async def _finish_begun(self, drain_timeout: float) -> None:
        """What runs may end; what waits is let go of, to be called by others."""
        until = self._clock.monotonic() + drain_timeout
        while (self._tasks or self.dispatcher.waiting) and self._clock.monotonic() < until:
            # Kafka must see that we live; nothing new is taken.
            await self._parts.source.poll(0)
            self._leave_to_others()

    async def _leave(self) -> None:
        # A call that is cancelled gives its permit back: nobody may have it any more.
        self.dispatcher.stop()
        await self._tasks.end(_SENDING_ON)
        await self._exits.marks.leave()
        # At once: while Kafka is away each takes as long as it may.
        await asyncio.gather(self._parts.source.leave(), self._parts.sink.stop())
        for lane in self._parts.lanes.values():
            await lane.provider.aclose()
