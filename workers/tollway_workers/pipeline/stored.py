"""Stored answers of a redriven job, held to all that an answer of a call is held to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tollway_schemas.dead_letter import BadAnswer
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import Redrive, StoredAnswer
from tollway_schemas.reply import Answer
from tollway_workers.errors import InvalidResult, ProviderError
from tollway_workers.job.accepted import accepted
from tollway_workers.job.outcome import Completed, DeadLettered
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.validate import validated
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.validation.checks import RouteChecks
from tollway_workers.validation.tool_calls import as_text
from tollway_workers.validation.validator import ResultValidator

_STRENGTH = {each: place for place, each in enumerate(Provenance)}
_FINISHES = frozenset(Finish)
#: What a job may be given up as again: not what an operator's command or a worker's death did.
_CLASSES = {
    each.value: each
    for each in FailureClass
    if each not in (FailureClass.CANCELLED, FailureClass.WORKER_CRASHED)
}


class Held(NamedTuple):
    """What holding a job's stored answers to it has brought."""

    found: Completed | None
    #: The answers that were no use, the latest last, each with what is wrong with it.
    refused: tuple[BadAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """Holds the answers that a redriven job carries to its schema and to its route's check."""

    validator: ResultValidator
    checks: RouteChecks

    async def hold(self, progress: JobProgress, redrive: Redrive) -> Held:
        """The latest that is an answer of the job, as it stood when it came; what takes long is
        done elsewhere.
        """
        refused: list[BadAnswer] = []
        for stored in reversed(redrive.answers):
            try:
                answer = await validated(
                    self.validator, self.checks, progress, as_completion(stored)
                )
            except (InvalidResult, ProviderError) as error:
                refused.insert(0, _refused(stored, _problems(error)))
                continue
            provenance = provenance_now(stored, answer, progress)
            if provenance in accepted(progress):
                return Held(as_completed(stored, answer, provenance, progress), tuple(refused))
            why = f"/: the answer is {provenance.value}, which the job or its route does not accept"
            refused.insert(0, _refused(stored, (why,)))
        return Held(None, tuple(refused))


def as_completion(stored: StoredAnswer) -> Completion:
    """As if the call that brought it had just ended."""
    said = stored.finish
    finish = Finish.NOT_SAID if said is None else Finish.UNKNOWN
    calls = stored.tool_calls
    text: str | None = stored.text
    if calls and text == as_text(calls):
        # Nothing was said beside them.
        text = None
    return Completion(
        text=text,
        tool_calls=calls,
        finish=Finish(said) if said in _FINISHES else finish,
        finish_reason=stored.finish_reason,
        usage=stored.usage,
        model_served=stored.model,
        provider_request_id=None,
        status=200,
        scripted=stored.scripted,
        body=b"",
    )


def provenance_now(stored: StoredAnswer, answer: Answer, progress: JobProgress) -> Provenance:
    """The rung that it stood on, or a weaker one where it had to be repaired."""
    first = progress.route.lanes[0]
    by_lane = Provenance.LIVE if stored.lane in (None, first) else Provenance.FALLBACK
    rung = stored.provenance or by_lane
    return max(rung, Provenance.REPAIRED, key=_STRENGTH.__getitem__) if answer.repairs else rung


def as_completed(
    stored: StoredAnswer, answer: Answer, provenance: Provenance, progress: JobProgress
) -> Completed:
    """The outcome of a job that is answered by it."""
    return Completed(
        answer,
        provenance,
        stored.lane or progress.lane,
        stored.model,
        stored.scripted,
        stored=stored,
    )


def given_up_again(redrive: Redrive, refused: Iterable[BadAnswer]) -> DeadLettered:
    """The job is what it was: a dead letter of its old class, with the problems of its latest
    answer.
    """
    kind = _CLASSES.get(redrive.failure_class or "", FailureClass.BAD_OUTPUT)
    answers = list(refused)
    if not answers:
        return DeadLettered(Failure(failure_class=kind, message="it carries no stored answer"))
    latest = answers[-1]
    failure = Failure(
        failure_class=kind,
        message=f"none of its {len(answers)} stored answer(s) is what the job asks for",
        lane=latest.lane,
        problems=latest.problems,
    )
    return DeadLettered(failure, latest.problems[0] if latest.problems else "")


def _problems(error: InvalidResult | ProviderError) -> tuple[str, ...]:
    if isinstance(error, InvalidResult):
        return error.problems
    return (f"/: {error.failure.message}"[:200],)


def _refused(stored: StoredAnswer, problems: tuple[str, ...]) -> BadAnswer:
    kept = {name: getattr(stored, name) for name in StoredAnswer.model_fields}
    return BadAnswer(**kept, problems=problems)
