"""Shows a resolved configuration: secrets as references, lanes with their provider's defaults."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import tomlkit
from tomlkit.items import InlineTable

from tollway_workers.config.say.fields import looks_like_key
from tollway_workers.config.shape.contract import MINUTE, Resource
from tollway_workers.config.shape.fleet import FleetSettings, LaneConfig, resolve_lane
from tollway_workers.config.shape.groups import DEFAULT_BURST, rate_limits
from tollway_workers.config.shape.price import PriceList

MASK = "***"
_SECRET_WORDS = ("key", "token", "secret", "auth", "password", "cookie")
_REFERENCES = frozenset({"api_key", "password"})


def resolved_document(settings: FleetSettings) -> dict[str, Any]:
    """The settings as JSON can hold them: every default filled in, absent ones None, masked."""
    document = settings.model_dump()
    for name, lane in document["lanes"].items():
        lane.update(_resolved(resolve_lane(name, settings)), **_effective(name, settings))
    for provider in document["providers"].values():
        provider["headers"] = {n: _masked(n, v) for n, v in provider["headers"].items()}
    return {table: _plain(section) for table, section in document.items()}


def settings_digest(settings: FleetSettings) -> str:
    """Sixteen hex digits, equal for equal settings; secrets do not count."""
    said = orjson.dumps(resolved_document(settings), option=orjson.OPT_SORT_KEYS, default=str)
    return hashlib.blake2b(said, digest_size=8).hexdigest()


def resolved_toml(settings: FleetSettings) -> str:
    """The same as TOML, without what is absent. It can be loaded again."""
    return tomlkit.dumps(_without_absent(resolved_document(settings)))


def _resolved(lane: LaneConfig) -> dict[str, Any]:
    return {
        "call_timeout": lane.call_timeout,
        "connect_timeout": lane.connect_timeout,
        "stream": lane.stream,
        # What has no effect is not shown.
        "first_token_timeout": None if lane.stream == "never" else lane.first_token_timeout,
        "idle_timeout": lane.idle_timeout,
        "slow_after": lane.slow_after,
        "max_tokens_field": lane.max_tokens_field,
        "structured_output": lane.structured_output,
        **_prices(lane.prices),
    }


def _prices(prices: PriceList) -> dict[str, Any]:
    said = [price.model_dump() for _, price in prices.entries]
    first = said.pop(0) if said and "valid_from" not in said[0] else None
    return {"price": first, "prices": said}


def _effective(name: str, settings: FleetSettings) -> dict[str, Any]:
    """What has no effect is not shown: a configuration that gives it is refused."""
    lane = settings.lanes[name]
    group = lane.limit_group or name
    rates = [r for r in rate_limits(group, (name,), settings) if r.lane in (None, name)]
    by_rule = any(rate.resource is Resource.TOKENS for rate in rates)
    by_minute = any(rate.period == MINUTE for rate in rates)
    burst = None if lane.limit_group or not by_minute else lane.burst or DEFAULT_BURST
    rule = resolve_lane(name, settings).token_rule
    return {"token_rule": rule if by_rule else None, "burst": burst}


def _masked(header: str, value: str) -> str:
    secret = any(word in header.lower() for word in _SECRET_WORDS) or looks_like_key(value)
    return MASK if secret else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def _without_absent(table: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in table.items() if value is not None}
    # TOML ends a table where the next begins: its own settings come before its tables.
    ordered = sorted(kept, key=lambda key: _is_table(kept[key]) and key not in _REFERENCES)
    return {key: _item(key, kept[key]) for key in ordered}


def _is_table(value: Any) -> bool:
    """Whether it is one, or a list of them."""
    return isinstance(value, Mapping) or _are_tables(value)


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _item(key: str, value: Any) -> Any:
    if _are_tables(value):
        return [_without_absent(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    inner = _without_absent(value)
    return _inline(inner) if key in _REFERENCES else inner


def _inline(table: Mapping[str, Any]) -> InlineTable:
    inline = tomlkit.inline_table()
    inline.update(table)
    return inline
