"""The record of a call: an attempt of its job, and what went over the wire for the journal."""

from dataclasses import dataclass, field

from tollway_schemas.attempt import Attempt, Billed
from tollway_schemas.dead_letter import LONGEST_KEPT, BadAnswer
from tollway_schemas.failure import FailureClass
from tollway_schemas.redrive import MOST_TOOL_CALLS
from tollway_schemas.reply import Answer
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.errors import InvalidResult, ProviderError
from tollway_workers.job.cost import cost_of
from tollway_workers.job.envelopes import Exchange, instant
from tollway_workers.job.failure_table import FAILURE_TABLE
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.ladder import attempts_here
from tollway_workers.limits.estimated_usage import estimated_usage
from tollway_workers.pipeline.decide import CallError, failure_class_of
from tollway_workers.pipeline.validate import provenance_of
from tollway_workers.providers.base import Completion, Received
from tollway_workers.validation.tool_calls import as_text

#: Characters of a provider's word that are kept.
_LONGEST_WORD = 128
#: An answer that came as it had to.
_NO_REPAIRS = Answer()


@dataclass(slots=True)
class Call:
    """One call while it is made: what was sent, when, and what came back."""

    config: LaneConfig
    body: bytes
    #: Seconds since 1970, and by the clock that only goes on.
    started: float
    started_monotonic: float
    latency: float = 0.0
    completion: Completion | None = None
    #: Whether a stream was asked for.
    stream: bool = False
    received: Received = field(default_factory=Received)
    #: Seconds until the first token of a stream.
    first_token: float | None = None


def note_answer(progress: JobProgress, call: Call, completion: Completion) -> Exchange:
    """Add a call whose answer is good to its job's attempts; the exchange, for the journal."""
    attempt = _attempt(progress, call, None)
    as_it_came = completion.kept is completion.body and not completion.deep
    return Exchange(attempt, call.body, completion.body, parsed=as_it_came)


def note_failure(progress: JobProgress, call: Call | None, error: CallError) -> Exchange | None:
    """Add a failed call to its job's attempts, and what it said to the bad answers.

    The exchange is for the journal. `call`: None where nothing was sent.
    """
    progress.failures[failure_class_of(error)] += 1
    if call is None:
        # It could not even be expressed for this provider.
        return None
    attempt = _attempt(progress, call, error)
    bad = _bad_answer(progress, attempt, call.completion, error)
    if bad is not None:
        progress.bad_answers.append(bad)
    came_back = call.completion.body if call.completion else b""
    if not came_back and isinstance(error, ProviderError):
        came_back = error.failure.body
    return Exchange(attempt, call.body, came_back)


def _attempt(progress: JobProgress, call: Call, error: CallError | None) -> Attempt:
    """The record of a call, added to the job's own."""
    config, completion = call.config, call.completion
    failure = error.failure if isinstance(error, ProviderError) else None
    failure_class = None if error is None else failure_class_of(error)
    usage = completion.usage if completion else (failure.usage if failure else None)
    if usage is None:
        said = call.received.text()
        usage = estimated_usage(progress.request, progress.job.output, said)
    status = completion.status if completion else (failure.status if failure else None)
    attempt = Attempt.trusted(
        number=progress.calls + 1,
        lane=config.name,
        provider=config.provider_name,
        model=config.model,
        model_served=completion.model_served if completion else None,
        provider_request_id=_request_id(completion, error),
        started_at=instant(call.started),
        latency=call.latency,
        first_token=call.first_token,
        status=status,
        failure_class=failure_class,
        message=None if error is None else str(error),
        finish_reason=completion.finish_reason if completion else None,
        charged=_charged(progress, failure_class),
        reask=progress.reasking,
        usage=usage,
        cost=cost_of(usage, config.prices.at(call.started)),
        billed=_billed(completion, status, failure_class),
    )
    progress.note(attempt)
    return attempt


def _charged(progress: JobProgress, failure_class: FailureClass | None) -> bool:
    """Whether a call counts in the attempt budget: those beyond it that its lane may have failed
    do not, so that what is listed of a job stays bounded however long a lane is sick.
    """
    if failure_class is None:
        return True
    row = FAILURE_TABLE[failure_class]
    return row.charged and not (row.lane_fault and progress.charged >= attempts_here(progress))


def _bad_answer(
    progress: JobProgress, attempt: Attempt, completion: Completion | None, error: CallError
) -> BadAnswer | None:
    """What was said and paid for, and could not be used; None where nothing was said."""
    problems = error.problems if isinstance(error, InvalidResult) else ()
    if completion is None:
        return None
    text, calls = completion.text or "", completion.tool_calls
    if not text and calls:
        text = as_text(calls)
    if not text and not problems:
        return None
    # Of a form that is neither, nothing is kept that could be held to a schema again.
    cut = len(text) > LONGEST_KEPT or completion.other
    if calls and (len(calls) > MOST_TOOL_CALLS or len(as_text(calls)) > LONGEST_KEPT):
        calls, cut = (), True
    return BadAnswer(
        attempt=attempt.number,
        text=text[:LONGEST_KEPT],
        tool_calls=calls,
        finish=completion.finish.value,
        finish_reason=(completion.finish_reason or "")[:_LONGEST_WORD] or None,
        provenance=provenance_of(_NO_REPAIRS, progress),
        lane=attempt.lane,
        model=(attempt.model_served or attempt.model)[:_LONGEST_WORD],
        scripted=completion.scripted,
        usage=attempt.usage,
        cost=attempt.cost,
        problems=problems,
        cut=cut,
    )


def _billed(
    completion: Completion | None, status: int | None, failure_class: FailureClass | None
) -> Billed:
    if completion is not None:
        return Billed.YES
    if failure_class is FailureClass.CONNECT:
        # Nothing was sent.
        return Billed.NO
    # A connection that broke may have brought an answer to life; an error status did not.
    return Billed.NO if status is not None and status >= 400 else Billed.UNKNOWN


def _request_id(completion: Completion | None, error: CallError | None) -> str | None:
    if completion is not None:
        return completion.provider_request_id
    return error.failure.provider_request_id if isinstance(error, ProviderError) else None
