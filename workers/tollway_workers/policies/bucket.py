"""A lane's rates: requests and tokens a minute, reserved together before a call, settled after it.

A token bucket per resource, refilled continuously. A reservation larger than a bucket is granted
when the bucket is full and leaves a debt, so that nothing waits for ever. Requests are never given
back: providers count failed calls too.
"""

from dataclasses import dataclass

from tollway_workers.config.fleet import LaneConfig
from tollway_workers.config.provider import TokenRule

#: Levels are sums of floats: what is missing by less than this is there.
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call reserves of a lane's rates."""

    #: By the lane's token rule.
    tokens: float = 0.0
    requests: float = 1.0


class Bucket:
    """One rate. State: `level` as of `_at`; both change together, in `refill` and `take`."""

    __slots__ = ("_at", "capacity", "level", "rate")

    def __init__(self, per_minute: float, burst: float, now: float) -> None:
        #: Units a second.
        self.rate = per_minute / 60.0
        self.capacity = max(1.0, self.rate * burst)
        self.level = self.capacity
        self._at = now

    def refill(self, now: float) -> None:
        """Add what the time since the last refill brought."""
        if now > self._at:
            self.level = min(self.capacity, self.level + (now - self._at) * self.rate)
            self._at = now

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be taken; 0 if it may be now."""
        missing = min(amount, self.capacity) - self.level
        return 0.0 if missing <= _EPSILON else missing / self.rate

    def take(self, amount: float) -> None:
        """Take `amount`; the level may become a debt."""
        self.level -= amount

    def give_back(self, amount: float) -> None:
        """Return what was reserved and not used, or take more where `amount` is negative."""
        self.level = min(self.capacity, self.level + amount)


class RateLimiter:
    """The rates of one lane in this process, reserved together or not at all."""

    def __init__(self, lane: LaneConfig, now: float) -> None:
        self._rule: TokenRule = lane.token_rule
        self._requests = _bucket(lane.requests_per_minute, lane.burst, now)
        self._tokens = _bucket(lane.tokens_per_minute, lane.burst, now)

    @property
    def counts_tokens(self) -> bool:
        """Whether a call's tokens matter, and so need to be estimated."""
        return self._tokens is not None

    def wait(self, cost: Cost, now: float) -> float:
        """Seconds until `cost` could be reserved; 0 if it can be now."""
        wait = 0.0
        if self._requests is not None:
            self._requests.refill(now)
            wait = self._requests.wait(cost.requests)
        if self._tokens is not None:
            self._tokens.refill(now)
            wait = max(wait, self._tokens.wait(cost.tokens))
        return wait

    def reserve(self, cost: Cost) -> None:
        """Take `cost`; call it where `wait` just answered 0."""
        if self._requests is not None:
            self._requests.take(cost.requests)
        if self._tokens is not None:
            self._tokens.take(cost.tokens)

    def settle(self, cost: Cost, *, input_tokens: int, output_tokens: int) -> None:
        """Correct a reservation by what the provider counted, as far as its own rule does.

        openai_max and sum charge at admission and refund nothing, but what was underestimated is
        owed; input is charged as counted.
        """
        if self._tokens is None:
            return
        if self._rule == "input":
            self._tokens.give_back(cost.tokens - input_tokens)
        else:
            self._tokens.give_back(min(0.0, cost.tokens - (input_tokens + output_tokens)))


def token_cost(rule: TokenRule, *, prompt_tokens: int, output_limit: int) -> float:
    """What a provider of that rule charges a call at admission."""
    match rule:
        case "openai_max":
            return max(prompt_tokens, output_limit)
        case "sum":
            return prompt_tokens + output_limit
        case "input":
            return prompt_tokens


def _bucket(per_minute: float | None, burst: float, now: float) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute, burst, now)
