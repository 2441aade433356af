"""Whether the parts of a `[lanes.<name>]` fit together. Pure."""

from collections.abc import Iterator

from tollway_workers.config.check.prices_fit import price_errors, price_warnings
from tollway_workers.config.shape.fleet import DEFAULT_CONNECT_TIMEOUT, FleetSettings, resolve_lane
from tollway_workers.config.shape.protocols import BUILT_IN, answers_in_tokens
from tollway_workers.errors import ConfigMistake


def lane_errors(name: str, settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What keeps a lane from being used."""
    lane = settings.lanes[name]
    group = settings.limit_groups.get(lane.limit_group or "")
    if not lane.given and not (group is not None and group.given):
        yield ConfigMistake(
            key=f"lanes.{name}",
            problem="has no limit, and a lane without any does not start",
            remedy="give concurrency, requests_per_minute or tokens_per_minute",
        )
    by_rule = [each for each in (lane, group) if each is not None]
    if "token_rule" in lane.model_fields_set and not any(
        each.tokens_per_minute or each.tokens_per_day for each in by_rule
    ):
        yield ConfigMistake(
            key=f"lanes.{name}.token_rule",
            problem="has no effect without tokens_per_minute",
            remedy="remove it, or add tokens_per_minute",
        )

    if lane.tokenizer is not None and not any(
        each.tokens_per_minute or each.tokens_per_day or each.input_tokens_per_minute
        for each in by_rule
    ):
        yield ConfigMistake(
            key=f"lanes.{name}.tokenizer",
            problem="has no effect without a limit that counts prompts",
            remedy="remove it, or add tokens_per_minute",
        )
    breaker = lane.breaker
    if breaker.longest_pause < breaker.pause:
        yield ConfigMistake(
            key=f"lanes.{name}.breaker.longest_pause",
            problem=f"{breaker.longest_pause:g} s is less than the first pause "
            f"({breaker.pause:g} s)",
            remedy=f"set at least {breaker.pause:g}, or lower pause",
        )
    yield from price_errors(f"lanes.{name}", lane)
    if lane.provider in settings.providers:
        yield from _timeout_errors(name, settings)
        yield from _protocol_errors(name, settings)


#: What ends a call, or is said of it, before all of it is over; and what that includes.
_PARTS_OF_CALL = {
    "connect_timeout": "connecting included",
    "first_token_timeout": "streamed or not",
    "idle_timeout": "however its answer comes",
    "slow_after": "slow or not",
}


def _timeout_errors(name: str, settings: FleetSettings) -> Iterator[ConfigMistake]:
    lane = resolve_lane(name, settings)
    for field, words in _PARTS_OF_CALL.items():
        key, given = _given(name, field, settings)
        if given is None:
            continue
        too_long = given > lane.call_timeout
        if field == "connect_timeout":
            too_long = DEFAULT_CONNECT_TIMEOUT != given >= lane.call_timeout
        if too_long:
            yield ConfigMistake(
                key=key,
                problem=f"{given:g} s has no effect: a call of lane {name} ends after "
                f"{lane.call_timeout:g} s, {words}",
                remedy=f"set less than {lane.call_timeout:g}, or raise call_timeout",
            )
    key, given = _given(name, "first_token_timeout", settings)
    if given is not None and key.startswith("lanes.") and lane.stream == "never":
        yield ConfigMistake(
            key=key,
            problem=f"has no effect: lane {name} never streams",
            remedy='remove it, or set stream = "auto"',
        )


def _protocol_errors(name: str, settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What is said of a lane that its protocol has no words for."""
    lane = settings.lanes[name]
    provider = settings.providers[lane.provider]
    protocol = BUILT_IN.get(provider.protocol)
    if protocol is None:
        return
    for place, where in ((f"lanes.{name}", lane), (f"providers.{lane.provider}", provider)):
        if where.max_tokens_field is not None and not protocol.limit_names:
            yield ConfigMistake(
                key=f"{place}.max_tokens_field",
                problem=f"has no effect: protocol {provider.protocol} has one name for the limit",
                remedy="remove it",
            )
        form = where.structured_output
        if form is not None and form not in protocol.structured_output:
            known = ", ".join(f'"{each}"' for each in sorted(protocol.structured_output))
            yield ConfigMistake(
                key=f"{place}.structured_output",
                problem=f'protocol {provider.protocol} has no "{form}"',
                remedy=f"set one of {known}, or remove it",
            )


def _given(name: str, field: str, settings: FleetSettings) -> tuple[str, float | None]:
    """A setting of a call where it is given, and its value: the lane's own, else its provider's."""
    lane = settings.lanes[name]
    value = getattr(lane, field)
    if value is not None:
        return f"lanes.{name}.{field}", value
    return f"providers.{lane.provider}.{field}", getattr(settings.providers[lane.provider], field)


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
    yield from price_warnings(
        f"lanes.{name}",
        settings.lanes[name],
        answers_in_tokens=answers_in_tokens(lane.protocol),
    )
