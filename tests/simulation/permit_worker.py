"""A worker's permits, as they are put together in a worker, and what its provider counts."""

from itertools import takewhile
from typing import NamedTuple

from job_owner import JobOwnerDouble
from manual_clock import ManualClock
from samples import lane, lane_contract

from tollway_workers.config.shape.contract import Contract, Resource
from tollway_workers.job.progress import JobProgress
from tollway_workers.limits.call_cost import Cost
from tollway_workers.limits.quota import Quota
from tollway_workers.ownership.owned_partitions import Found, OwnedPartitions
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.user_data import Orders
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.dispatch import Dispatcher
from tollway_workers.pipeline.queue import Fairness

SHARDS, CALLS = 4, 6
REQUESTS, TOKENS, LARGEST = 24.0, 6_000.0, 400.0
#: The part of bulk jobs.
FLOOR = 0.2


def contract(requests: float) -> Contract:
    return lane_contract(
        lane(
            requests_per_minute=requests,
            output_tokens_per_minute=TOKENS,
            concurrency=CALLS,
            largest_request=LARGEST,
            shards=SHARDS,
        )
    )


class Call(NamedTuple):
    progress: JobProgress
    permit: Permit
    started: float


#: What the provider counted: at the start of a call what it may become, then what it was.
Books = list[tuple[float, Cost]]


def counted(books: Books, resource: Resource, since: float) -> float:
    return sum(cost[resource] for _, cost in takewhile(lambda each: each[0] > since, books[::-1]))


class Worker:
    """One worker: what it owns, what waits for its lane and what it calls."""

    def __init__(self, owner: int, clock: ManualClock, books: Books, amount: float) -> None:
        self.clock, self.books = clock, books
        self.quota = Quota(contract(amount), clock.monotonic())
        self.partitions = OwnedPartitions(owner, {"main": self.quota})
        self.admission = Admission(lane(token_rule="input"), self.quota.of("main"), clock)
        self.dispatcher = Dispatcher(
            {"main": self.admission},
            clock,
            _Owner(self),
            Fairness(bulk_floor=FLOOR, lane_bytes=1.0),
        )
        self.calls: list[Call] = []
        self.served: list[JobProgress] = []
        self.cancelled: set[str] = set()

    def assign(self, kept: dict[Partition, Found], places: set[Partition], orders: Orders) -> None:
        fresh = Found(offset=0, fresh=True)
        found = {place: kept.get(place, fresh) for place in places}
        self.partitions.assign(found, orders, self.clock.boottime())

    def commit(self, kept: dict[Partition, Found]) -> None:
        commits = self.partitions.commits({}, self.clock.boottime())
        for place, each in commits.items():
            kept[place] = Found(offset=each.offset, metadata=each.metadata)
        self.partitions.written(commits)
        self.partitions.begin(self.clock.boottime())
        self.dispatcher.pump_all()

    def end(self, call: Call) -> None:
        """However it ended: its permit came back."""
        self.calls.remove(call)
        self.dispatcher.pump("main")

    def cut(self, call: Call) -> None:
        """It is cancelled while it is called."""
        with call.permit:
            pass
        self.end(call)

    def start(self, progress: JobProgress, permit: Permit) -> None:
        assert progress.job.id not in self.cancelled
        self.calls.append(Call(progress, permit, self.clock.monotonic()))
        self.served.append(progress)
        self.books.append((self.clock.monotonic(), permit.cost))


class _Owner(JobOwnerDouble):
    """Calls what may start for its worker."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(may=lambda job: worker.partitions.serves("lane"))
        self._worker = worker

    def start(self, job: JobProgress, permit: Permit) -> None:
        self._worker.start(job, permit)
