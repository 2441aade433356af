"""Who goes first: shares by weight, nobody starves, interactive first and a floor for bulk."""

import time
import tracemalloc
from collections import Counter, deque
from itertools import islice
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.lanes.fairness import FairQueue, PriorityQueue


class Item(NamedTuple):
    tenant: str
    number: int
    cost: float = 1.0


def cost_of(item: Item) -> float:
    return item.cost


def even(tenant: str | None) -> float:
    return 1.0


def by_name(tenant: str | None) -> float:
    """The tenant's name ends in its weight."""
    return float((tenant or "1")[-1])


def serve(queue: FairQueue[Item], calls: int) -> list[Item]:
    return [queue.take_head(cost_of) for _ in range(calls)]


_COSTS = st.lists(st.floats(1.0, 30.0), min_size=1, max_size=8)


@given(costs=_COSTS, others=_COSTS)
def test_weights_of_one_to_three_give_token_shares_within_five_percent(
    costs: list[float], others: list[float]
) -> None:
    queue = FairQueue[Item](by_name)
    for number in range(4_000):
        queue.add(Item("a1", number, costs[number % len(costs)]), "a1")
        queue.add(Item("b3", number, others[number % len(others)]), "b3")

    spent = {"a1": 0.0, "b3": 0.0}
    while sum(spent.values()) < 4_000:
        item = queue.take_head(cost_of)
        spent[item.tenant] += item.cost

    assert abs(spent["b3"] / sum(spent.values()) - 0.75) < 0.05 * 0.75


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(1.0, 50.0), st.booleans()), max_size=200)
)
def test_each_tenant_s_jobs_go_by_age_none_is_lost_and_all_go(
    story: list[tuple[str, float, bool]],
) -> None:
    queue, served = FairQueue[Item](even), []
    for number, (tenant, cost, serves) in enumerate(story):
        queue.add(Item(tenant, number, cost), tenant)
        if serves:
            head = queue.head
            served.append(queue.take_head(cost_of))
            assert served[-1] == head
    served += serve(queue, queue.held)

    assert queue.head is None
    assert sorted(item.number for item in served) == list(range(len(story)))
    for tenant in "abc":
        numbers = [item.number for item in served if item.tenant == tenant]
        assert numbers == sorted(numbers)


@given(backlog=st.integers(1, 5), big=st.floats(1.0, 100.0))
def test_a_newcomer_waits_for_one_call_of_each_tenant_at_most(backlog: int, big: float) -> None:
    queue = FairQueue[Item](even)
    for tenant in range(backlog):
        for number in range(50):
            queue.add(Item(f"t{tenant}", number, big), f"t{tenant}")
    serve(queue, 20)

    queue.add(Item("new", 0), "new")

    assert "new" in [item.tenant for item in serve(queue, backlog + 1)]


def test_who_comes_back_at_once_has_no_advantage() -> None:
    queue = FairQueue[Item](even)
    for number in range(100):
        queue.add(Item("many", number), "many")
    queue.add(Item("one", 0), "one")

    served = []
    for number in range(1, 100):
        item = queue.take_head(cost_of)
        served.append(item.tenant)
        if item.tenant == "one":
            queue.add(Item("one", number), "one")

    assert abs(served.count("one") - served.count("many")) <= 2


def test_tenants_that_are_gone_are_forgotten() -> None:
    queue = FairQueue[Item](even)
    for number in range(5_000):
        queue.add(Item(str(number), number), str(number))
        queue.add(Item("many", number), "many")
        serve(queue, 2)

    assert len(queue._flows) == 0
    assert len(queue._left) <= 1_001


def strangers(queue: FairQueue[Item], jobs: int, tenants: int) -> float:
    """CPU seconds of so many jobs, of which a hundred wait at any time."""
    began = time.process_time()
    for number in range(jobs):
        tenant = str(number % tenants)
        queue.add(Item(tenant, number), tenant)
        if queue.held > 100:
            queue.take_head(cost_of)
    return time.process_time() - began


def test_a_tenant_for_each_job_costs_a_job_about_what_ten_tenants_do() -> None:
    few, each = FairQueue[Item](even), FairQueue[Item](even)

    seconds = strangers(few, 60_000, 10), strangers(each, 60_000, 60_000)

    # Alone it is twice as much, of a hundredth of what a job costs; it was a hundred times.
    assert seconds[1] < 10 * seconds[0]
    assert len(each._left) <= 1_000
    assert len(each._passing) <= 2_000


def test_tenants_that_come_back_again_and_again_leave_nothing_behind() -> None:
    queue = FairQueue[Item](even)
    queue.add(Item("large", 0, 1e9), "large")
    for number in range(20_000):
        tenant = str(number % 500)
        queue.add(Item(tenant, number), tenant)
        serve(queue, 1)

    assert len(queue._left) <= 501
    assert len(queue._passing) <= 2_000


def test_a_backlog_goes_on_beside_strangers_who_come_without_end() -> None:
    queue, served = FairQueue[Item](even), Counter[bool]()
    for number in range(100):
        queue.add(Item("backlog", number), "backlog")
    for number in range(20_000):
        queue.add(Item(str(number), number), str(number))
        served[queue.take_head(cost_of).tenant == "backlog"] += 1

    assert served[True] >= 19


def test_whoever_looks_at_the_next_few_does_not_walk_over_all_tenants() -> None:
    queue = FairQueue[Item](even)
    for number in range(50):
        queue.add(Item(str(number % 10), number), str(number % 10))
    looked: list[int] = []
    flows = [entry[2] for entry in queue._order]
    for flow in flows:
        flow.items = Looked(flow.items, looked)

    coming = list(islice(queue.upcoming(), 3))

    assert [item.number for item in coming] == [0, 1, 2]
    assert len(looked) <= 3
    assert [item.number for item in queue.upcoming()] == list(range(50))


class Looked(deque[Item]):
    """Counts who looks how long it is."""

    def __init__(self, items: deque[Item], looked: list[int]) -> None:
        super().__init__(items)
        self._looked = looked

    def __len__(self) -> int:
        self._looked.append(1)
        return super().__len__()


def test_what_is_taken_out_of_the_middle_is_gone_and_the_rest_keeps_its_order() -> None:
    queue = FairQueue[Item](even)
    for number in range(10):
        queue.add(Item("a", number), "a")
        queue.add(Item("b", number), "b")

    taken = queue.take(lambda item: item.number % 2 == 1 or item.tenant == "b")

    assert len(taken) == 15
    assert [item.number for item in queue] == [0, 2, 4, 6, 8]
    assert [item.number for item in serve(queue, 5)] == [0, 2, 4, 6, 8]


def test_a_retry_goes_before_the_new_jobs_of_its_tenant() -> None:
    queue = FairQueue[Item](even)
    queue.add(Item("a", 1), "a")

    queue.add(Item("a", 0), "a", first=True)

    assert [item.number for item in serve(queue, 2)] == [0, 1]


@given(floor=st.floats(0.0, 0.9), cost=st.floats(2.0, 40.0))
def test_interactive_goes_first_and_bulk_has_its_floor(floor: float, cost: float) -> None:
    queue = PriorityQueue[Item](even, floor)
    for number in range(2_000):
        queue.add(Item("i", number, 10.0), None, interactive=True)
        queue.add(Item("b", number, cost), None, interactive=False)

    spent = {"i": 0.0, "b": 0.0}
    while sum(spent.values()) < 4_000:
        head = queue.head(cost_of)
        assert head is not None
        queue.take_head(cost_of, called=True)
        spent[head.tenant] += head.cost

    share = spent["b"] / sum(spent.values())
    assert floor - 0.03 <= share <= floor + 0.03


def test_bulk_saves_nothing_up_while_it_has_no_jobs() -> None:
    queue = PriorityQueue[Item](even, 0.5)
    for number in range(100):
        queue.add(Item("i", number), None, interactive=True)
    for _ in range(50):
        queue.take_head(cost_of, called=True)
    queue.add(Item("b", 0), None, interactive=False)

    head = queue.head(cost_of)

    assert head is not None
    assert head.tenant == "i"


def test_the_tokens_of_a_tenant_that_is_alone_are_not_counted() -> None:
    queue = FairQueue[Item](even)
    looked: list[Item] = []

    def look(item: Item) -> float:
        looked.append(item)
        return item.cost

    for number in range(10):
        queue.add(Item("a", number), "a")

    for _ in range(10):
        queue.take_head(look)

    assert looked == []


def test_a_tenant_that_waits_weighs_what_it_takes_besides_its_job() -> None:
    items = [Item(f"tenant-{number}", number) for number in range(30_000)]
    queue = PriorityQueue[Item](even, 0.05)
    tracemalloc.start()

    for item in items:
        queue.add(item, item.tenant, interactive=item.number % 2 == 0)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken / 1.5 < queue.bytes_besides < 1.5 * taken

    while len(queue):
        queue.take_head(cost_of, called=False)
    assert queue.bytes_besides == 0
