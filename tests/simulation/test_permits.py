"""The permit in a whole fleet: never over, nothing leaked, nobody starves.

Workers as they are put together (shards that move with their last words, limits, gates, queues);
calls, operators, the provider and the machines do what they like, in any order.
"""

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from manual_clock import ManualClock
from permit_worker import (
    CALLS,
    FLOOR,
    LARGEST,
    REQUESTS,
    SHARDS,
    TOKENS,
    Books,
    Call,
    Worker,
    contract,
    counted,
)
from samples import job, progress
from size import sized

from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Priority
from tollway_schemas.usage import Usage
from tollway_workers.config.shape.contract import Resource
from tollway_workers.job.progress import JobProgress
from tollway_workers.limits.call_cost import Cost
from tollway_workers.ownership.owned_partitions import Found
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import Orders
from tollway_workers.pipeline.admit import Permit
from tollway_workers.providers.rate_headers import RateHeaders

_PERIOD, _SMALL = 60.0, 200.0
#: Seconds between two commits: the lease never runs out but in a crash.
_STEP = 4.0
#: Seconds until leases, pauses and paces are over, and then until every level is full.
_RECOVERS, _REFILLS = 70.0, 150.0
PLACES: tuple[Partition, ...] = tuple(("lane", number) for number in range(SHARDS))
_PICK = st.integers(0, 2)


class Fleet(RuleBasedStateMachine):
    """Everything that happens to permits, in one group of one lane."""

    def __init__(self) -> None:
        super().__init__()
        self.start(1)

    @initialize(workers=st.integers(1, 3))
    def start(self, workers: int) -> None:
        self.clock = ManualClock()
        self.books: Books = []
        self.owners, self.names = count(1), count()
        self.kept: dict[Partition, Found] = {}
        self.generation, self.fleets = 1, REQUESTS
        self.moves: dict[Partition, int] = {}
        self.workers = [self._new(REQUESTS) for _ in range(workers)]
        self.gone: list[Worker] = []
        #: The highest amount that any worker used, and since when.
        self.amounts = [(-_PERIOD, REQUESTS)]
        for index, worker in enumerate(self.workers):
            worker.assign(self.kept, set(PLACES[index::workers]), self._orders())
            worker.commit(self.kept)

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        while seconds > 0.0:
            self.clock.advance(min(seconds, _STEP))
            seconds -= _STEP
            self._commit()

    @rule(
        pick=_PICK,
        tokens=st.lists(st.sampled_from([1.0, 50.0, LARGEST]), min_size=1, max_size=6),
        tenant=st.sampled_from(["x", "y"]),
        priority=st.sampled_from(list(Priority)),
    )
    def jobs_come(self, pick: int, tokens: list[float], tenant: str, priority: Priority) -> None:
        self._offer(self._one(pick), tokens, tenant, priority)

    @precondition(lambda self: any(worker.calls for worker in self.workers))
    @rule(pick=_PICK, part=st.floats(0.0, 1.0))
    def a_call_is_answered(self, pick: int, part: float) -> None:
        worker = self._calling(pick)
        self._answer(worker, worker.calls[0], part)

    @precondition(lambda self: any(worker.calls for worker in self.workers))
    @rule(pick=_PICK, wait=st.sampled_from([None, 0.5, 4.0]))
    def a_call_is_refused_and_the_lane_slows(self, pick: int, wait: float | None) -> None:
        worker = self._calling(pick)
        call = worker.calls[-1]
        with call.permit:
            worker.admission.on_failure(FailureClass.RATE_LIMIT, wait, call.started)
        worker.end(call)

    @precondition(lambda self: any(worker.calls for worker in self.workers))
    @rule(pick=_PICK)
    def a_call_is_never_sent(self, pick: int) -> None:
        worker = self._calling(pick)
        call = worker.calls[-1]
        call.permit.withdraw()
        call.permit.withdraw()
        self.books.remove((call.started, call.permit.cost))
        worker.end(call)

    @rule(pick=_PICK, tenant=st.sampled_from(["x", "y"]))
    def an_operator_cancels_a_tenant(self, pick: int, tenant: str) -> None:
        worker = self._one(pick)
        gone = worker.dispatcher.take(lambda each: each.tenant == tenant)
        worker.cancelled |= {each.job.id for each in gone}
        for call in [each for each in worker.calls if each.progress.tenant == tenant]:
            worker.cut(call)
            call.permit.release()

    @rule(pick=_PICK, limit=st.sampled_from([None, 12, 24, 96]), left=st.sampled_from([None, 0, 9]))
    def the_provider_says_what_it_has(self, pick: int, limit: int | None, left: int | None) -> None:
        worker = self._one(pick)
        pool = worker.quota.pools[0]
        pool.refill(self.clock.monotonic())
        before = pool.level
        said = RateHeaders(limit_requests=limit, remaining_requests=left)
        worker.admission.observe(said, 0.0)
        assert pool.level <= before

    @rule(pick=_PICK, amount=st.sampled_from([REQUESTS / 2, REQUESTS, 2 * REQUESTS]))
    def a_worker_reads_another_configuration(self, pick: int, amount: float) -> None:
        worker = self._one(pick)
        pool = worker.quota.pools[0]
        pool.refill(self.clock.monotonic())
        before = pool.level
        worker.quota.configure(contract(amount), self.clock.monotonic())
        assert pool.level <= before
        self._note_amounts()

    @rule(amount=st.sampled_from([REQUESTS / 2, REQUESTS, 2 * REQUESTS]))
    def the_fleet_hears_of_another_limit(self, amount: float) -> None:
        self.generation += 1
        self.fleets = amount
        for worker in self.workers:
            worker.assign(self.kept, set(worker.partitions), self._orders())
        self._note_amounts()
        self._commit()

    @rule(number=st.integers(0, SHARDS - 1), pick=_PICK)
    def a_shard_is_to_move(self, number: int, pick: int) -> None:
        place = PLACES[number]
        if self._one(pick) is not self._owner(place):
            self.moves[place] = pick
            self._mark(place)

    @rule(pick=_PICK, heir=_PICK)
    def a_worker_dies_and_others_take_over(self, pick: int, heir: int) -> None:
        dead = self._one(pick)
        dead.dispatcher.stop()
        self.gone.append(dead)
        # Its calls die with it: its connections are closed.
        fresh = self._new(self.fleets)
        self.workers[self.workers.index(dead)] = fresh
        for place in dead.partitions:
            self.moves.pop(place, None)
        taker = self._one(heir)
        taker.assign(self.kept, set(taker.partitions) | set(dead.partitions), self._orders())
        self._note_amounts()
        self._commit()

    @rule(pick=_PICK, priority=st.sampled_from(list(Priority)))
    def a_large_call_is_served_while_small_ones_keep_coming(
        self, pick: int, priority: Priority
    ) -> None:
        worker = self._one(pick)
        self._come_to_rest()
        if not worker.quota.joined:
            return
        self._offer(worker, [_SMALL] * 2 * CALLS, "small", Priority.INTERACTIVE)
        self._cut_all(worker)
        worker.dispatcher.take(lambda each: True)
        (large,) = self._offer(worker, [LARGEST], f"large-{next(self.names)}", priority)
        interactive, waited = 0.0, 0
        while large not in worker.served:
            self._offer(worker, [_SMALL] * 4, f"small-{next(self.names)}", Priority.INTERACTIVE)
            interactive += self._cut_all(worker)
            self._second()
            waited += 1
            if priority is Priority.INTERACTIVE:
                assert waited < _PERIOD, "it was first"
            else:
                assert interactive <= LARGEST / FLOOR + 4 * _SMALL, "bulk has its floor"
        self._cut_all(worker)
        worker.dispatcher.take(lambda each: True)

    @rule(
        tokens=st.sampled_from([1.0, LARGEST]),
        moves=st.lists(_PICK, max_size=SHARDS),
        dies=st.booleans(),
    )
    def all_call_what_they_may_for_a_minute(
        self, tokens: float, moves: list[int], dies: bool
    ) -> None:
        """From rest, when most is saved up; shards move when a part of that is used."""
        self._come_to_rest()
        for second in range(int(_PERIOD) + 2):
            for worker in self.workers if second > 1 else self.workers[:1]:
                self._offer(worker, [tokens] * (3 if second else 1), "x", Priority.BULK)
                while worker.calls:
                    self._answer(worker, worker.calls[0], 0.5)
            if second == 0:
                for number, pick in enumerate(moves):
                    self.a_shard_is_to_move(number, pick)
            if second == 10 and dies:
                self.a_worker_dies_and_others_take_over(0, 1)
            self._second()
            self.no_window_passes_the_contract()
        for worker in self.workers:
            worker.dispatcher.take(lambda each: True)

    def teardown(self) -> None:
        """After everything has ended, all is there that was there in the beginning."""
        self._come_to_rest()
        for worker in self.workers:
            assert (worker.admission.in_flight, worker.dispatcher.waiting) == (0, 0)
            assert not any(map(worker.dispatcher.full_topics, worker.dispatcher.queues))
            assert [slots.used for slots in worker.quota.slots] == [0]
        assert sum(len(worker.quota.joined) for worker in self.workers) == SHARDS
        assert sum(worker.quota.slots[0].most for worker in self.workers) == CALLS
        for worker in self.workers:
            for pool in worker.quota.pools:
                pool.refill(self.clock.monotonic())
                assert pool.level == pool.slices * pool.capacity
                assert (pool.pace, pool.borne) == (1.0, 1.0)

    @invariant()
    def no_window_passes_the_contract(self) -> None:
        begin = self.clock.monotonic() - _PERIOD
        before = [amount for at, amount in self.amounts if at <= begin][-1]
        requests = max([before, *(amount for at, amount in self.amounts if at > begin)])
        assert counted(self.books, Resource.REQUESTS, begin) <= requests + 1e-6
        assert counted(self.books, Resource.OUTPUT_TOKENS, begin) <= TOKENS + 1e-6

    @invariant()
    def what_is_counted_as_spent_and_in_flight_is_what_the_provider_saw(self) -> None:
        assert sum(len(each.calls) for each in self.workers) <= CALLS
        workers = [*self.workers, *self.gone]
        for worker in workers:
            calls = len(worker.calls)
            assert (worker.admission.in_flight, worker.quota.slots[0].used) == (calls, calls)
            for pool in worker.quota.pools:
                assert pool.level <= pool.slices * pool.capacity
        for index, resource in enumerate((Resource.REQUESTS, Resource.OUTPUT_TOKENS)):
            spent = sum(worker.quota.pools[index].spent for worker in workers)
            assert abs(spent - counted(self.books, resource, -1.0)) < 1e-6

    def _new(self, amount: float) -> Worker:
        return Worker(next(self.owners), self.clock, self.books, amount)

    def _offer(
        self, worker: Worker, tokens: list[float], tenant: str, priority: Priority
    ) -> list[JobProgress]:
        offered = []
        for each in tokens:
            name = f"job-{next(self.names)}"
            waits = progress(job(name, tenant=tenant, priority=priority, seconds=1e6))
            waits.cost = Cost(tokens=each, input_tokens=10.0, output_tokens=each)
            worker.dispatcher.offer(waits)
            offered.append(waits)
        worker.dispatcher.pump("main")
        return offered

    def _come_to_rest(self) -> None:
        """Nothing waits or runs, the provider is content, and time has passed."""
        for worker in self.workers:
            worker.dispatcher.take(lambda each: True)
            for call in tuple(worker.calls):
                worker.cut(call)
            worker.admission.on_answer()
            worker.admission.observe(RateHeaders(limit_requests=10**6), 0.0)
        self.moves.clear()
        for worker in self.workers:
            worker.assign(self.kept, set(worker.partitions), self._orders())
        self.time_passes(_RECOVERS)
        for worker in self.workers:
            # A pace recovers when a call is asked for.
            permit = worker.admission.admit(progress())
            if isinstance(permit, Permit):
                permit.withdraw()
        self.time_passes(_REFILLS)

    def _second(self) -> None:
        self.clock.advance(1.0)
        if self.clock.monotonic() % _STEP < 1.0:
            self._commit()
        for worker in self.workers:
            worker.dispatcher.pump_all()

    def _answer(self, worker: Worker, call: Call, part: float) -> None:
        """It used this part of what its answer was reserved."""
        cost = call.permit.cost
        used = int(cost.output_tokens * part)
        with call.permit:
            call.permit.settle(Usage(input_total=int(cost.input_tokens), output_total=used))
        worker.admission.on_answer()
        back = Cost(0.0, 0.0, 0.0, used - cost.output_tokens)
        self.books.append((self.clock.monotonic(), back))
        worker.end(call)

    def _cut_all(self, worker: Worker) -> float:
        """The tokens of its calls, which are over."""
        tokens = 0.0
        while worker.calls:
            tokens += worker.calls[0].permit.cost.tokens
            worker.cut(worker.calls[0])
        return tokens

    def _commit(self) -> None:
        for worker in self.workers:
            worker.commit(self.kept)
        for place, pick in tuple(self.moves.items()):
            owner, taker = self._owner(place), self._one(pick)
            if place not in owner.partitions.released:
                continue
            del self.moves[place]
            owner.assign(self.kept, set(owner.partitions) - {place}, self._orders())
            taker.assign(self.kept, set(taker.partitions) | {place}, self._orders())
            taker.commit(self.kept)

    def _mark(self, place: Partition) -> None:
        owner = self._owner(place)
        owner.assign(self.kept, set(owner.partitions), self._orders())
        self._commit()

    def _orders(self) -> Orders:
        group = ShardGroup(
            name="main",
            shards=SHARDS,
            ownership_topic="lane",
            topics=("lane",),
            generation=self.generation,
            limits=(("main:requests_per_minute", self.fleets),),
        )
        return Orders(marks=frozenset(self.moves), layout=(group,), partitions={})

    def _note_amounts(self) -> None:
        highest = max(each.quota.contract.rates[0].amount for each in self.workers)
        self.amounts.append((self.clock.monotonic(), highest))

    def _owner(self, place: Partition) -> Worker:
        return next(worker for worker in self.workers if place in worker.partitions)

    def _one(self, pick: int) -> Worker:
        return self.workers[pick % len(self.workers)]

    def _calling(self, pick: int) -> Worker:
        calling = [worker for worker in self.workers if worker.calls]
        return calling[pick % len(calling)]


Fleet.TestCase.settings = settings(max_examples=sized(8, 40), stateful_step_count=25)
TestFleet = Fleet.TestCase
