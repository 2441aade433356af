"""Leave to start one call: the lane's gate, its concurrency and its rates, all or nothing."""

from dataclasses import dataclass
from types import TracebackType

from tollway_schemas.failure import FailureClass
from tollway_schemas.usage import Usage
from tollway_workers.clock import Clock
from tollway_workers.config.fleet import LaneConfig
from tollway_workers.policies.bucket import Cost, RateLimiter, token_cost
from tollway_workers.policies.estimate import prompt_tokens
from tollway_workers.policies.gate import LaneGate, LaneState
from tollway_workers.policies.progress import JobProgress

#: Answer limit that is reserved where a request names none.
_ASSUMED_OUTPUT = 1024
_NO_TOKENS = Cost()


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to start one call. A context manager: leaving it gives the slot back, on every path.

    Until `settle`, the provider is taken to have counted what was reserved.
    """

    admission: "Admission"
    cost: Cost
    _open: bool = True

    def settle(self, usage: Usage) -> None:
        """Correct the reservation by what the provider counted."""
        self.admission.limiter.settle(
            self.cost, input_tokens=usage.input_total, output_tokens=usage.output_total
        )

    def release(self) -> None:
        """Give the slot back; idempotent."""
        if self._open:
            self._open = False
            self.admission.release()

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

    State: `in_flight` (permits out) here, levels in the limiter, refusals in the gate.
    """

    def __init__(self, lane: LaneConfig, clock: Clock) -> None:
        self.lane = lane
        self.in_flight = 0
        self.gate = LaneGate()
        self._clock = clock
        self.limiter = RateLimiter(lane, clock.monotonic())

    def admit(self, progress: JobProgress) -> Permit | float | None:
        """A permit; or seconds until there might be one; or None: when a call has ended."""
        lane = self.lane
        if lane.concurrency is not None and self.in_flight >= lane.concurrency:
            return None
        now = self._clock.monotonic()
        wait = self.gate.wait(self.in_flight, now)
        if wait != 0.0:
            return wait
        cost = progress.cost or self._cost(progress)
        wait = self.limiter.wait(cost, now)
        if wait > 0.0:
            return wait
        self.limiter.reserve(cost)
        self.in_flight += 1
        return Permit(self, cost)

    def release(self) -> None:
        """A call has ended, however it did."""
        self.in_flight -= 1

    def on_answer(self) -> None:
        """The provider answered, well or badly: the lane is alive."""
        self.gate.on_answer()
        self.gate.lift(self.lane.concurrency, self.in_flight)

    def on_failure(self, failure_class: FailureClass, retry_after: float | None) -> None:
        """A call failed: the gate learns of it."""
        self.gate.on_failure(failure_class, retry_after, self.in_flight, self._clock.monotonic())

    @property
    def state(self) -> LaneState:
        """The gate's state, for people and metrics."""
        return self.gate.state

    def _cost(self, progress: JobProgress) -> Cost:
        if not self.limiter.counts_tokens:
            progress.cost = _NO_TOKENS
            return _NO_TOKENS
        request = progress.request
        tokens = token_cost(
            self.lane.token_rule,
            prompt_tokens=prompt_tokens(request, progress.job.output, progress.schema),
            output_limit=request.max_output_tokens or _ASSUMED_OUTPUT,
        )
        progress.cost = Cost(tokens=tokens)
        return progress.cost

    def __repr__(self) -> str:
        return f"<Admission {self.lane.name} [{self.in_flight} in flight | {self.state}]>"
