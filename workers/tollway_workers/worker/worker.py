"""One process of the fleet: takes jobs, calls lanes, writes outcomes, commits."""

import asyncio
from functools import partial

import structlog

from tollway_workers.errors import CallNotSent
from tollway_workers.job.endings import bug
from tollway_workers.job.envelopes import Exchange
from tollway_workers.job.failure_table import FAILURE_TABLE
from tollway_workers.job.outcome import Forwarded, Outcome, RetryLater
from tollway_workers.job.progress import JobProgress
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.copies import Copies
from tollway_workers.pipeline.count import Counting
from tollway_workers.pipeline.decide import expired
from tollway_workers.pipeline.dispatch import Dispatcher, Reactions, answer_expired
from tollway_workers.pipeline.read import Ended, Refused
from tollway_workers.pipeline.write import OutcomeWriter
from tollway_workers.safe_traceback import error_fields
from tollway_workers.worker.commits import Commits
from tollway_workers.worker.handover import Releases, leaves
from tollway_workers.worker.operators import Cancelling
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

    State: `_tasks` (what calls or writes), `_calls` (those that call), `_bytes` (of records that
    wait or run), `_full` (topics that hold their part of a lane, and are not read).
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._clock = parts.clock
        admissions = {name: lane.admission for name, lane in parts.lanes.items()}
        self.dispatcher = Dispatcher(
            admissions,
            parts.clock,
            Reactions(
                self._may_start,
                self._start,
                self._forget,
                self._expire,
                lambda lane: self._counting.look_ahead(lane),
            ),
            parts.fairness,
        )
        self._tasks = Tasks()
        self._counting = Counting(self.dispatcher, admissions, go=self._tasks.go, end=self._close)
        self.writer = OutcomeWriter(parts.publisher, parts.sink, parts.events, parts.clock)
        self._copies = Copies(
            parts.replies,
            self.writer,
            parts.events,
            go=self._tasks.go,
            work_on=self._work_on,
            done_with=lambda copy: self._done_with(copy.record),
        )
        self._group_topics = parts.intake.group_topics
        self._calls: dict[JobProgress, asyncio.Task[None]] = {}
        self._releases = Releases(
            parts.source,
            self.dispatcher,
            self._calls,
            parts.clock,
            group_topics=self._group_topics,
            longest_call=parts.longest_call,
        )
        self.cancelling = Cancelling(parts, self.dispatcher, self._calls, self._close)
        self._bytes = 0
        self._full: list[str] = []
        self._draining = asyncio.Event()
        self._commits = Commits(parts.source, parts.clock, self.dispatcher.pump_all)

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
                        answer_expired(self._take_expired, self._clock, self._expire),
                        name="deadlines",
                    ),
                    relaying := background.create_task(parts.relay.keep_running(), name="relay"),
                ]
                await self._take_jobs()
                await self._finish_begun(drain_timeout)
                await asyncio.wait({relaying}, timeout=_RELAY_LEAVES)
                for task in tasks:
                    task.cancel()
        finally:
            await self._stop()

    def drain(self) -> None:
        """Take nothing more; `run` returns when what is begun has ended. Idempotent."""
        self._draining.set()
        self._parts.source.drain()
        self._parts.relay.stop()
        self._let_go()

    @property
    def draining(self) -> bool:
        """Whether it was told to stop."""
        return self._draining.is_set()

    async def _take_jobs(self) -> None:
        source = self._parts.source
        while not self.draining:
            held = self._bytes + self.dispatcher.bytes_besides
            room = _MOST_POLLED if held < self._parts.memory_bytes else 0
            lanes = set()
            async for record in in_turns(await source.poll(room), lambda each: each.size):
                self._bytes += record.size
                progress = self._take(record)
                if progress is not None and self._copies.is_first(progress):
                    self._wait(progress)
                    lanes.add(progress.lane)
            for lane in lanes:
                self.dispatcher.pump(lane)
            self._let_go()
            self._hold_back()

    def _take(self, record: ReceivedRecord) -> JobProgress | None:
        """The job that waits for its lane; None where it is on its way to an end already."""
        taken = self._parts.intake.take(record)
        if isinstance(taken, JobProgress):
            return taken
        if isinstance(taken, Ended):
            self._close(taken.progress, taken.outcome)
        else:
            self._tasks.go(self._refuse(taken))
        return None

    def _work_on(self, copy: JobProgress) -> None:
        """A copy whose first has no reply: it is a job like any other."""
        if not copy.owned:
            self._forget(copy)
        elif copy.record.tracker.releasing:
            self._give_back(copy)
        elif self._copies.is_first(copy):
            self._wait(copy)
            self.dispatcher.pump(copy.lane)

    def _wait(self, progress: JobProgress) -> None:
        if self.cancelling.ends(progress) or self._counting.ends(progress):
            return
        if progress.attempts or progress.not_before:
            until = min(progress.not_before, progress.deadline)
            self.dispatcher.retry(progress, until - self._clock.now())
        else:
            self.dispatcher.offer(progress)

    async def _refuse(self, refused: Refused) -> None:
        await self.writer.refuse(*refused)
        self._done_with(refused.record)
        self._parts.events.record_refused(refused.route, refused.failure)

    def _may_start(self, progress: JobProgress) -> bool:
        source = self._parts.source
        ours = source.may_start(progress.record) and source.serves(
            self._group_topics[progress.lane]
        )
        return ours and self.cancelling.may_start(progress.lane)

    def _start(self, progress: JobProgress, permit: Permit) -> None:
        self._parts.events.call_started(progress.lane)
        self._calls[progress] = self._tasks.go(self._call(progress, permit))

    async def _call(self, progress: JobProgress, permit: Permit) -> None:
        calls_before = progress.calls
        ended: tuple[Outcome, Exchange | None] | None = None
        try:
            may_send = partial(self._may_start, progress)
            ended = await self._parts.executor.execute(progress, permit, may_send)
        except CallNotSent:
            # It waits until a commit has proved that it is ours, or goes to whoever has it next.
            if not self.cancelling.ends(progress):
                self.dispatcher.retry(progress, 0.0)
        except Exception as error:  # noqa: BLE001 a bug met by one job must not end the others'
            log.error(
                "unexpected exception while calling a job: it is a dead letter, the others go on",
                job=progress.job.id,
                **error_fields(error),
            )
            ended = bug(error, progress.lane), None
        except asyncio.CancelledError:
            # It may go on at its provider: whoever has it next must not count on its end.
            progress.record.tracker.aborted = True
            if progress.owned and leaves(progress):
                self._part_with(progress)
            else:
                self._give_back(progress)
            raise
        finally:
            del self._calls[progress]
            permit.release()
            self.dispatcher.pump(progress.lane)
            if self._full:
                # There may be room again: a fast lane must not run dry until the next poll.
                self._hold_back()
        called = progress.calls > calls_before
        self._parts.events.call_ended(progress.lane, progress.attempts[-1] if called else None)
        if ended is not None:
            await self._end(progress, *ended)

    async def _end(
        self, progress: JobProgress, outcome: Outcome, exchange: Exchange | None
    ) -> None:
        """Write the outcome, however long that takes, and act on it."""
        outcome, reply = await self.writer.write(progress, outcome, exchange)
        if isinstance(outcome, RetryLater):
            if not self.cancelling.ends(progress):
                self._again(progress, outcome)
            return
        self._done_with(progress.record)
        if isinstance(outcome, Forwarded):
            self._commits.soon()
            self._parts.events.job_forwarded(outcome)
            self._copies.left(progress)
        else:
            self._parts.events.job_ended(progress, outcome)
            self._copies.replied(progress, outcome, reply)

    def _again(self, progress: JobProgress, outcome: RetryLater) -> None:
        last = progress.attempts[-1].failure_class
        if last is not None and FAILURE_TABLE[last].next.waits_for_lane:
            self.dispatcher.requeue(progress)
        else:
            progress.not_before = self._clock.now() + outcome.delay
            self._wait(progress)
        self._let_go()
        self.dispatcher.pump(progress.lane)

    def _done_with(self, record: ReceivedRecord) -> None:
        self._parts.source.complete(record)
        self._bytes -= record.size

    def _forget(self, progress: JobProgress) -> None:
        self._bytes -= progress.record.size
        self._copies.left(progress)

    def _give_back(self, progress: JobProgress) -> None:
        self._parts.source.give_back(progress.record)
        self._forget(progress)

    def _let_go(self) -> None:
        """Of what waits and is not to be called here: it is read, or goes on, elsewhere."""
        for progress in self._releases.take():
            self._part_with(progress)

    def _part_with(self, progress: JobProgress) -> None:
        if not progress.owned:
            # Others read it where it lies; sent on, it would be called twice.
            self._forget(progress)
        elif leaves(progress) and not progress.begun:
            self._give_back(progress)
        else:
            onward = Forwarded(progress.lane, "released", progress.not_before)
            self._close(progress, onward)

    def _expire(self, progress: JobProgress) -> None:
        self._close(progress, expired(progress))

    def _take_expired(self, now: float) -> list[JobProgress]:
        return self.dispatcher.take_expired(now) + self._copies.take_expired(now)

    def _close(self, progress: JobProgress, outcome: Outcome) -> None:
        self._tasks.go(self._end(progress, outcome, None))

    def _hold_back(self) -> None:
        self._full = self.dispatcher.full_topics()
        self._parts.source.hold_back(self._full, self.cancelling.resting_topics)

    async def _finish_begun(self, drain_timeout: float) -> None:
        """What runs may end; what waits is let go of, to be called by others."""
        until = self._clock.monotonic() + drain_timeout
        while (self._tasks or self.dispatcher.waiting) and self._clock.monotonic() < until:
            # Kafka must see that we live; nothing new is taken.
            await self._parts.source.poll(0)
            self._let_go()

    async def _stop(self) -> None:
        # A call that is cancelled gives its permit back: nobody may have it any more.
        self.dispatcher.stop()
        await self._tasks.end(_SENDING_ON)
        # At once: while Kafka is away each takes as long as it may.
        await asyncio.gather(self._parts.source.leave(), self._parts.sink.stop())
        for lane in self._parts.lanes.values():
            await lane.provider.aclose()
