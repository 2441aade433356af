"""Whether limit groups and their shards fit the lanes, the topics and their own limits. Pure."""

import math
from collections.abc import Iterator

from tollway_workers.config.shape.contract import LEAST_SHARE, MINUTE, Resource
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.groups import (
    default_shards,
    lanes_by_group,
    least_concurrency,
    rate_limits,
)
from tollway_workers.errors import ConfigMistake

#: Settings that say how limits are kept: those of a group hold for all of its lanes.
_OF_GROUPS = ("shards", "burst", "largest_request", "strict_concurrency")


def group_errors(settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What keeps groups from being used."""
    for name, lane in settings.lanes.items():
        if lane.limit_group is None and name in settings.limit_groups:
            yield ConfigMistake(
                key=f"limit_groups.{name}",
                problem="has the name of a lane that is not in it",
                remedy=f'give it another name, or set limit_group = "{name}" in that lane',
            )
        for setting in _OF_GROUPS if lane.limit_group is not None else ():
            if getattr(lane, setting) is not None:
                yield ConfigMistake(
                    key=f"lanes.{name}.{setting}",
                    problem="has no effect in a lane that is in a limit group",
                    remedy=f"set it in [limit_groups.{lane.limit_group}]",
                )
    for group, lanes in lanes_by_group(settings).items():
        if group in settings.limit_groups or group in settings.lanes:
            yield from _effect_errors(group, lanes, settings)
            yield from _shard_errors(group, lanes, settings)
            yield from _share_errors(group, lanes, settings)


def group_warnings(settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What is allowed for groups but hardly meant."""
    used = {lane.limit_group for lane in settings.lanes.values()}
    for name in settings.limit_groups:
        if name not in used:
            yield ConfigMistake(
                key=f"limit_groups.{name}",
                problem="is in no lane",
                remedy="name it in one or remove it",
            )


def _effect_errors(
    group: str, lanes: tuple[str, ...], settings: FleetSettings
) -> Iterator[ConfigMistake]:
    kept = settings.limit_groups.get(group) or settings.lanes[group]
    rates = tuple(rate_limits(group, lanes, settings))
    by_minute = any(rate.period == MINUTE for rate in rates)
    tokens = any(rate.resource is not Resource.REQUESTS for rate in rates)
    calls = least_concurrency(group, lanes, settings) is not None
    for setting, needed, there in (
        ("burst", "a rate such as requests_per_minute", by_minute),
        ("largest_request", "a limit of tokens such as tokens_per_minute", tokens),
        ("strict_concurrency", "concurrency", calls),
    ):
        if getattr(kept, setting) is not None and not there:
            yield ConfigMistake(
                key=f"{_table(group, settings)}.{setting}",
                problem=f"has no effect without {needed}",
                remedy="remove it, or add that",
            )


def _shard_errors(
    group: str, lanes: tuple[str, ...], settings: FleetSettings
) -> Iterator[ConfigMistake]:
    key = f"{_table(group, settings)}.shards"
    shards = (settings.limit_groups.get(group) or settings.lanes[group]).shards
    if shards is None:
        return
    partitions = settings.kafka.partitions
    if partitions % shards:
        fitting = ", ".join(map(str, _fitting(partitions)))
        yield ConfigMistake(
            key=key,
            problem=f"{shards} does not divide the {partitions} partitions of every topic",
            remedy=f"set one of {fitting}, or kafka.partitions to a multiple of {shards}",
        )
    calls = least_concurrency(group, lanes, settings)
    if calls is not None and shards > calls:
        yield ConfigMistake(
            key=key,
            problem=f"{shards} shards of {calls} calls in flight leave some without any",
            remedy=f"set at most {calls}, or raise concurrency",
        )


def _share_errors(
    group: str, lanes: tuple[str, ...], settings: FleetSettings
) -> Iterator[ConfigMistake]:
    """Limits of which less than half could be used: what shards may spend at once is taken off."""
    table = _table(group, settings)
    given = (settings.limit_groups.get(group) or settings.lanes[group]).shards
    shards = given or default_shards(group, lanes, settings)
    for rate in rate_limits(group, lanes, settings):
        share = rate.share(shards)
        if share >= LEAST_SHARE:
            continue
        would_do = [n for n in _fitting(settings.kafka.partitions) if rate.share(n) >= LEAST_SHARE]
        if would_do:
            remedy = f"set {table}.shards to at most {max(would_do)}"
        else:
            most = math.floor(rate.amount * (1.0 - LEAST_SHARE))
            remedy = f"lower {table}.burst and {table}.largest_request: at most {most:,} may be"
            remedy += " spent at once"
        yield ConfigMistake(
            key=f"lanes.{rate.lane}.{rate.name}" if rate.lane else f"{table}.{rate.name}",
            problem=f"{rate.amount:,g} in {_parts(shards)}, each of which may spend "
            f"{rate.capacity(shards):,.0f} at once, leaves {max(share, 0.0):.0%} to be used "
            f"steadily, and at least {LEAST_SHARE:.0%} should be",
            remedy=remedy,
        )


def _parts(shards: int) -> str:
    return "one shard" if shards == 1 else f"{shards} shards"


def _fitting(partitions: int) -> list[int]:
    return [n for n in range(1, partitions + 1) if partitions % n == 0]


def _table(group: str, settings: FleetSettings) -> str:
    return f"limit_groups.{group}" if group in settings.limit_groups else f"lanes.{group}"
