"""The slices of limits that this worker may use: those of shards whose first partition it owns.

A slice is used once its partition is open: our own commit has succeeded and, where the previous
owner left no final commit, its lease is over. Its use ends with our final commit, which carries its
levels to the next owner; where a partition is revoked instead, the next owner begins with none.
"""

from collections.abc import Iterable, Mapping

from tollway_workers.limits.quota import Quota, Quotas
from tollway_workers.ownership.owned_partition import LEASE, OwnedPartition
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.sharding import ShardGroup, ownership


class Slices:
    """State: `_quota_of` (the quota of each ownership partition), `_joined` (those in use),
    `_not_before` (when the slices of a group that is divided anew may be used)."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._quota_of: dict[Partition, Quota] = {}
        self._joined: set[Partition] = set()
        self._not_before: dict[str, float] = {}

    def arrange(self, layout: Iterable[ShardGroup], now: float) -> None:
        """Follow a new layout: the limit groups with their shards and limits."""
        before, self._quota_of = self._quota_of, {}
        for group in layout:
            quota = self._quotas.get(group.name)
            if quota is None:
                continue
            if quota.adopt(group.shards, dict(group.limits), now):
                self._start_anew(quota, now)
            self._quota_of.update(dict.fromkeys(ownership(group), quota))
        for partition in self._joined:
            quota = before[partition]
            if self._quota_of.get(partition) is not quota and partition[1] in quota.joined:
                quota.leave(partition[1], now)
                self._start_anew(quota, now)
        self._joined = {
            partition for partition in self._joined if partition[1] in before[partition].joined
        } & self._quota_of.keys()

    def use(self, partitions: Mapping[Partition, OwnedPartition], now: float) -> None:
        """Use the slices whose partitions are open, and only the slots of those that stay."""
        usable: dict[Quota, set[int]] = {}
        for partition, quota in self._quota_of.items():
            owned = partitions.get(partition)
            if owned is None or not owned.is_open(now):
                continue
            if partition not in self._joined:
                if now < self._not_before.get(quota.contract.group, 0.0):
                    continue
                self._join(partition, owned, quota, now)
            if now >= owned.opens_at + owned.withheld(quota.contract.withheld):
                usable.setdefault(quota, set()).add(partition[1])
        for quota in self._quotas.values():
            quota.open(usable.get(quota, frozenset()))

    def lose(self, partition: Partition, now: float) -> None:
        """A partition was revoked: the level of its slice is unknown from here on."""
        if partition in self._joined:
            self._joined.remove(partition)
            self._quota_of[partition].leave(partition[1], now)

    def last_levels(
        self, partition: Partition, owned: OwnedPartition, now: float
    ) -> tuple[float, ...]:
        """The levels for a partition's final commit: from here on its slice is not used."""
        if partition in self._joined:
            self._joined.remove(partition)
            owned.levels = self._quota_of[partition].leave(partition[1], now)
        return owned.levels

    def fits(self, group: str) -> bool:
        """Whether no more calls are in flight than the shards that stay allow."""
        quota = self._quotas.get(group)
        return quota is None or quota.fits

    def _join(self, partition: Partition, owned: OwnedPartition, quota: Quota, now: float) -> None:
        self._joined.add(partition)
        # In a group that was divided anew, a partition that was never committed may belong to a
        # slice that was used.
        fresh = owned.fresh and quota.contract.group not in self._not_before
        quota.join(partition[1], quota.full_levels() if fresh else owned.levels, now)
        owned.levels, owned.fresh = (), False

    def _start_anew(self, quota: Quota, now: float) -> None:
        """Wait one lease: workers that do not know the new layout yet use the old slices."""
        self._not_before[quota.contract.group] = now + LEASE
