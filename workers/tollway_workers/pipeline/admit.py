"""Leave to start one call: by gate, breaker, concurrency and rates, all or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from random import Random, SystemRandom
from types import TracebackType

import structlog

from tollway_schemas.attempt import Attempt, Draw
from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_schemas.request import ChatRequest
from tollway_schemas.usage import Usage
from tollway_workers.budgets.lack import Lack
from tollway_workers.budgets.spending import Money, Spending
from tollway_workers.clock import Clock
from tollway_workers.config.shape.contract import MINUTE
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.failure_table import FAILURE_TABLE, Next
from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.address import wrong_address
from tollway_workers.lanes.breaker import Breaker, BreakerCall, BreakerState
from tollway_workers.lanes.evidence import LaneEvidence, accuse, is_suspect, patience
from tollway_workers.lanes.gate import LONGEST_PROBE, LaneGate
from tollway_workers.lanes.lane_wait import Hold
from tollway_workers.lanes.pace import Pace
from tollway_workers.lanes.state import LaneState
from tollway_workers.lanes.stated import StatedLimits
from tollway_workers.limits.call_cost import Cost, counted, token_cost
from tollway_workers.limits.estimate import TokenCount, prompt_tokens, text_tokens
from tollway_workers.limits.quota import LaneQuota
from tollway_workers.pipeline.unpaid import Wait, without_money
from tollway_workers.providers.rate_headers import RateHeaders
from tollway_workers.telemetry.wait_log import WaitLog

log = structlog.get_logger(__name__)

#: Answer limit that is reserved where a request names none.
_ASSUMED_OUTPUT = 1024
_NO_TOKENS = Cost()
#: What one call more adds to the mean of what calls take.
_NEWEST = 0.1


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to start one call. A context manager: leaving it gives the slot back, on every path.

    Until `settle`, the provider is taken to have counted what was reserved.
    """

    admission: "Admission"
    cost: Cost
    #: When it was given (monotonic seconds).
    since: float
    call: BreakerCall
    #: What it has claimed of budgets; None: it falls under none.
    money: Money | None = None
    _open: bool = True

    def answered(self, started: float) -> None:
        """The call, sent at `started` (monotonic seconds), was answered, whatever that is worth."""
        self.admission.answered(self.call, started)

    def failed(
        self, failure: ProviderFailure, progress: JobProgress, started: float, reason: str
    ) -> None:
        """The call failed. `reason`: why the lane waits then, in a sentence without a prompt."""
        self.admission.blame(self.call, failure, progress)
        self.admission.on_failure(failure.failure_class, failure.retry_after, started, reason)
        if failure.scope in (ErrorScope.KEY, ErrorScope.ACCOUNT):
            self.admission.park_siblings(failure, reason)

    def slow(self) -> None:
        """The call has no first token after the lane's `slow_after`; it goes on."""
        self.admission.note_slow(self.call)

    def settle(self, usage: Usage) -> None:
        """Correct the reservation by what the provider counted."""
        self.admission.correct(self.cost, usage)

    def pay(self, attempt: Attempt) -> tuple[Draw, ...]:
        """The call is on record: what it claimed of budgets becomes what it has cost, which comes
        back for the journal.
        """
        return () if self.money is None else self.money.pay(attempt)

    def withdraw(self) -> None:
        """Nothing was sent: give back what was reserved, and the slot."""
        if self._open:
            self.admission.withdraw(self)
        if self.money is not None:
            self.money.withdraw()
        self.release()

    def close(self) -> None:
        """Nothing more will be known of the call; idempotent. What it claimed of budgets and did
        not settle is spent: it may have been billed.
        """
        self.release()
        if self.money is not None:
            self.money.close()

    def release(self) -> None:
        """Give the slot back; idempotent."""
        if self._open:
            self._open = False
            self.admission.release(self.call)

    def __enter__(self) -> "Permit":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Admission:
    """Who may call a lane now. Synchronous throughout: nothing is reserved and then awaited.

    State: `in_flight` (permits out) here, slots and levels in the quota, refusals in the gate and
    the pace (`_slowed`: it has not fully recovered), failures in the breaker and the evidence, what
    the provider stated in `_stated`, `_doubts` (its counts were once beyond belief, which is said
    once), and `_freed` (lanes of its account may go on, which their queues do not know yet).
    """

    def __init__(
        self,
        lane: LaneConfig,
        quota: LaneQuota,
        clock: Clock,
        count: TokenCount = text_tokens,
        rng: Random | None = None,
        spending: Spending | None = None,
    ) -> None:
        """`count`: of prompts' texts; another than ours takes its time, so it is not asked here.

        `rng` draws the jitter of the breaker's pauses. `spending`: what pays for calls; None: no
        budget is kept.
        """
        dice = rng or SystemRandom()
        self.lane = lane
        self.quota = quota
        self.exact = count is not text_tokens and quota.counts_tokens
        self.in_flight = 0
        self.gate = LaneGate()
        self.breaker = Breaker(lane.breaker, dice)
        self.evidence = LaneEvidence(f"{dice.getrandbits(64):016x}")
        #: Seconds that answered calls take of late; None: none was answered yet.
        self.call_seconds: float | None = None
        #: Lanes of the same account: what refuses the key or the account refuses them too.
        self.siblings: Sequence[Admission] = ()
        self._pace = Pace()
        self._slowed = self._doubts = self._freed = False
        self._stated = StatedLimits()
        self._clock = clock
        self._count = count
        self._spending = spending
        self._log = WaitLog(lane.name)

    def admit(self, progress: JobProgress) -> Permit | Wait | Decision:
        """A permit, or how long to wait for one, or how the job ends that can have none.

        Where prompts are counted, it waits until this one is: `count` and set its `cost`.
        """
        now = self._clock.monotonic()
        self.quota.group_binds = False
        if (wait := self._lane_wait(now)) != 0.0:
            return Wait(wait)
        left_to = patience(progress)
        if left_to and (others := self.breaker.others_first(now, left_to)) > 0.0:
            return Wait(others, passed_over=True)
        if self._slowed:
            self._recover(now)
        if progress.cost is None and self.exact:
            return Wait(None)
        cost = progress.cost or self.cost_of(progress)
        wait = self.quota.wait(cost, now)
        if wait is not None and wait > LONGEST_PROBE:
            wait = self._wait_for_stated(cost, wait, now)
        if wait != 0.0:
            return Wait(wait)
        money = None if self._spending is None else self._spending.claim(progress, self.lane.name)
        if isinstance(money, Lack):
            return without_money(progress, money, self._spending, self._clock.now())
        self.quota.reserve(cost)
        self.in_flight += 1
        return Permit(self, cost, now, self.breaker.start(now), money)

    def withdraw(self, permit: Permit) -> None:
        """A call was not sent."""
        self.quota.withdraw(permit.cost, permit.since, self._clock.monotonic())

    def release(self, call: BreakerCall) -> None:
        """A call has ended, however it did."""
        self.in_flight -= 1
        self.quota.free()
        if not call.ended:
            self.breaker.ignored(call, self._clock.monotonic())

    def answered(self, call: BreakerCall, started: float) -> None:
        """A call that was sent at `started` (monotonic seconds) is answered now."""
        now = self._clock.monotonic()
        self._trust(call, now)
        seconds = now - started
        mean = seconds if self.call_seconds is None else self.call_seconds
        self.call_seconds = mean + (seconds - mean) * _NEWEST
        self.on_answer(started)

    def blame(self, call: BreakerCall, failure: ProviderFailure, progress: JobProgress) -> None:
        """A job's call failed: where its lane may be at fault, that speaks against lane and job."""
        row, now = FAILURE_TABLE[failure.failure_class], self._clock.monotonic()
        if row.about_job:
            self._trust(call, now)
        elif row.lane_fault:
            if row.charged:
                lane_down = self.breaker.state(now) in (BreakerState.OPEN, BreakerState.HALF_OPEN)
                accuse(progress, self.evidence.failed(), lane_down=lane_down)
            if not is_suspect(progress):
                job, asked = progress.job.id, failure.retry_after
                self.breaker.failed(call, failure.failure_class, job, now, asked)

    def note_slow(self, call: BreakerCall) -> None:
        """A call should have had a first token by now."""
        now = self._clock.monotonic()
        self.breaker.slow(call, now)
        self._tell(now)

    def correct(self, reserved: Cost, usage: Usage) -> None:
        """A call's tokens are known."""
        free = 0 if self.lane.profile.counts_cached else usage.input_cached_read
        tokens = counted(
            self.lane.token_rule,
            reserved,
            input_tokens=max(0, usage.input_total - free),
            output_tokens=usage.output_total,
        )
        doubted = self.quota.correct(reserved, tokens)
        if doubted is not None and not self._doubts:
            self._doubts = True
            log.warning(
                "the provider reported more tokens for a call than this limit lets through at "
                "once: such calls are counted as the largest one",
                lane=self.lane.name,
                limit=doubted.name,
                said=tokens[doubted.resource],
            )

    def cost_of(self, progress: JobProgress) -> Cost:
        """What its next call takes of the limits, estimated once for each request it makes."""
        if progress.cost is None:
            counts = self.quota.counts_tokens
            progress.cost = self._with_tokens(progress) if counts else _NO_TOKENS
        return progress.cost

    def count(self, progress: JobProgress) -> Cost:
        """What its next call takes of the limits, its prompt counted.

        Changes nothing, so that a thread may do it; for those that are `uncounted`.
        """
        return self._with_tokens(progress, self._count)

    def estimate(self, progress: JobProgress) -> Cost:
        """What the job's own request would take here, of a job that is on another lane."""
        if not self.quota.counts_tokens:
            return _NO_TOKENS
        return self._token_cost(progress.job.request, progress, text_tokens)

    def uncounted(self, progress: JobProgress) -> bool:
        """Whether its prompt is to be counted before it can be admitted."""
        return self.exact and progress.cost is None

    def tokens_of(self, progress: JobProgress) -> float:
        """What tenants pay for its next call, whether or not the lane has a limit of tokens."""
        cost = progress.cost
        if cost is None or cost is _NO_TOKENS:
            cost = self._with_tokens(progress)
            if not self.uncounted(progress):
                progress.cost = cost
        return cost.tokens

    def never(self, progress: JobProgress) -> str | None:
        """Why its next call can never be made here, in one sentence; None where it can, or where
        its prompt is not counted yet.
        """
        if progress.cost is None and self.exact:
            return None
        cost = progress.cost or self.cost_of(progress)
        limit = self.quota.beyond(cost)
        if limit is None:
            return None
        needs = cost[limit.resource]
        return (
            f"the job needs {needs:,.0f} tokens at once, more than {limit.name} of lane "
            f"{self.lane.name} ever lets through: raise largest_request, or lower shards"
        )

    def on_answer(self, started: float = inf) -> None:
        """The provider answered a call that was started then (monotonic), well or badly."""
        parked_by = self.gate.parked_by
        self.gate.on_answer(started)
        if parked_by is not None and self.gate.parked_by is None:
            self._unpark_siblings(parked_by)
        self._stated.forget()
        if self.gate.slowed:
            self.gate.lift(self.quota.most_calls, self.in_flight)
        if self._log.told is not None:
            self._tell(self._clock.monotonic())

    def judge(self, failure: ProviderFailure, job_id: str) -> ProviderFailure:
        """A job's failed call in view of the lane's others: it may be the address's fault."""
        judged = self.gate.judge(failure.failure_class, job_id)
        return failure if judged is failure.failure_class else wrong_address(failure)

    def on_failure(
        self,
        failure_class: FailureClass,
        retry_after: float | None,
        started: float,
        reason: str = "",
    ) -> None:
        """A call that was started at `started` (monotonic) failed: gate and pace learn of it.

        `reason`: why the lane waits then, in a sentence that quotes no prompt.
        """
        now, row = self._clock.monotonic(), FAILURE_TABLE[failure_class]
        if row.about_job:
            self.on_answer(started)
            return
        self.gate.on_failure(failure_class, retry_after, self.in_flight, now, reason)
        if row.slows(retry_after):
            self._pace.refused(started, now)
            self._recover(now)
        self._tell(now)

    def park_siblings(self, failure: ProviderFailure, reason: str) -> None:
        """A call failed by what all lanes of the account share: those need not find out."""
        if FAILURE_TABLE[failure.failure_class].next is not Next.PARK_LANE:
            return
        now = self._clock.monotonic()
        for each in self.siblings:
            each.gate.on_failure(
                failure.failure_class, failure.retry_after, each.in_flight, now, reason
            )
            each._tell(now)

    def take_freed(self) -> bool:
        """Whether other lanes may go on since this was asked last, as a probe of this one said."""
        freed, self._freed = self._freed, False
        return freed

    def reopen(self) -> None:
        """Forget all that the provider refused or stated: an operator says that it may go on."""
        now = self._clock.monotonic()
        self.gate.reopen()
        self.breaker.close(now)
        self._pace = Pace()
        self._recover(now)
        self._believe_contract(now)
        self._tell(now)

    def break_lane(self, seconds: float) -> None:
        """Start nothing for so long: an operator says that the lane is broken."""
        now = self._clock.monotonic()
        self.breaker.force_open(seconds, now)
        self._tell(now)

    @property
    def down(self) -> bool:
        """Whether the lane is broken or parked: nothing gets through but single tries."""
        breaker = self.breaker.state(self._clock.monotonic())
        broken = breaker in (BreakerState.OPEN, BreakerState.HALF_OPEN)
        return broken or self.gate.state is LaneState.PARKED

    @property
    def hold(self) -> Hold | None:
        """Why the lane lets nothing or little through, and until when; None where it does."""
        now = self._clock.monotonic()
        gate = self.gate.hold(now)
        if gate is not None and self.gate.state is LaneState.PARKED:
            return gate
        return self.breaker.hold(now) or self._stated.hold or gate

    def observe(self, said: RateHeaders | None, latency: float) -> None:
        """An answer's headers tell what the account has: it may be less than we think.

        `latency`: seconds that the answer took. Levels only fall; a limit that is lower than ours
        holds until a later answer tells another.
        """
        if said is None:
            return
        now = self._clock.monotonic()
        for pool in self.quota.pools:
            if pool.limit.period != MINUTE:
                continue
            limit, remaining = said.about(pool.resource)
            if limit:
                pool.state(limit, now)
                if pool.borne < 1.0:
                    self._stated.note(now)
            if remaining is not None:
                pool.believe(remaining, latency, now)

    @property
    def state(self) -> LaneState:
        """The lane's state as far as calls decide it, for people and metrics."""
        gate = self.gate.state
        if gate is LaneState.PARKED:
            return gate
        match self.breaker.state(self._clock.monotonic()):
            case BreakerState.CLOSED:
                slowed = gate is LaneState.SLOWED or self._stated.hold is not None
                return LaneState.SLOWED if slowed else LaneState.OPEN
            case BreakerState.OPEN:
                return LaneState.BROKEN
            case _:
                return LaneState.PROBING

    def _trust(self, call: BreakerCall, now: float) -> None:
        """A call was answered, or failed by its job's fault: that speaks for the lane."""
        self.evidence.answered()
        self.breaker.answered(call, now)

    def _unpark_siblings(self, parked_by: FailureClass) -> None:
        now = self._clock.monotonic()
        for each in self.siblings:
            if each.gate.parked_by is parked_by:
                each.gate.unpark()
                each._tell(now)
                self._freed = True

    def _lane_wait(self, now: float) -> float | None:
        wait = self.gate.wait(self.in_flight, now)
        return self.breaker.wait(now) if wait == 0.0 else wait

    def _wait_for_stated(self, cost: Cost, wait: float, now: float) -> float | None:
        """The same where it is long: for what was stated no longer than minutes."""
        bound = next((pool for pool in self.quota.pools if pool.key == self.quota.binding), None)
        left = self._stated.wait(bound, wait, now)
        if left is None and (hold := self._stated.hold) is not None:
            self.gate.ask_again(hold.reason, hold.since, now)
            self._believe_contract(now)
            left = self.quota.wait(cost, now) if self.in_flight == 0 else None
        self._tell(now)
        return left

    def _believe_contract(self, now: float) -> None:
        self._stated.forget()
        for pool in self.quota.pools:
            pool.state(pool.limit.amount, now)

    def _tell(self, now: float) -> None:
        self._log.look(self.hold, now)

    def _recover(self, now: float) -> None:
        pace = self._pace.at(now)
        self._slowed = pace < 1.0
        for pool in self.quota.pools:
            if pool.limit.period == MINUTE:
                pool.slow(pace, now)

    def _with_tokens(self, progress: JobProgress, count: TokenCount = text_tokens) -> Cost:
        return self._token_cost(progress.request, progress, count)

    def _token_cost(self, request: ChatRequest, progress: JobProgress, count: TokenCount) -> Cost:
        return token_cost(
            self.lane.token_rule,
            prompt_tokens=prompt_tokens(request, progress.job.output, progress.schema, count),
            output_limit=request.max_output_tokens
            or self.lane.max_output_tokens
            or _ASSUMED_OUTPUT,
        )

    def __repr__(self) -> str:
        return f"<Admission {self.lane.name} [{self.in_flight} in flight | {self.state}]>"
