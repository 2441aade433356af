"""What the simulated provider asks for a call: by a price list of its own, to the pico-dollar.

Nothing here knows how the fleet reckons costs: two who add up apart can be compared.
"""

import tomllib
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tollway_schemas.faults import faults as faults_in
from tollway_schemas.usage import PICO_PER_USD, Usage
from tollway_workers.config.load.toml_file import shallow
from tollway_workers.errors import InputError

#: Six decimals of a dollar per million tokens: a token then costs whole pico-dollars.
UsdPerMillion = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=6)]
_MILLION = 1_000_000
_WHOLE = Decimal(1)


class ListPrice(BaseModel):
    """What calls of some models cost, in US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    models: tuple[str, ...] = ()
    """Models that it is for; none means all."""
    input: UsdPerMillion
    """Prompt tokens, but for those of the next three kinds."""
    cached_read: UsdPerMillion | None = None
    """Tokens read from the cache; none: as `input`."""
    cache_write_5m: UsdPerMillion | None = None
    """Tokens written to it for five minutes; none: a quarter more than `input`."""
    cache_write_1h: UsdPerMillion | None = None
    """Tokens written to it for an hour; none: twice `input`."""
    output: UsdPerMillion
    """Tokens that are said."""
    reasoning: UsdPerMillion | None = None
    """Tokens that are thought; none: as `output`."""
    per_call: Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=12)] = Decimal(0)
    """US dollars for the call itself."""

    def items(self, usage: Usage) -> Iterable[tuple[int, Decimal]]:
        """The items of a bill: tokens, and dollars for a million of them."""
        read = usage.input_cached_read
        short, long = usage.input_cache_write_5m, usage.input_cache_write_1h
        fallback = {
            "cached_read": self.input,
            "cache_write_5m": self.input * 5 / 4,
            "cache_write_1h": self.input * 2,
            "reasoning": self.output,
        }
        price = {
            kind: default if (given := getattr(self, kind)) is None else given
            for kind, default in fallback.items()
        }
        yield usage.input_total - read - short - long, self.input
        yield read, price["cached_read"]
        yield short, price["cache_write_5m"]
        yield long, price["cache_write_1h"]
        yield usage.output_total - usage.reasoning, self.output
        yield usage.reasoning, price["reasoning"]


def bill(usage: Usage, price: ListPrice) -> int:
    """Pico-dollars of one call; those of one token are whole, rounded up."""
    pico = price.per_call * PICO_PER_USD
    for tokens, dollars in price.items(usage):
        one = (dollars * PICO_PER_USD / _MILLION).quantize(_WHOLE, rounding=ROUND_CEILING)
        pico += tokens * one
    return int(pico)


class _PriceFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    price: tuple[ListPrice, ...]


def load_prices(path: Path) -> tuple[ListPrice, ...]:
    """Read a price list: TOML with `[[price]]` tables. Raises InputError with file and place."""
    try:
        return _PriceFile.model_validate(shallow(tomllib.loads(path.read_text("utf-8")))).price
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first, *_ = faults_in(error, _PriceFile.__pydantic_core_schema__)
        where = ".".join(str(part) for part in first.path)
        raise InputError(f"{path}: {where or 'the price list'}: {first.problem}") from error
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a price list: it is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a price list: {error}") from error
