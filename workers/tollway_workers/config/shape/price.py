"""`[lanes.*.price]` and `[[lanes.*.prices]]`: what calls cost, by kind of token and by date."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.config.shape.model import Section

#: Dollars per million tokens times this is pico-USD per token.
_PICO_PER_TOKEN = PICO_PER_USD // 1_000_000
#: What providers that count tokens written to their cache ask for them, against the input price:
#: Anthropic for both times, OpenAI for the first.
_WRITE_5M, _WRITE_1H = Decimal("1.25"), Decimal(2)

#: Six decimals are a whole number of pico-USD per token.
UsdPerMillion = Annotated[
    Decimal, Field(ge=0, le=1_000_000, max_digits=18, decimal_places=6, strict=False)
]
#: Twelve decimals are a whole number of pico-USD.
UsdPerCall = Annotated[
    Decimal, Field(ge=0, le=1_000, max_digits=18, decimal_places=12, strict=False)
]


def _instant(value: object) -> datetime:
    """A day is its first instant; a time without an offset is UTC."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError("is no date; write a day or a time, as in valid_from = 2027-01-01")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


Instant = Annotated[datetime, BeforeValidator(_instant)]


class Rates(NamedTuple):
    """Whole pico-USD: of one token of each kind, and of the call itself."""

    input: int
    cached_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int
    per_call: int

    @property
    def dearest_input(self) -> int:
        """The most that one token of a prompt may cost, whatever becomes of it."""
        return max(self.input, self.cached_read, self.cache_write_5m, self.cache_write_1h)

    @property
    def dearest_output(self) -> int:
        """The most that one token of an answer may cost."""
        return max(self.output, self.reasoning)

    def bound(self, *, input_tokens: int, output_tokens: int, may_keep: bool = True) -> int:
        """The most that a call of at most so many tokens may cost.

        `may_keep`: whether it may ask to be cached for an hour, which no provider does unasked.
        """
        unasked = max(self.input, self.cached_read, self.cache_write_5m)
        prompt = input_tokens * (self.dearest_input if may_keep else unasked)
        return self.per_call + prompt + output_tokens * self.dearest_output


class Price(Section):
    """What a lane's calls cost, in US dollars per million tokens."""

    input: UsdPerMillion
    """Prompt tokens."""
    output: UsdPerMillion
    """Answer tokens."""
    cached_input: UsdPerMillion | None = None
    """Prompt tokens read from the provider's cache; as `input` if absent."""
    cache_write_5m: UsdPerMillion | None = None
    """Prompt tokens written to the provider's cache for five minutes; 1.25 times `input` if absent,
    as providers that count them ask."""
    cache_write_1h: UsdPerMillion | None = None
    """Prompt tokens written to the provider's cache for an hour; twice `input` if absent."""
    reasoning: UsdPerMillion | None = None
    """Tokens of reasoning; as `output` if absent."""
    per_call: UsdPerCall = Decimal(0)
    """US dollars for each call besides its tokens, at most 12 decimals."""

    @cached_property
    def rates(self) -> Rates:
        """The same in whole pico-USD; what does not divide is rounded up."""
        return Rates(
            input=_pico(self.input),
            cached_read=_pico(_given(self.cached_input, self.input)),
            cache_write_5m=_pico(_given(self.cache_write_5m, self.input * _WRITE_5M)),
            cache_write_1h=_pico(_given(self.cache_write_1h, self.input * _WRITE_1H)),
            output=_pico(self.output),
            reasoning=_pico(_given(self.reasoning, self.output)),
            per_call=int(self.per_call * PICO_PER_USD),
        )


class DatedPrice(Price):
    """A price from an instant on."""

    valid_from: Instant
    """The first instant that it holds for: a day (from its start, UTC) or a time."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """What a lane costs at each instant."""

    #: (seconds since 1970 from which it holds, price), earliest first.
    entries: tuple[tuple[float, Price], ...] = ()

    def at(self, instant: float) -> Price | None:
        """The price at an instant (seconds since 1970); None: unknown."""
        place = bisect_right(self.entries, instant, key=_since)
        return self.entries[place - 1][1] if place else None

    def bound(self, *, input_tokens: int, output_tokens: int, may_keep: bool = True) -> int | None:
        """The most that a call of at most so many tokens may cost, whenever it is made.

        None: unknown. What claims money does not know at which price the call will be made.
        """
        return max(
            (
                price.rates.bound(
                    input_tokens=input_tokens, output_tokens=output_tokens, may_keep=may_keep
                )
                for _, price in self.entries
            ),
            default=None,
        )

    def from_(self, instant: float) -> tuple[Price, ...]:
        """Every price that holds at `instant` or at some later time."""
        place = bisect_right(self.entries, instant, key=_since)
        return tuple(price for _, price in self.entries[max(0, place - 1) :])


def price_list(price: Price | None, dated: Iterable[DatedPrice]) -> PriceList:
    """`price` holds until the first of those that are dated."""
    entries: list[tuple[float, Price]] = [] if price is None else [(float("-inf"), price)]
    entries += sorted(((each.valid_from.timestamp(), each) for each in dated), key=_since)
    return PriceList(tuple(entries))


def _since(entry: tuple[float, Price]) -> float:
    return entry[0]


def _given(amount: Decimal | None, default: Decimal) -> Decimal:
    return default if amount is None else amount


def _pico(dollars: Decimal) -> int:
    return math.ceil(dollars * _PICO_PER_TOKEN)
