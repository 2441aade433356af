"""Limit groups: the lanes that a provider counts together, and the parts they are divided into."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.config.shape.contract import (
    GOOD_SHARE,
    MINUTE,
    CallLimit,
    Contract,
    RateLimit,
    Resource,
)
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.config.shape.provider import LIMITS, LimitSettings

#: Shards of a group that does not say: few, because each is a slice of the limits.
DEFAULT_SHARDS = 4
#: Seconds of a rate that may be spent at once.
DEFAULT_BURST = 3.0
#: The part of a day's limit that may be spent at once.
_BURST_OF_DAY = 0.25
#: Seconds.
_DAY = 86_400.0
#: Setting, what it counts, and seconds. Levels are written down in this order.
_RATES = (
    ("requests_per_minute", Resource.REQUESTS, MINUTE),
    ("tokens_per_minute", Resource.TOKENS, MINUTE),
    ("input_tokens_per_minute", Resource.INPUT_TOKENS, MINUTE),
    ("output_tokens_per_minute", Resource.OUTPUT_TOKENS, MINUTE),
    ("requests_per_day", Resource.REQUESTS, _DAY),
    ("tokens_per_day", Resource.TOKENS, _DAY),
)
#: What each rate counts, by its name.
RESOURCE_OF = {name: resource for name, resource, _ in _RATES}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitGroup:
    """Lanes with common limits. The unit of limiting and of ownership."""

    name: str
    #: Its lanes by name.
    lanes: tuple[str, ...]
    #: 1/shards of it belongs to one worker at a time; divides the partitions of every topic.
    shards: int
    #: The owner of partition s of this topic owns shard s.
    ownership_topic: str


def limit_groups(settings: FleetSettings) -> tuple[LimitGroup, ...]:
    """All groups by name; a lane that names none is a group of its own.

    The settings must be free of errors. Groups without lanes are left out.
    """
    names = TopicNames(settings.kafka.prefix)
    return tuple(
        LimitGroup(
            name=group,
            lanes=lanes,
            shards=_shards_given(group, settings) or default_shards(group, lanes, settings),
            ownership_topic=names.lane(lanes[0], Priority.INTERACTIVE),
        )
        for group, lanes in lanes_by_group(settings).items()
    )


def lanes_by_group(settings: FleetSettings) -> dict[str, tuple[str, ...]]:
    """The names of each group's lanes, both in the order of their names."""
    groups: dict[str, list[str]] = {}
    for name, lane in sorted(settings.lanes.items()):
        groups.setdefault(lane.limit_group or name, []).append(name)
    return {group: tuple(lanes) for group, lanes in sorted(groups.items())}


def contract_of(group: LimitGroup, settings: FleetSettings) -> Contract:
    """What its provider allows a group. The settings must be free of errors."""
    kept = _kept_by(group.name, settings)
    longest = max(resolve_lane(lane, settings).call_timeout for lane in group.lanes)
    limits = tuple(_limits(group.name, group.lanes, settings))
    return Contract(
        group=group.name,
        shards=group.shards,
        rates=tuple(_rates(kept, limits)),
        calls=tuple(
            CallLimit(lane=lane, most=each.concurrency)
            for lane, each in limits
            if each.concurrency is not None
        ),
        withheld=longest if kept.strict_concurrency else 0.0,
    )


def rate_limits(group: str, lanes: tuple[str, ...], settings: FleetSettings) -> Iterator[RateLimit]:
    """The rates of a group and of each of its lanes, always in the same order."""
    return _rates(_kept_by(group, settings), _limits(group, lanes, settings))


def without_limits(settings: FleetSettings) -> dict[str, object]:
    """The settings without what a running worker can follow: the amounts of limits that there are,
    how they are kept, shards, and budgets. Equal where nothing else differs."""
    document = settings.model_dump()
    del document["budgets"]
    for table in ("lanes", "limit_groups"):
        for entry in document[table].values():
            for name in LimitSettings.model_fields:
                given = entry.pop(name)
                if name in LIMITS:
                    entry[f"{name} is limited"] = given is not None
    return document


def default_shards(group: str, lanes: tuple[str, ...], settings: FleetSettings) -> int:
    """The most shards up to four that leave each a call of every lane, divide the partitions, and
    leave most of every rate usable."""
    most = min(DEFAULT_SHARDS, least_concurrency(group, lanes, settings) or DEFAULT_SHARDS)
    partitions = settings.kafka.partitions
    rates = tuple(rate_limits(group, lanes, settings))
    return max(
        shards
        for shards in range(1, most + 1)
        if partitions % shards == 0
        and (shards == 1 or all(rate.share(shards) >= GOOD_SHARE for rate in rates))
    )


def least_concurrency(group: str, lanes: tuple[str, ...], settings: FleetSettings) -> int | None:
    """The fewest calls in flight that the group or one of its lanes may have; None: no limit."""
    given = (limits.concurrency for _, limits in _limits(group, lanes, settings))
    return min((each for each in given if each is not None), default=None)


def _rates(
    kept: LimitSettings, limits: Iterable[tuple[str | None, LimitSettings]]
) -> Iterator[RateLimit]:
    burst = (DEFAULT_BURST if kept.burst is None else kept.burst) / MINUTE
    for lane, each in limits:
        for name, resource, period in _RATES:
            amount = getattr(each, name)
            if amount is not None:
                yield RateLimit(
                    name=name,
                    lane=lane,
                    resource=resource,
                    amount=amount,
                    period=period,
                    burst=burst if period == MINUTE else _BURST_OF_DAY,
                    largest=1.0 if resource is Resource.REQUESTS else kept.largest_request,
                )


def _limits(
    group: str, lanes: tuple[str, ...], settings: FleetSettings
) -> Iterator[tuple[str | None, LimitSettings]]:
    """Each set of limits, with the lane that it is for; None: all lanes of the group together."""
    if group in settings.limit_groups:
        yield None, settings.limit_groups[group]
    for lane in lanes:
        yield lane, settings.lanes[lane]


def _kept_by(group: str, settings: FleetSettings) -> LimitSettings:
    """The settings that say how a group's limits are kept: its own, or those of its only lane."""
    return settings.limit_groups.get(group) or settings.lanes[group]


def _shards_given(group: str, settings: FleetSettings) -> int | None:
    return _kept_by(group, settings).shards
