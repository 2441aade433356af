"""Whether the parts of a `[lanes.<name>]` fit together. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from tollway_workers.config.fleet import FleetSettings, resolve_lane
from tollway_workers.config.provider import LaneSettings, Price
from tollway_workers.errors import ConfigMistake

#: Tokens of a large but usual request: what a burst should hold.
LARGE_REQUEST_TOKENS = 4_000

#: US dollars per million tokens between which list prices lie; 0 is a model of one's own.
_CHEAPEST = Decimal("0.001")
_DEAREST = Decimal(1000)


def lane_errors(name: str, lane: LaneSettings) -> Iterator[ConfigMistake]:
    """What keeps a lane from being used."""
    if lane.tokens_per_minute is None and "token_rule" in lane.model_fields_set:
        yield ConfigMistake(
            key=f"lanes.{name}.token_rule",
            problem="has no effect without tokens_per_minute",
            remedy="remove it, or add tokens_per_minute",
        )
    no_rate = lane.requests_per_minute is lane.tokens_per_minute is None
    if no_rate and "burst" in lane.model_fields_set:
        yield ConfigMistake(
            key=f"lanes.{name}.burst",
            problem="has no effect without requests_per_minute or tokens_per_minute",
            remedy="remove it, or add one of them",
        )


def lane_warnings(name: str, settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What is allowed for a lane but hardly meant."""
    lane = resolve_lane(name, settings)
    if lane.call_timeout > settings.worker.drain_timeout:
        yield ConfigMistake(
            key=f"lanes.{name}.call_timeout",
            problem=f"{lane.call_timeout:g} s is longer than worker.drain_timeout "
            f"({settings.worker.drain_timeout:g} s), so a worker told to stop may break off calls",
            remedy=f"raise worker.drain_timeout above {lane.call_timeout:g}",
        )
    if lane.tokens_per_minute is not None:
        at_once = lane.tokens_per_minute * lane.burst / 60
        if at_once < LARGE_REQUEST_TOKENS:
            yield ConfigMistake(
                key=f"lanes.{name}.burst",
                problem=f"lets {at_once:,.0f} tokens through at once, fewer than one large "
                f"request ({LARGE_REQUEST_TOKENS:,})",
                remedy="raise burst, or keep prompts and answer limits of its jobs below that",
            )
    if lane.price is not None:
        yield from _price_warnings(f"lanes.{name}.price", lane.price)


def _price_warnings(key: str, price: Price) -> Iterator[ConfigMistake]:
    for field in ("input", "output", "cached_input"):
        amount = getattr(price, field)
        if amount is None or amount == 0 or _CHEAPEST <= amount <= _DEAREST:
            continue
        yield ConfigMistake(
            key=f"{key}.{field}",
            problem="is far from any list price",
            remedy="give US dollars per million tokens, as in 0.15",
        )
    if price.cached_input is not None and price.cached_input > price.input:
        yield ConfigMistake(
            key=f"{key}.cached_input",
            problem="is more than input",
            remedy="give what the provider's list says for cached input",
        )
    if price.output < price.input:
        yield ConfigMistake(
            key=f"{key}.output",
            problem="is less than input",
            remedy="see whether the two were exchanged",
        )
