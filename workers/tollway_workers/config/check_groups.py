"""Whether limit groups and their shards fit the lanes and the topics. Pure."""

from collections.abc import Iterator

from tollway_workers.config.fleet import FleetSettings
from tollway_workers.config.groups import lanes_by_group, least_concurrency
from tollway_workers.errors import ConfigMistake


def group_errors(settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What keeps groups from being used."""
    for name, lane in settings.lanes.items():
        if lane.limit_group is None and name in settings.limit_groups:
            yield ConfigMistake(
                key=f"limit_groups.{name}",
                problem="has the name of a lane that is not in it",
                remedy=f'give it another name, or set limit_group = "{name}" in that lane',
            )
        if lane.limit_group is not None and lane.shards is not None:
            yield ConfigMistake(
                key=f"lanes.{name}.shards",
                problem="has no effect in a lane that is in a limit group",
                remedy=f"set it in [limit_groups.{lane.limit_group}]",
            )
    for group, lanes in lanes_by_group(settings).items():
        yield from _shard_errors(group, lanes, settings)


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


def _shard_errors(
    group: str, lanes: tuple[str, ...], settings: FleetSettings
) -> Iterator[ConfigMistake]:
    if group in settings.limit_groups:
        key, shards = f"limit_groups.{group}.shards", settings.limit_groups[group].shards
    elif group in settings.lanes:
        key, shards = f"lanes.{group}.shards", settings.lanes[group].shards
    else:
        # A group that is not there is a mistake of its own.
        return
    if shards is None:
        return
    partitions = settings.kafka.partitions
    if partitions % shards:
        fitting = ", ".join(str(n) for n in range(1, partitions + 1) if partitions % n == 0)
        yield ConfigMistake(
            key=key,
            problem=f"{shards} does not divide the {partitions} partitions of every topic",
            remedy=f"set one of {fitting}, or kafka.partitions to a multiple of {shards}",
        )
    calls = least_concurrency(lanes, settings)
    if calls is not None and shards > calls:
        yield ConfigMistake(
            key=key,
            problem=f"{shards} shards of {calls} calls in flight leave some without any",
            remedy=f"set at most {calls}, or raise concurrency",
        )
