"""How long a simulated model thinks and how fast it speaks."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tollway_workers.errors import InputError
from tollway_workers.local.simulator.draws import draw

_STANDARD_NORMAL = NormalDist()


class LatencyProfile(BaseModel):
    """Lognormal time to the first token with a share of slow calls, then an even pace.

    The default answers at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ttft_median_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Half of the calls have their first token by then."""
    ttft_sigma: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Spread: the standard deviation of the logarithm."""
    tokens_per_second: Annotated[float, Field(gt=0)] | None = None
    """Pace after the first token; none means all at once."""
    slow_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of calls from the heavy tail."""
    slow_factor: Annotated[float, Field(ge=1)] = 6.0
    """How many times longer those wait for their first token."""


#: Measured medians and spreads of public APIs in 2026; a tail of 2 % that is six times slower.
PROFILES = {
    "instant": LatencyProfile(),
    "flash-lite": LatencyProfile(
        ttft_median_seconds=0.311, ttft_sigma=0.79, tokens_per_second=250, slow_share=0.02
    ),
    "gpt-4o-mini": LatencyProfile(
        ttft_median_seconds=0.536, ttft_sigma=0.28, tokens_per_second=140, slow_share=0.02
    ),
    "gpt-4o": LatencyProfile(
        ttft_median_seconds=0.639, ttft_sigma=0.35, tokens_per_second=120, slow_share=0.02
    ),
    "sonnet": LatencyProfile(
        ttft_median_seconds=0.941, ttft_sigma=0.69, tokens_per_second=104, slow_share=0.02
    ),
    "opus": LatencyProfile(
        ttft_median_seconds=1.626, ttft_sigma=0.24, tokens_per_second=50, slow_share=0.02
    ),
    "reasoning": LatencyProfile(
        ttft_median_seconds=7.4, ttft_sigma=0.8, tokens_per_second=30, slow_share=0.02
    ),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How one call is spoken, in seconds."""

    first_token_seconds: float
    seconds_per_token: float

    def until(self, tokens: int) -> float:
        """Seconds from the call's arrival until so many tokens are spoken."""
        return self.first_token_seconds + tokens * self.seconds_per_token

    def slowed(self, factor: float, seconds: float) -> "Pace":
        """The same call `factor` times slower, after a wait of `seconds`."""
        return Pace(self.first_token_seconds * factor + seconds, self.seconds_per_token * factor)


AT_ONCE = Pace(0.0, 0.0)


def draw_pace(profile: LatencyProfile, scale: float, *identity: object) -> Pace:
    """The pace of a call: equal identities are spoken equally."""
    first = profile.ttft_median_seconds
    if first and profile.ttft_sigma:
        first *= math.exp(profile.ttft_sigma * _STANDARD_NORMAL.inv_cdf(draw("ttft", *identity)))
    if profile.slow_share and draw("slow", *identity) < profile.slow_share:
        first *= profile.slow_factor
    per_token = 1 / profile.tokens_per_second if profile.tokens_per_second else 0.0
    return Pace(first * scale, per_token * scale)


def latency_profile(name: str) -> LatencyProfile:
    """The profile of that name. Raises InputError."""
    if name not in PROFILES:
        raise InputError(f"--profile {name}: unknown; there are {', '.join(PROFILES)}")
    return PROFILES[name]
