"""Whether the prices of a lane or a provider fit together. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from tollway_workers.config.shape.price import Price
from tollway_workers.config.shape.provider import CallSettings
from tollway_workers.errors import ConfigMistake

#: US dollars per million tokens between which list prices lie; 0 is a model of one's own.
_CHEAPEST = Decimal("0.001")
_DEAREST = Decimal(1000)
#: US dollars for one call, tokens apart.
_DEAREST_CALL = Decimal(1)
_BY_TOKEN = ("input", "output", "cached_input", "cache_write_5m", "cache_write_1h", "reasoning")


def price_errors(key: str, settings: CallSettings) -> Iterator[ConfigMistake]:
    """What keeps prices from being used; `key` is the table that they stand in."""
    earlier: dict[object, int] = {}
    for place, price in enumerate(settings.prices):
        if (first := earlier.setdefault(price.valid_from, place)) != place:
            yield ConfigMistake(
                key=f"{key}.prices[{place}].valid_from",
                problem=f"is that of prices[{first}], and one price holds at a time",
                remedy="give each price a date of its own",
            )


def price_warnings(
    key: str, settings: CallSettings, *, answers_in_tokens: bool = True
) -> Iterator[ConfigMistake]:
    """What is allowed for prices but hardly meant; `key` is the table that they stand in."""
    if settings.price is not None:
        yield from _warnings(f"{key}.price", settings.price, answers_in_tokens)
    for place, price in enumerate(settings.prices):
        yield from _warnings(f"{key}.prices[{place}]", price, answers_in_tokens)


def _warnings(key: str, price: Price, answers_in_tokens: bool) -> Iterator[ConfigMistake]:
    for field in _BY_TOKEN:
        amount = getattr(price, field)
        if amount is not None and amount != 0 and not _CHEAPEST <= amount <= _DEAREST:
            yield ConfigMistake(
                key=f"{key}.{field}",
                problem="is far from any list price",
                remedy="give US dollars per million tokens, as in 0.15",
            )
    if price.per_call > _DEAREST_CALL:
        yield ConfigMistake(
            key=f"{key}.per_call",
            problem="is far from any list price",
            remedy="give US dollars for one call, as in 0.005",
        )
    yield from _against_each_other(key, price, answers_in_tokens)


def _against_each_other(key: str, price: Price, answers_in_tokens: bool) -> Iterator[ConfigMistake]:
    if price.cached_input is not None and price.cached_input > price.input:
        yield ConfigMistake(
            key=f"{key}.cached_input",
            problem="is more than input",
            remedy="give what the provider's list says for cached input",
        )
    for field in ("cache_write_5m", "cache_write_1h"):
        amount = getattr(price, field)
        if amount is not None and 0 < amount < price.input:
            yield ConfigMistake(
                key=f"{key}.{field}",
                problem="is less than input",
                remedy="give the whole price of a token that is written, not what writing adds",
            )
    if answers_in_tokens and price.output < price.input:
        yield ConfigMistake(
            key=f"{key}.output",
            problem="is less than input",
            remedy="see whether the two were exchanged",
        )
