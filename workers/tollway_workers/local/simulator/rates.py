"""Providers' rate limit arithmetic: token buckets, charged at admission, never refunded."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Unit = Literal["requests", "tokens", "input-tokens", "output-tokens"]


def go_duration(seconds: float) -> str:
    """A duration as Go writes it and OpenAI's headers carry it: `120ms`, `2m59.56s`, `1h0m0s`.

    Rounded up to a millisecond, so that who waits that long has waited long enough.
    """
    milliseconds = max(0, math.ceil(round(seconds * 1000, 6)))
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


class Bucket:
    """A token bucket: `limit` a window, refilled continuously, full at first.

    `burst_seconds` of the rate fit in. What is larger than that is admitted when the bucket is
    full, and leaves a debt.
    """

    def __init__(self, limit: float, *, window_seconds: float, burst_seconds: float) -> None:
        self.limit = limit
        self._per_second = limit / window_seconds
        # At least one, or nothing could ever pass.
        self._capacity = max(1.0, self._per_second * burst_seconds)
        self._level = self._capacity
        self._filled_at = -math.inf

    def change(self, limit: float, now: float) -> None:
        """Another limit from now on: what has been saved up beyond it is gone."""
        part = limit / self.limit
        self.level(now)
        self.limit = limit
        self._per_second *= part
        self._capacity = max(1.0, self._capacity * part)
        self._level = min(self._level, self._capacity)

    def level(self, now: float) -> float:
        """What may be taken at `now` (monotonic seconds); negative while a debt is paid off."""
        if now > self._filled_at:
            gained = (now - self._filled_at) * self._per_second
            self._level = min(self._capacity, self._level + gained)
            self._filled_at = now
        return self._level

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` is admitted; 0 if it is now."""
        missing = min(amount, self._capacity) - self.level(now)
        return max(0.0, missing / self._per_second)

    def take(self, amount: float, now: float) -> None:
        """Charge `amount`, whether or not it is there."""
        self._level = self.level(now) - amount

    def refill_seconds(self, now: float) -> float:
        """Seconds until the bucket is full."""
        return (self._capacity - self.level(now)) / self._per_second

    def left(self, now: float) -> "Left":
        """How it stands."""
        return Left(
            limit=int(self.limit),
            remaining=max(0, int(self.level(now))),
            refill_seconds=self.refill_seconds(now),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How a limit stands, for the headers that tell it."""

    limit: int
    remaining: int
    refill_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a call takes of the limits on tokens when it is admitted.

    Providers that count input and output apart know what is put out only as it is generated: such
    a call is admitted while anything is left, and charged with `RateLimits.spend` afterwards.
    """

    tokens: int = 0
    #: Whether the tokens are those of the prompt alone, and whether the answer's have a limit.
    of_input: bool = False
    of_output: bool = False
    #: Whether one that is larger than a whole window is refused for good.
    may_be_too_large: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OverLimit:
    """Why a call is not admitted now, or ever (`too_large`)."""

    unit: Unit
    limit: int
    used: int
    requested: int
    retry_after_seconds: float = 0.0
    too_large: bool = False


class RateLimits:
    """Requests and tokens per window of one account and model."""

    def __init__(
        self,
        requests: Bucket | None,
        tokens: Bucket | None,
        input_tokens: Bucket | None = None,
        output_tokens: Bucket | None = None,
    ) -> None:
        self._requests = requests
        self._tokens = tokens
        self._input = input_tokens
        self._output = output_tokens

    def admit(self, charge: Charge, now: float) -> OverLimit | None:
        """Charge a call, or say why not.

        A call refused for its tokens counts as a request (failed requests do); one refused for
        requests counts nowhere, else who asks too often would be locked out for ever.
        """
        if self._requests and (wait := self._requests.wait(1, now)):
            return _over("requests", self._requests, 1, now, wait)
        if self._requests:
            self._requests.take(1, now)
        buckets = list(self._of_tokens(charge))
        for unit, bucket, amount in buckets:
            if charge.may_be_too_large and amount > bucket.limit:
                return _over(unit, bucket, amount, now, None)
            if wait := bucket.wait(amount, now):
                return _over(unit, bucket, amount, now, wait)
        for unit, bucket, amount in buckets:
            if unit != "output-tokens":
                bucket.take(amount, now)
        return None

    def spend(self, output_tokens: int, charge: Charge, now: float) -> None:
        """Charge what an admitted call has put out, where that is counted apart."""
        if charge.of_output and self._output:
            self._output.take(output_tokens, now)

    def change(self, requests: float | None, tokens: float | None, now: float) -> None:
        """Other amounts from now on, of limits that there are; None: as it was."""
        if self._requests and requests is not None:
            self._requests.change(requests, now)
        if self._tokens and tokens is not None:
            self._tokens.change(tokens, now)

    def left(self, now: float) -> dict[str, Left]:
        """How each limit there is stands, by its unit."""
        there = {
            "requests": self._requests,
            "tokens": self._tokens,
            "input-tokens": self._input,
            "output-tokens": self._output,
        }
        return {unit: bucket.left(now) for unit, bucket in there.items() if bucket}

    def _of_tokens(self, charge: Charge) -> Iterator[tuple[Unit, Bucket, int]]:
        if charge.of_input and self._input:
            yield "input-tokens", self._input, charge.tokens
        elif self._tokens:
            yield "tokens", self._tokens, charge.tokens
        if charge.of_output and self._output:
            # Whatever it will put out: something must be left.
            yield "output-tokens", self._output, 1


def _over(
    unit: Unit,
    bucket: Bucket,
    requested: int,
    now: float,
    wait: float | None,
) -> OverLimit:
    return OverLimit(
        unit=unit,
        limit=int(bucket.limit),
        used=int(bucket.limit - max(0.0, bucket.level(now))),
        requested=requested,
        retry_after_seconds=wait or 0.0,
        too_large=wait is None,
    )
