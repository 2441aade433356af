"""What a run would do, and cost at most, without a call."""

from dataclasses import dataclass

from tollway_schemas import Usage
from tollway_workers.cli.batch.batch import BatchReader
from tollway_workers.cli.batch.line import BadLine, BatchJob
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.config.shape.fleet import resolve_lane
from tollway_workers.config.shape.price import Price
from tollway_workers.job.cost import cost_of
from tollway_workers.limits.estimate import prompt_tokens


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


def estimate(reader: BatchReader, plan: FleetPlan, *, now: float) -> Estimate:
    """Add up the jobs of a batch, at the prices of `now` (seconds since 1970).

    Touches no broker and no provider.
    """
    batch = reader.check("dry-run")
    good = set(batch.line_of.values())
    jobs, input_tokens, output_tokens, unlimited = 0, 0, 0, 0
    cost: int | None = 0
    for item in reader.jobs():
        if item.line not in good:
            continue
        tokens = prompt_tokens(item.request, item.output)
        most = item.request.max_output_tokens
        jobs += 1
        input_tokens += tokens
        output_tokens += most or 0
        unlimited += most is None
        one = None if most is None else cost_of(_usage(tokens, most), _price(item, plan, now))
        cost = None if cost is None or one is None else cost + one
    return Estimate(
        jobs=jobs,
        bad_lines=tuple(batch.bad_lines),
        input_tokens=input_tokens,
        output_tokens=None if unlimited else output_tokens,
        cost=cost,
        unlimited=unlimited,
    )


def _usage(input_tokens: int, output_tokens: int) -> Usage:
    return Usage(input_total=input_tokens, output_total=output_tokens, estimated=True)


def _price(item: BatchJob, plan: FleetPlan, now: float) -> Price | None:
    route = plan.route or item.model
    if plan.routes is None or route is None:
        return None
    settings = plan.settings
    lane = settings.routes[plan.routes[route].name].lanes[0]
    return resolve_lane(lane, settings).prices.at(now)
