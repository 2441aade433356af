"""Our partition assignor: this member's claim and orders, and the group's plan if it leads.

Kafka makes one member of the group its leader; any may become it at any rebalance. The plan itself
is ownership/shard_plan.py.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

from tollway_workers.ownership.layout import merged
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.shard_plan import Member, Plan, plan
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import (
    Claim,
    Orders,
    Process,
    fingerprint_of,
    read_claim,
    read_orders,
    write_claim,
    write_orders,
)

#: Stands for a claim that cannot be read.
_NOTHING = Claim(process=Process(start=0, nonce=0))


class ShardAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
    """One for each consumer: aiokafka sends a JoinGroup for each that it is given.

    State: `claim` (what the next join says; its user changes it between two joins) and `orders` (of
    the last assignment).
    """

    # aiokafka's are properties of a class; a plain value serves them too.
    name = "tollway-shards"  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    version = 0

    def __init__(
        self, process: Process, layout: tuple[ShardGroup, ...], topics: Collection[str]
    ) -> None:
        self.claim = Claim(
            process=process,
            configured=process.start,
            layout=layout,
            fingerprint=fingerprint_of(layout, topics),
        )
        self.orders = Orders(partitions={})

    # aiokafka's are class methods, and its coordinator calls what it was given: an instance.
    def metadata(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, topics: Iterable[str]
    ) -> ConsumerProtocolMemberMetadata:
        """This member's claim, for JoinGroup."""
        self.claim = replace(self.claim, joins=self.claim.joins + 1)
        return ConsumerProtocolMemberMetadata(self.version, sorted(topics), write_claim(self.claim))

    def on_assignment(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assignment: ConsumerProtocolMemberAssignment
    ) -> None:
        """Take this member's assignment and orders; they replace all earlier ones."""
        self.orders = read_orders(assignment.user_data) or Orders(partitions={})
        owned = frozenset((at.topic, at.partition) for at in assignment.partitions())
        self.claim = replace(self.claim, owned=owned)

    def assign(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Each member's assignment and orders, if this member leads."""
        claims = {name: read_claim(said.user_data) for name, said in members.items()}
        topics = {name: frozenset(said.subscription) for name, said in members.items()}
        partitions = {
            topic: len(cluster.partitions_for_topic(topic) or ())
            for topic in sorted(frozenset().union(*topics.values()))
        }
        layout = merged(_newest_first(claims.values()), partitions)
        planned = plan(
            [_member(name, claim or _NOTHING, topics[name]) for name, claim in claims.items()],
            layout,
            partitions,
        )
        return {
            name: ConsumerProtocolMemberAssignment(
                self.version,
                _by_topic(planned.given[name]),
                write_orders(_orders(name, claims[name], planned, layout, partitions)),
            )
            for name in members
        }


def _newest_first(claims: Iterable[Claim | None]) -> list[tuple[ShardGroup, ...]]:
    readable = [claim for claim in claims if claim is not None]
    readable.sort(key=lambda claim: (claim.configured, claim.process.nonce), reverse=True)
    return [claim.layout for claim in readable]


def _member(name: str, claim: Claim, topics: frozenset[str]) -> Member:
    return Member(
        name=name,
        topics=topics,
        epoch=claim.epoch,
        owned=claim.owned,
        released=claim.released,
        leaving=claim.leaving,
        standby=claim.standby,
    )


def _orders(
    name: str,
    claim: Claim | None,
    planned: Plan,
    layout: tuple[ShardGroup, ...],
    partitions: Mapping[str, int],
) -> Orders:
    orders = Orders(marks=planned.marks[name], layout=layout, partitions=dict(partitions))
    if claim is None:
        return orders
    return replace(
        orders,
        process=claim.process,
        fingerprint=claim.fingerprint,
        leaving=claim.leaving,
        standby=claim.standby,
    )


def _by_topic(partitions: Iterable[Partition]) -> list[tuple[str, list[int]]]:
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        topics.setdefault(topic, []).append(partition)
    return list(topics.items())
