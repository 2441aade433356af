"""Which partitions belong together: a shard is the partitions q of its group's topics, q mod S = s.

So a route may change its first lane, and S may change, without touching a topic.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated

import orjson
from pydantic import Field

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.config.shape.contract import Contract
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.groups import LimitGroup, contract_of, limit_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardGroup:
    """A limit group as its shards are moved: what is owned together, and under which rules."""

    name: str
    #: At least one: the layout may come from another process.
    shards: Annotated[int, Field(ge=1)]
    ownership_topic: str
    #: Every topic whose partitions belong to its shards, the ownership topic among them.
    topics: tuple[str, ...]
    #: A number for the group's shards and limits: workers with the same number agree on both.
    generation: int
    #: Each limit by its key in the group's contract, for workers with another configuration.
    limits: tuple[tuple[str, float], ...] = ()


def shard_of(partition: int, shards: int) -> int:
    """The shard that a partition belongs to, in every topic of its group."""
    return partition % shards


def ownership(group: ShardGroup) -> list[tuple[str, int]]:
    """The partitions whose owner owns the shard: the first of the group's ownership topic."""
    return [(group.ownership_topic, shard) for shard in range(group.shards)]


def shard_groups(settings: FleetSettings) -> tuple[ShardGroup, ...]:
    """The groups of a fleet with all their topics, by name."""
    return tuple(
        ShardGroup(
            name=group.name,
            shards=group.shards,
            ownership_topic=group.ownership_topic,
            topics=topics_of(group, settings),
            generation=_generation(contract),
            limits=tuple(sorted(contract.amounts.items())),
        )
        for group in limit_groups(settings)
        for contract in (contract_of(group, settings),)
    )


def topics_of(group: LimitGroup, settings: FleetSettings) -> tuple[str, ...]:
    """Its lanes' topics, and the jobs topics of the routes that begin in one of its lanes."""
    names = TopicNames(settings.kafka.prefix)
    routes = [name for name, route in settings.routes.items() if route.lanes[0] in group.lanes]
    return tuple(
        sorted(
            [names.lane(lane, priority) for lane in group.lanes for priority in Priority]
            + [names.jobs(route, priority) for route in routes for priority in Priority]
        )
    )


def fitting_partitions(wanted: int, shards: Iterable[int]) -> int:
    """The least number of partitions, `wanted` or more, that every number of shards divides."""
    step = math.lcm(*shards)
    return -(-wanted // step) * step


def _generation(contract: Contract) -> int:
    """Equal for equal contracts alone: levels are taken over under an equal generation only."""
    text = orjson.dumps(asdict(contract))
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
