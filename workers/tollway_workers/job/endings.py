"""Endings that no call decides: an invalid job, a cancelled one, an unexpected exception."""

from dataclasses import replace

from tollway_schemas.codec import encode
from tollway_schemas.dead_letter import BadAnswer
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.redrive import MOST_TOOL_CALLS
from tollway_workers.job.outcome import (
    Cancelled,
    Completed,
    DeadLettered,
    Failed,
    Forwarded,
    Outcome,
)
from tollway_workers.job.progress import JobProgress


def invalid_job(problem: str) -> DeadLettered:
    """The job is not valid; `problem` is `<field>: <what is wrong>`, without values."""
    failure = Failure(
        failure_class=FailureClass.INVALID_JOB,
        message="the job is not valid: correct it and publish it again",
        problems=(problem,),
    )
    return DeadLettered(failure, problem)


def crashed(deaths: int) -> DeadLettered:
    """The job killed its workers: so many of them ended while it ran alone."""
    failure = Failure(
        failure_class=FailureClass.WORKER_CRASHED,
        message=f"{deaths} worker processes ended while this job ran alone in them",
    )
    return DeadLettered(failure)


def beyond_limits(why: str, lane: str) -> DeadLettered:
    """Its next call can never be made within the lane's limits."""
    failure = Failure(failure_class=FailureClass.BEYOND_LIMITS, message=why, lane=lane)
    return DeadLettered(failure)


def cancelled(lane: str) -> Cancelled:
    """An operator cancelled it: no further call is made."""
    message = "an operator cancelled the job"
    return Cancelled(Failure(failure_class=FailureClass.CANCELLED, message=message, lane=lane))


def ends_it_alone(outcome: Outcome) -> bool:
    """Whether its copies do not share its ending: its deadline passed, or it was cancelled."""
    match outcome:
        case Cancelled():
            return True
        case Failed(failure) | DeadLettered(failure):
            return failure.failure_class is FailureClass.EXPIRED
        case _:
            return False


def too_large(outcome: Completed | Forwarded, lane: str) -> DeadLettered:
    """Its record is larger than its topic takes."""
    if isinstance(outcome, Forwarded):
        kind = FailureClass.INVALID_JOB
        message = "the job with the history of its calls is larger than its lane's topic takes"
    else:
        kind = FailureClass.REPLY_TOO_LARGE
        message = "the answer is larger than the reply topic takes"
    return DeadLettered(Failure(failure_class=kind, message=message, lane=lane))


def copy_too_large(lane: str) -> DeadLettered:
    """The reply of the job that it is a copy of, with its own labels, fits no topic."""
    message = "the reply to this copy and its labels are larger than the reply topic takes"
    failure = Failure(failure_class=FailureClass.REPLY_TOO_LARGE, message=message, lane=lane)
    return DeadLettered(failure)


def undeliverable(why: str, ours: str, lane: str | None) -> DeadLettered:
    """Its reply topic takes nothing; `why` says so, and `ours` is the topic that has the reply."""
    failure = Failure(
        failure_class=FailureClass.REPLY_UNDELIVERABLE,
        message=f"the job's reply topic {why}: its reply was written to {ours}"[:1000],
        lane=lane,
    )
    return DeadLettered(failure)


def keeping_answer(progress: JobProgress, outcome: Completed | Failed, why: str) -> JobProgress:
    """The progress with the answer added to its bad answers: paid for, and not usable."""
    if isinstance(outcome, Failed):
        return progress
    answer = outcome.answer
    text = encode(answer).decode() if answer.text is None else answer.text
    paid = outcome.stored or (progress.attempts[-1] if progress.attempts else None)
    kept = BadAnswer(
        attempt=outcome.stored.attempt if outcome.stored else max(progress.calls, 1),
        text=text,
        tool_calls=answer.tool_calls[:MOST_TOOL_CALLS],
        finish="tool" if answer.tool_calls else "stop",
        provenance=outcome.provenance,
        lane=outcome.lane,
        model=outcome.model[:128] if outcome.model else None,
        scripted=outcome.scripted,
        usage=paid.usage if paid else None,
        cost=paid.cost if paid else None,
        problems=(why,),
        cut=len(answer.tool_calls) > MOST_TOOL_CALLS,
    )
    return replace(progress, bad_answers=[*progress.bad_answers, kept])


def bug(error: Exception, lane: str | None = None) -> DeadLettered:
    """An unexpected exception, a bug of ours. Its text may quote anything: its type alone."""
    failure = Failure(
        failure_class=FailureClass.UNKNOWN,
        message=f"an unexpected exception in the worker ended the job ({type(error).__name__}): "
        "the worker's log has the traceback",
        lane=lane,
    )
    return DeadLettered(failure, type(error).__name__)
