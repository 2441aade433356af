"""From a completion to the answer of its job, or why it is none."""

from functools import cache

from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer
from tollway_workers.job.progress import JobProgress
from tollway_workers.providers.base import Completion
from tollway_workers.validation.checks import RouteChecks
from tollway_workers.validation.repair.mend import MendRules
from tollway_workers.validation.validator import ResultValidator


async def validated(
    validator: ResultValidator, checks: RouteChecks, progress: JobProgress, completion: Completion
) -> Answer:
    """The answer, held to the job's schema and to what its route asks besides.

    Raises ProviderError, InvalidResult.
    """
    job, route = progress.job, progress.route
    answer = await validator.validate(
        job.output,
        completion,
        progress.schema,
        tools=job.request.tools,
        rules=_rules(route.repair, route.coercions),
    )
    if not answer.tool_calls:
        await checks.check(job, answer)
    return answer


@cache
def _rules(repair: bool, coercions: tuple[str, ...]) -> MendRules:
    """Those of a route, made once."""
    return MendRules(repair=repair, coercions=frozenset(coercions))


def provenance_of(answer: Answer, progress: JobProgress) -> Provenance:
    """The weakest rung that applies."""
    if answer.repairs:
        return Provenance.REPAIRED
    return Provenance.REASKED if progress.reasking else Provenance.LIVE
