"""From a failed call to the job's next step. Pure: time and dice are arguments."""

from collections.abc import Sequence
from random import Random

from tollway_schemas.attempt import Billed
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.provenance import Provenance
from tollway_workers.errors import InvalidResult, ProviderError
from tollway_workers.forwarding.tiers import tier_for
from tollway_workers.job.accepted import accepted
from tollway_workers.job.backoff import full_jitter
from tollway_workers.job.failure_table import FAILURE_TABLE, Next, Row
from tollway_workers.job.outcome import (
    Ask,
    DeadLettered,
    Decision,
    Failed,
    Forwarded,
    RetryLater,
)
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.evidence import is_poison, rest_after
from tollway_workers.lanes.ladder import at_last, attempts_here, given_up, leaves_at_once

CallError = ProviderError | InvalidResult

#: Seconds that a job waits for what a provider asks for, at most: then it is asked again.
_LONGEST_ASKED = 86_400.0
#: Seconds between the calls of a job that has spent its attempts and goes on to another rung as
#: soon as its lane is broken: in memory, where that is seen.
_WAIT_TO_LEAVE = 5.0


def failure_class_of(error: CallError) -> FailureClass:
    """The class that decides what follows."""
    if isinstance(error, InvalidResult):
        return FailureClass.BAD_OUTPUT
    return error.failure.failure_class


def expired(progress: JobProgress) -> Failed | DeadLettered:
    """The job's deadline has passed. Whoever asked for an interactive one is gone: a failure reply;
    a bulk one is a dead letter besides, so that what an outage outlasted can be asked for again.
    """
    failure = Failure(
        failure_class=FailureClass.EXPIRED,
        message=f"the deadline passed before there was an answer{_last_words(progress)}"[:1000],
        lane=progress.lane,
    )
    return Failed(failure) if progress.interactive else DeadLettered(failure)


def _last_words(progress: JobProgress) -> str:
    """How its last call ended."""
    last = progress.attempts[-1] if progress.attempts else None
    if last is None or last.failure_class is None:
        return ""
    said = f": {last.message}" if last.message else ""
    return f"; the last of {progress.calls} call(s) ended in {last.failure_class.value}{said}"


def out_of_time(progress: JobProgress) -> Decision:
    """The same, where the route's rule is asked first if it may be."""
    return at_last(progress, expired(progress))


class RetryPolicy:
    """Decides what becomes of a job whose call failed: `FAILURE_TABLE` and the route's limits."""

    def __init__(self, rng: Random, tiers: Sequence[float] = ()) -> None:
        """`tiers`: delays of the retry topics in seconds, ascending; what waits long goes there."""
        self._rng = rng
        self._tiers = tiers

    def decide(self, progress: JobProgress, error: CallError, *, now: float) -> Decision:
        """What becomes of a job, once its failed call stands in `progress`; `now`: seconds UTC."""
        failure_class = failure_class_of(error)
        row = FAILURE_TABLE[failure_class]
        if row.next is Next.FAIL:
            return Failed(_failure(progress, failure_class, error))
        if self._may_go_on(progress, failure_class, row):
            if now >= progress.deadline:
                return out_of_time(progress)
            return self._again(progress, failure_class, row, error, now)
        if row.lane_fault and not _is_at_fault(progress):
            if now >= progress.deadline:
                return out_of_time(progress)
            return self._after(max(_rest(progress), _asked(error)), progress, now)
        ending = DeadLettered(_failure(progress, failure_class, error), _detail(error))
        return given_up(progress, ending) if row.forward else ending

    def _may_go_on(self, progress: JobProgress, failure_class: FailureClass, row: Row) -> bool:
        if row.next is Next.DEAD_LETTER:
            return False
        if not row.charged:
            # Nothing is used up: its deadline alone ends the job.
            return True
        if progress.charged >= attempts_here(progress):
            return False
        if row.next is Next.REASK:
            # Another lane's model was asked the job's own request, and may be re-asked, too.
            return _bad_answers_here(progress) <= _reasks(progress)
        given = progress.route.retry.max_attempts
        by_route = given is not None and row.next is Next.RETRY and not row.firm
        return by_route or progress.failures[failure_class] <= row.most

    def _again(
        self,
        progress: JobProgress,
        failure_class: FailureClass,
        row: Row,
        error: CallError,
        now: float,
    ) -> RetryLater | Forwarded:
        match row.next:
            case Next.RETRY_LARGER:
                return RetryLater(0.0, Ask.LARGER)
            case Next.REASK:
                return RetryLater(0.0, Ask.REASK)
            case Next.RETRY:
                wait = self._wait(progress, failure_class, row, error)
                return self._after(wait, progress, now)
            case _:
                # The lane's gate holds the job as long as it has to.
                return RetryLater(0.0, behind=row.next.waits_for_lane)

    def _after(self, wait: float, progress: JobProgress, now: float) -> RetryLater | Forwarded:
        """Called again after so many seconds, which it spends in memory or in a retry topic."""
        not_before = now + wait
        stay = tier_for(not_before, deadline=progress.deadline, now=now, tiers=self._tiers)
        if stay is None:
            return RetryLater(wait)
        return Forwarded(progress.lane, "retry", not_before)

    def _wait(
        self, progress: JobProgress, failure_class: FailureClass, row: Row, error: CallError
    ) -> float:
        retry = progress.route.retry
        wait = full_jitter(
            progress.failures[failure_class],
            initial=retry.backoff_initial,
            longest=retry.backoff_max or row.longest_wait,
            rng=self._rng,
        )
        return max(wait, _asked(error))


def _rest(progress: JobProgress) -> float:
    if leaves_at_once(progress):
        return _WAIT_TO_LEAVE
    return rest_after(progress.lane_failures, attempts_here(progress))


def _is_at_fault(progress: JobProgress) -> bool:
    """Whether a job is, and not its lane: that brought an answer, or chance does not explain what
    the job met. Else the lane is sick, and the job waits for it.
    """
    answered = bool(progress.attempts) and progress.attempts[-1].billed is Billed.YES
    return answered or is_poison(progress.doubt, progress.lane_failures)


def _reasks(progress: JobProgress) -> int:
    return progress.route.reasks if Provenance.REASKED in accepted(progress) else 0


def _bad_answers_here(progress: JobProgress) -> int:
    return sum(
        attempt.failure_class is FailureClass.BAD_OUTPUT and attempt.lane == progress.lane
        for attempt in progress.attempts
    )


def _asked(error: CallError) -> float:
    """Seconds that the provider asks to wait."""
    asked = error.failure.retry_after if isinstance(error, ProviderError) else None
    return min(asked or 0.0, _LONGEST_ASKED)


def _failure(progress: JobProgress, failure_class: FailureClass, error: CallError) -> Failure:
    if isinstance(error, InvalidResult):
        message, problems = f"no valid answer in {progress.calls} call(s)", error.problems
    else:
        message, problems = error.failure.message, ()
    return Failure(
        failure_class=failure_class, message=message, lane=progress.lane, problems=problems
    )


def _detail(error: CallError) -> str:
    if isinstance(error, InvalidResult):
        return error.problems[0] if error.problems else ""
    return error.failure.provider_code or str(error.failure.status or "")
