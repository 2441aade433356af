"""Which slices of which limits are ours to use: those of the shards whose first partition is ours.

A slice joins once its partition is open: our own commit stands and, where the owner before us left
no last word, its lease is over. It goes with our last word, which carries its levels, or without
one when the partition is taken from us; whoever has it next then begins with nothing.
"""

from collections.abc import Iterable, Mapping

from tollway_workers.limits.quota import Quota, Quotas
from tollway_workers.ownership.custody import LEASE, Custody
from tollway_workers.ownership.shard_plan import Place
from tollway_workers.ownership.sharding import ShardGroup, ownership


class Slices:
    """State: `_places` (the quota of each ownership partition), `_joined` (those in use),
    `_not_before` (when the slices of a group that is divided anew may be used)."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._places: dict[Place, Quota] = {}
        self._joined: set[Place] = set()
        self._not_before: dict[str, float] = {}

    def arrange(self, layout: Iterable[ShardGroup], now: float) -> None:
        """The fleet's groups are these now, in this many shards, with these limits."""
        before, self._places = self._places, {}
        for group in layout:
            quota = self._quotas.get(group.name)
            if quota is None:
                continue
            if quota.adopt(group.shards, dict(group.limits), now):
                self._start_anew(quota, now)
            self._places.update(dict.fromkeys(ownership(group), quota))
        for place in self._joined:
            quota = before[place]
            if self._places.get(place) is not quota and place[1] in quota.joined:
                quota.leave(place[1], now)
                self._start_anew(quota, now)
        self._joined = {
            place for place in self._joined if place[1] in before[place].joined
        } & self._places.keys()

    def use(self, custodies: Mapping[Place, Custody], now: float) -> None:
        """Use what has become open, and only the slots of what stays."""
        usable: dict[Quota, set[int]] = {}
        for place, quota in self._places.items():
            custody = custodies.get(place)
            if custody is None or not custody.is_open(now):
                continue
            if place not in self._joined:
                if now < self._not_before.get(quota.contract.group, 0.0):
                    continue
                self._join(place, custody, quota, now)
            if now >= custody.opens_at + custody.withheld(quota.contract.withheld):
                usable.setdefault(quota, set()).add(place[1])
        for quota in self._quotas.values():
            quota.open(usable.get(quota, frozenset()))

    def lose(self, place: Place, now: float) -> None:
        """A partition was taken from us: nobody knows what its slice still holds."""
        if place in self._joined:
            self._joined.remove(place)
            self._places[place].leave(place[1], now)

    def last_levels(self, place: Place, custody: Custody, now: float) -> tuple[float, ...]:
        """The levels for the last word on a partition: from here on its slice is not used."""
        if place in self._joined:
            self._joined.remove(place)
            custody.levels = self._places[place].leave(place[1], now)
        return custody.levels

    def fits(self, group: str) -> bool:
        """Whether no more calls are in flight than the shards that stay allow."""
        quota = self._quotas.get(group)
        return quota is None or quota.fits

    def _join(self, place: Place, custody: Custody, quota: Quota, now: float) -> None:
        self._joined.add(place)
        # Of a group that was divided anew, a partition that was never committed may be of a slice
        # that was used.
        fresh = custody.fresh and quota.contract.group not in self._not_before
        quota.join(place[1], quota.full_levels() if fresh else custody.levels, now)
        custody.levels, custody.fresh = (), False

    def _start_anew(self, quota: Quota, now: float) -> None:
        """Whoever has not heard of the new layout yet uses the old slices while its lease lasts."""
        self._not_before[quota.contract.group] = now + LEASE
