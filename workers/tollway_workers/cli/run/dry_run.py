"""What a run would do, and cost at most, without a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from tollway_schemas import Usage
from tollway_workers.cli.batch.batch import BatchReader
from tollway_workers.cli.batch.labels import LineForm
from tollway_workers.cli.batch.line import BadLine, BatchJob
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.config.shape.fleet import LaneConfig, resolve_lane
from tollway_workers.config.shape.price import Price
from tollway_workers.job.cost import cost_of
from tollway_workers.limits.estimate import prompt_tokens
from tollway_workers.providers.protocols import wire_format

#: Of each lane that are said.
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of one call for each job. Tokens are estimated without a tokenizer, on the safe side."""

    jobs: int
    bad_lines: tuple[BadLine, ...]
    input_tokens: int
    #: Most tokens of all answers; None: some job has no limit.
    output_tokens: int | None
    #: Pico-USD at most; None: unknown, for want of a price or of a limit.
    cost: int | None
    #: Jobs that do not say how long their answer may be.
    unlimited: int
    #: Jobs that no lane of their route can say to its provider: each would be a dead letter,
    #: without a call.
    inexpressible: tuple[BadLine, ...] = ()


def estimate(reader: BatchReader, plan: FleetPlan, *, now: float) -> Estimate:
    """Add up the jobs of a batch, at the prices of `now` (seconds since 1970).

    Touches no broker and no provider.
    """
    batch = reader.check("dry-run")
    good = set(batch.line_of.values())
    jobs, input_tokens, output_tokens, unlimited = 0, 0, 0, 0
    cost: int | None = 0
    inexpressible: list[BadLine] = []
    lanes_of = cache(partial(_lanes, plan))
    for item in reader.jobs():
        if item.line not in good:
            continue
        lanes = lanes_of(plan.route or item.model)
        if (why := _unsaid(item, lanes)) is not None:
            jobs += 1
            inexpressible.append(BadLine(line=item.line, custom_id=item.custom_id, message=why))
            continue
        tokens = prompt_tokens(item.request, item.output)
        most = 0 if item.form is LineForm.EMBEDDINGS else item.request.max_output_tokens
        jobs += 1
        input_tokens += tokens
        output_tokens += most or 0
        unlimited += most is None
        one = None if most is None else cost_of(_usage(tokens, most), _price(lanes, now))
        cost = None if cost is None or one is None else cost + one
    return Estimate(
        jobs=jobs,
        bad_lines=tuple(batch.bad_lines),
        input_tokens=input_tokens,
        output_tokens=None if unlimited else output_tokens,
        cost=cost,
        unlimited=unlimited,
        inexpressible=tuple(inexpressible),
    )


def _unsaid(item: BatchJob, lanes: Sequence[LaneConfig]) -> str | None:
    """Why no lane of a job's route can say it to its provider; None where one can, or where the
    lanes are unknown.
    """
    reasons: list[str] = []
    for lane in lanes:
        problems = wire_format(lane.protocol).unsupported(item.request, item.output, lane)
        if not problems:
            return None
        reasons.append(f"lane {lane.name} ({lane.protocol}): {'; '.join(problems[:_MOST_REASONS])}")
    return "; ".join(reasons) or None


def _usage(input_tokens: int, output_tokens: int) -> Usage:
    return Usage(input_total=input_tokens, output_total=output_tokens, estimated=True)


def _price(lanes: Sequence[LaneConfig], now: float) -> Price | None:
    return lanes[0].prices.at(now) if lanes else None


def _lanes(plan: FleetPlan, route: str | None) -> list[LaneConfig]:
    """The lanes of a route, in their order; none where others' fleet answers it."""
    if plan.routes is None or route is None:
        return []
    settings = plan.settings
    return [resolve_lane(name, settings) for name in settings.routes[plan.routes[route].name].lanes]
