"""What becomes of a job that no budget pays for now. Pure."""

from collections.abc import Hashable
from typing import NamedTuple, Protocol

from tollway_schemas.failure import Failure, FailureClass
from tollway_workers.budgets.lack import Lack, Short
from tollway_workers.forwarding.tiers import LONGEST_IN_MEMORY
from tollway_workers.job.outcome import Decision, Failed, Forwarded
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.ladder import at_last, lanes_to_go

#: Seconds until money that is being fetched is asked for again.
_MOMENT = 0.05
#: The line of jobs whose budgets are not known yet.
_LEDGER = "the ledger"
#: Seconds until it is asked for again where it is bound elsewhere.
_BOUND = 15.0
#: Seconds that a job waits for a window at most before it asks again: the budget may have been
#: raised meanwhile.
_LONGEST = 1_800.0


class Wait(NamedTuple):
    """No leave to call yet."""

    #: Until there might be; None: until a call ends, or shards or limits change.
    seconds: float | None
    #: The reason is the job's own: jobs behind it may go before it.
    passed_over: bool = False
    #: What any number of jobs may wait for: they stand in one line for it.
    line: Hashable = None


class Payer(Protocol):
    """Who knows what other lanes cost."""

    def could_pay(self, job: JobProgress, lane: str, /) -> bool:
        """Whether what is left would do for a call of the job on another lane."""
        ...


def without_money(job: JobProgress, lack: Lack, payer: Payer | None, now: float) -> Wait | Decision:
    """The next step of a job whose call cannot be paid for; `now`: seconds since 1970.

    A spent budget never holds up a lane: others go before the job, or it goes elsewhere.
    """
    if lack.short is Short.PENDING:
        return Wait(_MOMENT, passed_over=True, line=lack.pot or _LEDGER)
    if lack.short is Short.OWN:
        return _failed(job, lack)
    if lack.on_exceeded == "fallback":
        payable = [
            lane for lane in lanes_to_go(job) if payer is not None and payer.could_pay(job, lane)
        ]
        if payable:
            return Forwarded(payable[0], "budget", why=lack.said)
    if lack.short is Short.TIGHT:
        later = _later(job, min(now + _BOUND, lack.turns_at), now)
    elif lack.on_exceeded == "fail":
        return _failed(job, lack)
    else:
        later = _later(job, lack.turns_at, now)
    if lack.on_exceeded == "fallback" and not isinstance(later, Wait):
        return at_last(job, later or _failed(job, lack))
    return later or _failed(job, lack)


def _later(job: JobProgress, at: float, now: float) -> Wait | Forwarded | None:
    """It waits until then; None where its deadline is before that."""
    if at >= job.deadline:
        return None
    if at - now <= LONGEST_IN_MEMORY:
        return Wait(max(at - now, _MOMENT), passed_over=True)
    return Forwarded(job.lane, "budget", min(at, now + _LONGEST))


def _failed(job: JobProgress, lack: Lack) -> Failed:
    return Failed(
        Failure(failure_class=FailureClass.BUDGET_EXCEEDED, message=lack.said[:1000], lane=job.lane)
    )
