"""Limit groups: the lanes that a provider counts together, and the parts they are divided into."""

from dataclasses import dataclass

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.config.fleet import FleetSettings

#: Shards of a group that does not say: few, because each is a slice of the limits.
DEFAULT_SHARDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitGroup:
    """Lanes with common limits. The unit of limiting and of ownership."""

    name: str
    #: Its lanes by name.
    lanes: tuple[str, ...]
    #: 1/shards of it belongs to one worker at a time; divides the partitions of every topic.
    shards: int
    #: Whoever owns partition s of this topic owns shard s; nothing else says so.
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
            shards=_shards_given(group, settings) or default_shards(lanes, settings),
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


def default_shards(lanes: tuple[str, ...], settings: FleetSettings) -> int:
    """The most shards up to four that leave each a call of every lane and divide the partitions."""
    most = min(DEFAULT_SHARDS, least_concurrency(lanes, settings) or DEFAULT_SHARDS)
    partitions = settings.kafka.partitions
    return max(shards for shards in range(1, most + 1) if partitions % shards == 0)


def least_concurrency(lanes: tuple[str, ...], settings: FleetSettings) -> int | None:
    """The fewest calls in flight that one of the lanes may have; None if none limits them."""
    given = (settings.lanes[lane].concurrency for lane in lanes)
    return min((each for each in given if each is not None), default=None)


def _shards_given(group: str, settings: FleetSettings) -> int | None:
    if group in settings.limit_groups:
        return settings.limit_groups[group].shards
    return settings.lanes[group].shards
