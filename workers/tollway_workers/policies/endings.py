"""How a job ends that no call of it decides: it cannot be worked on, or met a bug of ours."""

from tollway_schemas.failure import Failure, FailureClass
from tollway_workers.policies.outcome import DeadLettered


def invalid_job(problem: str) -> DeadLettered:
    """The job cannot be worked on; `problem` is `<field>: <what is wrong>`, without values."""
    failure = Failure(
        failure_class=FailureClass.INVALID_JOB,
        message="the job cannot be worked on",
        problems=(problem,),
    )
    return DeadLettered(failure, problem.partition(":")[0])


def bug(error: Exception, lane: str) -> DeadLettered:
    """The worker met a bug in itself. An exception's text may quote anything: its type alone."""
    failure = Failure(
        failure_class=FailureClass.UNKNOWN,
        message=f"the worker met a bug in itself ({type(error).__name__})",
        lane=lane,
    )
    return DeadLettered(failure, type(error).__name__)
