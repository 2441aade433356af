"""All of a run that needs no Kafka: its input, judged, and its output, opened.

It reads whole files and lets nobody in between: so it is done before the event loop runs, where a
signal ends it at once.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from tollway_schemas import OutputSchema
from tollway_workers.cli.batch.batch import (
    LINE_BYTES_PER_JOB_BYTE,
    Batch,
    BatchReader,
    BatchRules,
)
from tollway_workers.cli.batch.collect import Collector
from tollway_workers.cli.batch.file import BatchFile
from tollway_workers.cli.run.identity.resume import Identity, OpenedOutput, open_output
from tollway_workers.cli.run.identity.state import RunState
from tollway_workers.cli.run.needed_keys import require_keys
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.cli.shared.output import count
from tollway_workers.errors import InvalidSchema
from tollway_workers.validation.validator import ResultValidator


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a run before Kafka is asked."""

    reader: BatchReader
    batch: Batch
    opened: OpenedOutput
    identity: Identity

    @property
    def is_complete(self) -> bool:
        """Whether every line has had its ending in the round that was begun last."""
        state = self.opened.state
        if state is None:
            return False
        out, line_of = self.opened.out, self.batch.line_of
        return not Collector(line_of, out, generation=state.generation).missing


@contextmanager
def prepared(
    options: RunOptions, plan: FleetPlan, tell: Callable[[str], None]
) -> Iterator[Prepared]:
    """Read the input and open the output, for the time of the block. Raises FleetError."""
    with open_batch(options, plan) as file:
        reader = batch_reader(options, plan, file)
        identity = Identity(
            sha256=file.sha256(),
            route=options.route,
            who=plan.who,
            prefix=plan.settings.kafka.prefix,
            out=options.out,
        )
        # `--fresh` empties OUT: only once everything else is known to be right.
        batch = _judged(reader, None, options, plan) if options.fresh else None
        opened = open_output(options, identity)
        with closing(opened.out):
            batch = batch or _judged(reader, opened.state, options, plan)
            tell(_first_words(options, batch, opened.state))
            yield Prepared(reader, batch, opened, identity)


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
        routes=None if plan.routes is None else {k: v.name for k, v in plan.routes.items()},
        max_job_bytes=plan.settings.kafka.max_job_bytes,
        limit=options.limit,
        form=options.form,
        run_budget_usd=options.budget,
    )
    return BatchReader(file, rules, judge)


def _judged(
    reader: BatchReader, state: RunState | None, options: RunOptions, plan: FleetPlan
) -> Batch:
    batch = reader.check(state.run if state else secrets.token_hex(6))
    require_keys(options, plan, batch.routes)
    return batch


def _first_words(options: RunOptions, batch: Batch, state: RunState | None) -> str:
    bad = f", {len(batch.bad_lines):,} of them invalid" if batch.bad_lines else ""
    lines = count(batch.lines, "line")
    again = f", going on with run {batch.run_id}" if state else f", run {batch.run_id}"
    return f"{options.source}: {lines}{bad}{again}"
