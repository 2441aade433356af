"""All checks, in the order in which they are asked: the first that has an outcome decides."""

from collections.abc import Callable, Mapping

from tollway_schemas.job import ReplyAddress
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.operators.commands import Commands
from tollway_workers.pipeline.admit import Admission
from tollway_workers.pipeline.check import Checks
from tollway_workers.pipeline.checks.accept import has_an_acceptable_rung
from tollway_workers.pipeline.checks.cancelled import NotCancelled
from tollway_workers.pipeline.checks.crashed import has_crashed_workers
from tollway_workers.pipeline.checks.deadline import has_a_deadline_ahead
from tollway_workers.pipeline.checks.expressible import Expressible
from tollway_workers.pipeline.checks.limits import WithinLimits
from tollway_workers.pipeline.checks.output_schema import OutputSchemaUsable
from tollway_workers.pipeline.checks.reply_topic import ReplyTopicAllowed
from tollway_workers.pipeline.checks.route import LaneServed
from tollway_workers.pipeline.checks.tool_schemas import ToolSchemasUsable
from tollway_workers.validation.validator import ResultValidator


def checks_in_order(
    *,
    routes: Mapping[str, RouteSettings],
    admissions: Mapping[str, Admission],
    may_reply_to: Callable[[ReplyAddress], bool],
    validator: ResultValidator,
    commands: Commands,
) -> Checks:
    """What a worker asks of each job. Those on the job alone come before those on its lane."""
    not_cancelled, within_limits = NotCancelled(commands), WithinLimits(admissions)
    return Checks(
        when_read=(
            has_crashed_workers,
            has_a_deadline_ahead,
            ReplyTopicAllowed(may_reply_to),
            OutputSchemaUsable(validator),
            ToolSchemasUsable(validator),
            LaneServed(routes),
            not_cancelled,
            has_an_acceptable_rung,
            Expressible(admissions),
            within_limits,
        ),
        while_waiting=(has_a_deadline_ahead, not_cancelled, within_limits),
    )
