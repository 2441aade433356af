"""The order of the jobs that wait for one lane. Deterministic, and fast for many jobs.

Between tenants it is start-time fair queueing (Goyal, Vin, Cheng 1996): each tenant has a tag in
virtual time; the tenant with the lowest tag is next, and its tag grows by its call's cost divided
by its weight. So while tenants wait, their shares differ from their weights by one call each at
most, and a newcomer waits for one call rather than for a round. Within a tenant it is age.

Between priorities: interactive first, but bulk saves up a small part of what interactive takes.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

_Item = TypeVar("_Item")

#: Most tags of tenants without jobs that are kept: a tenant may be an end user, one of millions.
_KEPT_TAGS = 1_000
#: Bytes that a tenant with waiting jobs takes besides them, measured: a deque, for the most part.
TENANT_BYTES = 1_000


@dataclass(slots=True, eq=False)
class _Flow(Generic[_Item]):
    """The jobs of one tenant."""

    tenant: str | None
    weight: float
    tag: float
    items: deque[_Item] = field(default_factory=deque)


class FairQueue(Generic[_Item]):
    """The jobs of one priority, of all tenants.

    State: `held` (how many jobs), `_flows` (of tenants with jobs), `_order` (those by tag),
    `_virtual` (the tag of who went last, or of who was forgotten), `_left` (tags of tenants whose
    jobs are gone: who comes back at once has no advantage) and `_passing` (those by tag, and some
    of tenants who have come back since).
    """

    def __init__(self, weights: Callable[[str | None], float]) -> None:
        self._weights = weights
        self._flows: dict[str | None, _Flow[_Item]] = {}
        self._order: list[tuple[float, int, _Flow[_Item]]] = []
        self._ties = count()
        self._virtual = 0.0
        self._left: dict[str | None, float] = {}
        self._passing: list[tuple[float, int, str | None]] = []
        self.held = 0

    def add(self, item: _Item, tenant: str | None, *, first: bool = False) -> None:
        """Behind the others of its tenant, or before them."""
        flow = self._flows.get(tenant)
        if flow is None:
            tag = max(self._virtual, self._left.pop(tenant, 0.0))
            flow = self._flows[tenant] = _Flow(tenant, self._weights(tenant), tag)
            heapq.heappush(self._order, (tag, next(self._ties), flow))
        if first:
            flow.items.appendleft(item)
        else:
            flow.items.append(item)
        self.held += 1

    @property
    def head(self) -> _Item | None:
        """The next job; the same until `take_head`, or until a job is added or removed."""
        return self._order[0][2].items[0] if self._order else None

    def take_head(self, cost_of: Callable[[_Item], float] | None) -> _Item:
        """Remove and return the head; its tenant is charged the cost, or nothing for None.

        A tenant that waits alone is charged nothing, and its costs are not computed.
        """
        flow = self._order[0][2]
        item = flow.items.popleft()
        self.held -= 1
        if cost_of is not None and (len(self._flows) > 1 or self._left):
            self._virtual = max(self._virtual, flow.tag)
            flow.tag += cost_of(item) / flow.weight
        if flow.items:
            heapq.heapreplace(self._order, (flow.tag, next(self._ties), flow))
        else:
            heapq.heappop(self._order)
            self._forget(flow)
        return item

    def take(self, leaves: Callable[[_Item], bool]) -> list[_Item]:
        """Remove and return all that `leaves` says yes to; looks at each."""
        taken: list[_Item] = []
        for flow in tuple(self._flows.values()):
            going = [item for item in flow.items if leaves(item)]
            if not going:
                continue
            gone = set(map(id, going))
            flow.items = deque(item for item in flow.items if id(item) not in gone)
            taken += going
            if not flow.items:
                self._forget(flow)
        if taken:
            self.held -= len(taken)
            self._order = [entry for entry in self._order if entry[2].items]
            heapq.heapify(self._order)
        return taken

    @property
    def bytes_besides(self) -> int:
        """What it takes besides the jobs in it."""
        return TENANT_BYTES * len(self._flows)

    def upcoming(self) -> Iterator[_Item]:
        """About in the order in which they will go: the first of each tenant, then the second."""
        # One at a time: asking for the next few jobs must not cost a step per waiting tenant.
        deeper: list[_Flow[_Item]] = []
        for _, _, flow in self._order:
            yield flow.items[0]
            if len(flow.items) > 1:
                deeper.append(flow)
        for depth in count(1):
            if not deeper:
                return
            yield from (flow.items[depth] for flow in deeper)
            deeper = [flow for flow in deeper if len(flow.items) > depth + 1]

    def __iter__(self) -> Iterator[_Item]:
        for flow in self._flows.values():
            yield from flow.items

    def _forget(self, flow: _Flow[_Item]) -> None:
        del self._flows[flow.tenant]
        if flow.tag > self._virtual:
            self._left[flow.tenant] = flow.tag
            heapq.heappush(self._passing, (flow.tag, next(self._ties), flow.tenant))
        self._pass()

    def _pass(self) -> None:
        """Forget the tags that virtual time has passed; where there are too many, it passes more.

        Where each job is of a tenant of its own, all of them start at the same tag, and nothing
        else would ever move it. Nobody gains by that: newcomers begin behind who was forgotten, and
        the tags of those who wait stay as they are.
        """
        passing = self._passing
        while passing and (passing[0][0] <= self._virtual or len(self._left) > _KEPT_TAGS):
            tag, _, tenant = heapq.heappop(passing)
            if self._left.get(tenant) == tag:
                del self._left[tenant]
                self._virtual = max(self._virtual, tag)
        if len(passing) > 2 * _KEPT_TAGS:
            # Most are of tenants who came back, and left with other tags.
            self._passing = [(tag, next(self._ties), who) for who, tag in self._left.items()]
            heapq.heapify(self._passing)


class PriorityQueue(Generic[_Item]):
    """The jobs that wait for one lane.

    State: both queues, and `_credit` (what bulk has saved up while interactive went first).
    """

    def __init__(self, weights: Callable[[str | None], float], bulk_floor: float) -> None:
        """`bulk_floor`: the part that bulk gets at least, from 0 to below 1."""
        self._interactive = FairQueue[_Item](weights)
        self._bulk = FairQueue[_Item](weights)
        self._saved = bulk_floor / (1.0 - bulk_floor)
        self._credit = 0.0

    def add(
        self, item: _Item, tenant: str | None, *, interactive: bool, first: bool = False
    ) -> None:
        """Behind the others of its tenant and priority, or before them."""
        (self._interactive if interactive else self._bulk).add(item, tenant, first=first)

    def head(self, cost_of: Callable[[_Item], float]) -> _Item | None:
        """The next job; None where none waits."""
        return self._next(cost_of).head

    def take_head(self, cost_of: Callable[[_Item], float], *, called: bool) -> _Item:
        """Remove and return the head; where it is not called its tenant is charged nothing.

        There must be one.
        """
        queue = self._next(cost_of)
        both_wait = self._bulk.held and self._interactive.held
        item = queue.take_head(cost_of if called else None)
        if not both_wait:
            self._credit = 0.0
        elif called:
            cost = cost_of(item)
            self._credit += -cost if queue is self._bulk else cost * self._saved
        return item

    def take(self, leaves: Callable[[_Item], bool]) -> list[_Item]:
        """Remove and return all that `leaves` says yes to; looks at each."""
        return self._interactive.take(leaves) + self._bulk.take(leaves)

    @property
    def bytes_besides(self) -> int:
        """What it takes besides the jobs in it."""
        return self._interactive.bytes_besides + self._bulk.bytes_besides

    def upcoming(self) -> Iterator[_Item]:
        """About in the order in which they will go. Nothing may change while it is walked."""
        yield from self._interactive.upcoming()
        yield from self._bulk.upcoming()

    @property
    def interactive(self) -> int:
        """Interactive jobs in it."""
        return self._interactive.held

    def __iter__(self) -> Iterator[_Item]:
        yield from self._interactive
        yield from self._bulk

    def __len__(self) -> int:
        return self._interactive.held + self._bulk.held

    def _next(self, cost_of: Callable[[_Item], float]) -> FairQueue[_Item]:
        if not self._interactive.held:
            return self._bulk
        # The comparison with zero spares most heads the count of their tokens.
        if self._credit <= 0.0 or (bulk := self._bulk.head) is None:
            return self._interactive
        return self._bulk if self._credit >= cost_of(bulk) else self._interactive
