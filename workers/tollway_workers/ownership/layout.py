"""One layout for a fleet whose workers have different configurations during a deployment.

A topic's group is the one of the newest configuration that names the topic; a group's shards are
those of the newest that names the group. Topics and groups that only older ones name keep owners.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tollway_workers.ownership.sharding import ShardGroup


def merged(
    newest_first: Iterable[Iterable[ShardGroup]], partitions: Mapping[str, int]
) -> tuple[ShardGroup, ...]:
    """The groups of all layouts, each topic of `partitions` in exactly one of them.

    A topic that no layout names is a group of its own, with a shard for each partition.
    """
    groups: dict[str, ShardGroup] = {}
    placed: set[str] = set()
    for layout in newest_first:
        for group in layout:
            topics = tuple(t for t in group.topics if t in partitions and t not in placed)
            placed.update(topics)
            if topics:
                groups[group.name] = _joined(groups.get(group.name), group, topics)
    # A colon is in no group's name.
    alone = (_alone(f"topic:{t}", t, count) for t, count in partitions.items() if t not in placed)
    return tuple(sorted((*groups.values(), *alone), key=lambda group: group.name))


def _joined(newer: ShardGroup | None, group: ShardGroup, topics: tuple[str, ...]) -> ShardGroup:
    if newer is not None:
        return replace(newer, topics=tuple(sorted({*newer.topics, *topics})))
    owner = group.ownership_topic
    return replace(
        group,
        topics=tuple(sorted(topics)),
        ownership_topic=owner if owner in topics else min(topics),
    )


def _alone(name: str, topic: str, partitions: int) -> ShardGroup:
    return ShardGroup(
        name=name, shards=max(partitions, 1), ownership_topic=topic, topics=(topic,), generation=0
    )
