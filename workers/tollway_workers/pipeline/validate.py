"""From a completion to the answer of its job, or why it is none."""

from functools import cache

from tollway_schemas.failure import FailureClass
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer
from tollway_workers.errors import InvalidResult
from tollway_workers.job.accepted import accepted
from tollway_workers.job.progress import JobProgress
from tollway_workers.providers.base import Completion
from tollway_workers.validation.checks import RouteChecks
from tollway_workers.validation.finish import no_answer
from tollway_workers.validation.repair.mend import MendRules
from tollway_workers.validation.validator import ResultValidator


async def validated(
    validator: ResultValidator, checks: RouteChecks, progress: JobProgress, completion: Completion
) -> Answer:
    """The answer, held to the job's schema and to what its route asks besides.

    Raises ProviderError, InvalidResult.
    """
    job, route = progress.job, progress.route
    mends = Provenance.REPAIRED in accepted(progress)
    answer = await validator.validate(
        job.output,
        completion,
        progress.schema,
        tools=job.request.tools,
        rules=_rules(route.repair, route.coercions) if mends else _rules(False, ()),
    )
    if answer.repairs and not mends:
        raise InvalidResult(("/: is JSON that not every reader takes as it is",), answer.text or "")
    if not answer.tool_calls:
        await checks.check(job, answer)
    return answer


def check_accepted(progress: JobProgress, completion: Completion, answer: Answer) -> None:
    """Raise ProviderError where the job does not accept what made the answer: it was paid for, and
    no other call of this lane would be worth more to it.
    """
    provenance = provenance_of(answer, progress)
    if provenance not in accepted(progress):
        message = f"the answer is {provenance.value}, which the job or its route does not accept"
        raise no_answer(completion, FailureClass.INVALID_JOB, message)


@cache
def _rules(repair: bool, coercions: tuple[str, ...]) -> MendRules:
    """Those of a route, made once."""
    return MendRules(repair=repair, coercions=frozenset(coercions))


def provenance_of(answer: Answer, progress: JobProgress) -> Provenance:
    """The weakest rung that applies."""
    if progress.lane != progress.route.lanes[0]:
        return Provenance.FALLBACK
    if answer.repairs:
        return Provenance.REPAIRED
    return Provenance.REASKED if progress.reasking else Provenance.LIVE
