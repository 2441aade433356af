"""What a call costs, in whole pico-USD. Unknown prices make unknown costs, never zero."""

from collections.abc import Iterable

from tollway_schemas.attempt import Attempt
from tollway_schemas.usage import Usage
from tollway_workers.config.shape.price import Price


def cost_of(usage: Usage | None, price: Price | None) -> int | None:
    """Pico-USD of one call: what the provider says it charged, else its tokens at our prices."""
    if usage is None:
        return None
    if usage.cost_reported is not None:
        return usage.cost_reported
    if price is None:
        return None
    rates = price.rates
    # More of a kind than there is of all: what is said of the kind is billed, and nothing less.
    fresh = usage.input_total - (
        usage.input_cached_read + usage.input_cache_write_5m + usage.input_cache_write_1h
    )
    said = usage.output_total - usage.reasoning
    return (
        rates.per_call
        + max(0, fresh) * rates.input
        + usage.input_cached_read * rates.cached_read
        + usage.input_cache_write_5m * rates.cache_write_5m
        + usage.input_cache_write_1h * rates.cache_write_1h
        + max(0, said) * rates.output
        + usage.reasoning * rates.reasoning
    )


def total(attempts: Iterable[Attempt]) -> tuple[Usage | None, int | None]:
    """Tokens and pico-USD of all attempts; the money is None if that of any billed one is unknown.

    A call that was surely not billed costs nothing.
    """
    usage: Usage | None = None
    cost: int | None = 0
    for attempt in attempts:
        if attempt.usage is not None:
            usage = attempt.usage if usage is None else usage + attempt.usage
        spent = attempt.spent
        cost = None if cost is None or spent is None else cost + spent
    return usage, cost
