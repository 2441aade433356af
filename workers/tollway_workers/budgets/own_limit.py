"""What a job or its lane lets through at all, whatever budgets have: its own limit, a known bound.
Pure.
"""

from collections.abc import Mapping

from tollway_schemas.attempt import Attempt, Billed
from tollway_schemas.failure import FailureClass
from tollway_schemas.usage import pico_usd
from tollway_workers.budgets.claims import claim_of, unbounded_extra
from tollway_workers.budgets.lack import Lack, Short, dollars
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.refusals import counted
from tollway_workers.limits.call_cost import Claim

#: Failures of calls that may have been answered all the same.
_MAYBE_BILLED = frozenset(
    {
        FailureClass.TIMEOUT_FIRST_TOKEN,
        FailureClass.TIMEOUT_IDLE,
        FailureClass.TIMEOUT_TOTAL,
        FailureClass.NO_COMPLETION,
    }
)


def beyond_own(
    job: JobProgress, claim: Claim, lanes: Mapping[str, LaneConfig], lane: str
) -> Lack | None:
    """Why the job's own limit lets no further call through; None where it does."""
    most = job.job.max_cost_usd
    if most is None:
        return None
    if claim.money is None:
        return unpriced(lane)
    spent = sum(_most_cost(each, job, claim.money, lanes) for each in job.attempts)
    spent += _left_out(job) * claim.money
    if spent + claim.money <= pico_usd(most):
        return None
    said = (
        f"the job's max_cost_usd of {dollars(pico_usd(most))} might be passed: {dollars(spent)} is "
        f"spent, and the next call costs up to {dollars(claim.money)}"
    )
    return Lack(Short.OWN, said)


def _most_cost(
    attempt: Attempt, job: JobProgress, next_claim: int, lanes: Mapping[str, LaneConfig]
) -> int:
    """What a call may have cost: one that did not say, the most that it or the next one may."""
    if attempt.billed is Billed.NO:
        return 0
    if is_counted(attempt) and attempt.cost is not None:
        return attempt.cost
    own = lanes.get(attempt.lane)
    claim = None if own is None else claim_of(job.job.request, job.job.output, own, job.schema)
    return max(attempt.cost or 0, next_claim, (claim and claim.money) or 0)


def _left_out(job: JobProgress) -> int:
    """Calls that are no longer listed, and may have been billed."""
    listed = counted(job.attempts)
    return sum(
        count - listed.get(kind, 0)
        for kind, count in job.uncharged.items()
        if kind in _MAYBE_BILLED and count > listed.get(kind, 0)
    )


def is_counted(attempt: Attempt) -> bool:
    """Whether the provider said what it charges for."""
    usage = attempt.usage
    return attempt.billed is Billed.YES and usage is not None and not usage.estimated


def unpriced(lane: str) -> Lack:
    """Why nothing is paid for on a lane without a price."""
    said = f"lane {lane} has no price, so that nothing bounds what a call costs: give it one"
    return Lack(Short.OWN, said)


def unbounded(job: JobProgress, lane: LaneConfig) -> Lack:
    """Why a call that nothing bounds is not paid for."""
    extra = unbounded_extra(job.request, lane.protocol)
    said = (
        f"nothing bounds the answer, nor what it costs: give lane {lane.name} max_output_tokens, "
        "or the job request.max_output_tokens"
        if extra is None
        else f"nothing bounds what a call with {extra} costs: leave it out where budgets hold"
    )
    return Lack(Short.OWN, said)
