"""Tokens and money of one call, or of all calls of a job."""

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from tollway_schemas.model import Record

#: What every reader of JSON can count with.
MOST_TOKENS = 2**53 - 1
#: More money than there is; a float, which people are shown, can hold it.
MOST_PICO_USD = 10**40
TokenCount = Annotated[int, Field(ge=0, le=MOST_TOKENS)]


def _from_decimal_string(value: object) -> object:
    if isinstance(value, str) and value.lstrip("-").isdecimal():
        return int(value)
    return value


PicoUsd = Annotated[
    int,
    BeforeValidator(_from_decimal_string),
    PlainSerializer(str, return_type=str, when_used="json"),
    Field(ge=-MOST_PICO_USD, le=MOST_PICO_USD),
    Field(description="US dollars times 10^12; a decimal string: JSON readers lose digits"),
]

PICO_PER_USD = 10**12

#: Most that one may write.
MOST_USD = 10**15
#: US dollars as people and services write them, down to a pico-USD; in records a decimal string.
Usd = Annotated[Decimal, Field(ge=0, le=MOST_USD, max_digits=27, decimal_places=12)]


def pico_usd(usd: Decimal) -> int:
    """Pico-USD of an amount of dollars."""
    return int(usd * PICO_PER_USD)


class Usage(Record):
    """Tokens as the provider counted them, in one vocabulary for all providers."""

    input_total: TokenCount = 0
    """All tokens of the prompt, cached ones included."""
    input_cached_read: TokenCount = 0
    """Of these, read from the provider's prompt cache."""
    input_cache_write_5m: TokenCount = 0
    """Of these, written to the provider's cache for five minutes."""
    input_cache_write_1h: TokenCount = 0
    """Of these, written to the provider's cache for an hour."""
    output_total: TokenCount = 0
    """All tokens of the answer, reasoning included."""
    reasoning: TokenCount = 0
    """Of these, spent on reasoning that is not part of the answer."""
    cost_reported: PicoUsd | None = None
    """What the provider itself says the call cost, in pico-USD, where it does."""
    service_tier: str | None = None
    """The tier that served the call, in the provider's word."""
    estimated: bool = False
    """True where the provider said nothing and the numbers are our estimate."""

    def __add__(self, other: "Usage") -> "Usage":
        """The sum over calls, as far as it can be told; the tier is dropped where they differ."""
        reported = [u.cost_reported for u in (self, other) if u.cost_reported is not None]
        return Usage(
            input_total=min(self.input_total + other.input_total, MOST_TOKENS),
            input_cached_read=min(self.input_cached_read + other.input_cached_read, MOST_TOKENS),
            input_cache_write_5m=min(
                self.input_cache_write_5m + other.input_cache_write_5m, MOST_TOKENS
            ),
            input_cache_write_1h=min(
                self.input_cache_write_1h + other.input_cache_write_1h, MOST_TOKENS
            ),
            output_total=min(self.output_total + other.output_total, MOST_TOKENS),
            reasoning=min(self.reasoning + other.reasoning, MOST_TOKENS),
            cost_reported=sum(reported) if reported else None,
            service_tier=self.service_tier if self.service_tier == other.service_tier else None,
            estimated=self.estimated or other.estimated,
        )
