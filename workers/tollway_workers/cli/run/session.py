"""`tollway run` from its options to its exit status."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

from tollway_schemas import OutputSchema
from tollway_workers.app.connection import client_options
from tollway_workers.cli.run.batch import (
    LINE_BYTES_PER_JOB_BYTE,
    Batch,
    BatchReader,
    BatchRules,
)
from tollway_workers.cli.run.batch_file import BatchFile
from tollway_workers.cli.run.conduct import Conductor
from tollway_workers.cli.run.fleet import broker, fleet, make_topics
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.resume import Identity, OpenedOutput, open_output
from tollway_workers.cli.run.screen import Screen
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.cli.run.signals import StopSignals
from tollway_workers.cli.run.state import RunState
from tollway_workers.cli.run.tally import Tally
from tollway_workers.cli.run.work import RunParts, RunWork, new_state
from tollway_workers.clock import SystemClock
from tollway_workers.config.fleet import FleetSettings
from tollway_workers.errors import InvalidSchema
from tollway_workers.kafka.log_reader import LogReader
from tollway_workers.kafka.settings import SinkSettings
from tollway_workers.kafka.sink import KafkaSink
from tollway_workers.policies.topic_specs import RECORD_OVERHEAD
from tollway_workers.validation.validator import ResultValidator


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended."""

    run_id: str
    tally: Tally
    #: Lines of the input that count.
    total: int
    #: Seconds of this process.
    seconds: float
    #: The exit status that a signal asks for; None: it ended by itself.
    stopped: int | None

    @property
    def exit_status(self) -> int:
        """0 all answered, 1 some failed; what the signal says if it was stopped."""
        if self.stopped is not None and self.tally.lines < self.total:
            return self.stopped
        return 1 if self.tally.failed else 0


def open_batch(options: RunOptions, plan: FleetPlan) -> BatchFile:
    """The input. Raises InputError if it cannot be read."""
    longest = plan.settings.kafka.max_job_bytes * LINE_BYTES_PER_JOB_BYTE
    return BatchFile.open(options.source, longest_line=longest)


def batch_reader(options: RunOptions, plan: FleetPlan, file: BatchFile) -> BatchReader:
    """Reads the input under the fleet's rules."""
    validator = ResultValidator()

    def judge(output: OutputSchema) -> str | None:
        try:
            validator.check_now(output)
        except InvalidSchema as error:
            return str(error)
        return None

    rules = BatchRules(
        route=plan.route,
        routes=plan.routes,
        max_job_bytes=plan.settings.kafka.max_job_bytes,
        limit=options.limit,
    )
    return BatchReader(file, rules, judge)


class Session:
    """One run: `play` once.

    Mutable state: none but what its parts keep; a session that fails is started anew.
    """

    def __init__(self, options: RunOptions, plan: FleetPlan, screen: Screen) -> None:
        self._options = options
        self._plan = plan
        self._screen = screen

    async def play(self) -> Result:
        """Run until every line has its ending or a signal comes. Raises TollwayError."""
        began = time.monotonic()
        with open_batch(self._options, self._plan) as file, StopSignals() as signals:
            signals.at_once = True
            reader = batch_reader(self._options, self._plan, file)
            identity = self._identity(file)
            opened = open_output(self._options, identity)
            with closing(opened.out):
                state = opened.state
                batch = reader.check(state.run if state else secrets.token_hex(6))
                self._screen.tell(_first_words(self._options, batch, state))
                async with self._work(reader, batch, opened, identity) as work:
                    await self._conduct(work, batch.lines, signals)
        return Result(
            run_id=batch.run_id,
            tally=work.collector.tally,
            total=batch.lines,
            seconds=time.monotonic() - began,
            stopped=signals.exit_status,
        )

    async def _conduct(self, work: RunWork, total: int, signals: StopSignals) -> None:
        await work.prepare()
        if not work.collector.missing:
            await work.finish()
            return
        own = fleet(self._plan, work.settings, work.cluster, self._options, self._screen.tell)
        async with own as brought:
            conductor = Conductor(
                work,
                brought.workers if brought else None,
                self._screen.show,
                total=total,
                beside_others=brought.beside_others if brought else False,
                drain_timeout=brought.drain_timeout if brought else 0.0,
            )
            # From here on there are calls to finish.
            signals.at_once = False
            with self._screen.showing(total):
                await conductor.play(signals.event)

    @asynccontextmanager
    async def _work(
        self, reader: BatchReader, batch: Batch, opened: OpenedOutput, identity: Identity
    ) -> AsyncIterator[RunWork]:
        """The run on its broker, with all clients open."""
        async with AsyncExitStack() as stack:
            settings = await stack.enter_async_context(broker(self._plan, self._screen.tell))
            await make_topics(self._plan, settings)
            client = client_options(settings.kafka)
            parts = RunParts(
                reader=reader,
                batch=batch,
                out=opened.out,
                state_file=opened.state_file,
                settings=settings,
                jobs_log=LogReader(client),
                replies_log=LogReader(client),
                sink=_sink(settings, client),
            )
            for started in (parts.jobs_log, parts.replies_log, parts.sink):
                await started.start()
                stack.push_async_callback(started.stop)
            yield RunWork(parts, await self._state(parts, opened, identity))

    async def _state(self, parts: RunParts, opened: OpenedOutput, identity: Identity) -> RunState:
        cluster = await parts.jobs_log.cluster_id()
        if opened.state is not None:
            identity.check(opened.state, cluster)
            return opened.state
        ends = await parts.jobs_log.ends([parts.names.replies])
        return new_state(
            parts.batch, ends, sha256=identity.sha256, route=identity.route, cluster=cluster
        )

    def _identity(self, file: BatchFile) -> Identity:
        return Identity(
            sha256=file.sha256(),
            route=self._plan.route,
            prefix=self._plan.settings.kafka.prefix,
            out=self._options.out,
        )


def _sink(settings: FleetSettings, client: dict[str, Any]) -> KafkaSink:
    most_bytes = settings.kafka.max_job_bytes + RECORD_OVERHEAD
    return KafkaSink(SinkSettings(client=client, most_bytes=most_bytes), SystemClock())


def _first_words(options: RunOptions, batch: Batch, state: RunState | None) -> str:
    bad = f", {len(batch.bad_lines):,} of them no jobs" if batch.bad_lines else ""
    again = f", going on with run {batch.run_id}" if state else f", run {batch.run_id}"
    return f"{options.source}: {batch.lines:,} lines{bad}{again}"
