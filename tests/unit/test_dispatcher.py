"""Who is called next: order, limits, deadlines, drains."""

from collections import Counter
from collections.abc import Iterator

import pytest
from dispatcher_desk import Desk, waiting
from samples import NOW, job, lane, progress

from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Priority
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.endings import cancelled
from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.fairness import TENANT_BYTES
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.lookup import FOLLOWS
from tollway_workers.pipeline.queue import Fairness
from tollway_workers.pipeline.unpaid import Wait


@pytest.fixture
def one_at_a_time() -> Iterator[Desk]:
    desk = Desk(lane(concurrency=1))
    yield desk
    assert desk.admission.in_flight == sum(permit._open for _, permit in desk.started)


def test_interactive_jobs_go_before_bulk_ones_and_each_in_order(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    desk.offer(waiting("holder"), waiting("b1"), waiting("b2"))
    desk.offer(waiting("i1", Priority.INTERACTIVE), waiting("i2", Priority.INTERACTIVE))

    for _ in range(4):
        desk.end()

    assert desk.order == ["holder", "i1", "i2", "b1", "b2"]


def test_a_retry_goes_before_new_jobs_once_it_is_due(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    desk.offer(waiting("holder"), waiting("new-1"), waiting("new-2"))
    desk.dispatcher.retry(waiting("again"), 5.0)

    desk.end()
    desk.clock.advance(5.0)
    desk.end()
    desk.end()

    assert desk.order == ["holder", "new-1", "again", "new-2"]


def test_a_retry_that_is_due_starts_by_itself_where_there_is_room(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    desk.dispatcher.retry(waiting("again"), 5.0)
    held = desk.dispatcher.held("main")

    desk.clock.advance(5.0)

    assert (held, desk.order, desk.dispatcher.waiting) == (1, ["again"], 0)


def test_a_large_request_at_the_head_is_not_overtaken_by_small_ones() -> None:
    desk = Desk(lane(tokens_per_minute=6_000, largest_request=3_000))
    large = waiting("large")
    large.ask(large.request.model_copy(update={"max_output_tokens": 3_000}), reasking=False)
    small = [waiting(f"small-{n}") for n in range(3)]
    for each in small:
        each.ask(each.request.model_copy(update={"max_output_tokens": 50}), reasking=False)

    desk.offer(small[0], large, *small[1:])
    before = list(desk.order)
    desk.clock.advance(1.0)
    desk.clock.advance(60.0)

    assert before == ["small-0"]
    assert desk.order == ["small-0", "large", "small-1", "small-2"]


def test_a_lane_wakes_itself_when_its_rate_allows_the_next_call() -> None:
    desk = Desk(lane(requests_per_minute=60, burst=1.0))
    desk.offer(*(waiting(f"j{n}") for n in range(4)))
    counts = [len(desk.order)]
    for _ in range(3):
        # 95 % of the rate.
        desk.clock.advance(1.06)
        counts.append(len(desk.order))

    assert counts == [1, 2, 3, 4]


def test_no_job_is_started_after_its_deadline(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    desk.offer(waiting("holder"), waiting("late", seconds=10), waiting("fine"))

    desk.clock.advance(10.0)
    desk.end()

    assert (desk.order, desk.expired) == (["holder", "fine"], ["late"])


def test_expired_jobs_are_found_wherever_they_stand(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    desk.offer(waiting("holder"))
    urgent = waiting("i", Priority.INTERACTIVE, seconds=5)
    desk.offer(waiting("b", seconds=5), waiting("c"), urgent)

    early = desk.dispatcher.take_expired(NOW + 4.9)
    late = desk.dispatcher.take_expired(NOW + 5.0)

    assert early == []
    assert {each.job.id for each in late} == {"b", "i"}
    assert desk.dispatcher.held("main") == 1


def test_jobs_of_a_lost_partition_are_forgotten_and_never_started(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    lost = [waiting(f"lost-{n}", seconds=1) for n in range(2)]
    desk.offer(waiting("holder"), *lost, waiting("kept"))
    for each in lost:
        each.record.tracker.owned = False

    expired = desk.dispatcher.take_expired(NOW + 50)
    desk.end()

    assert expired == []
    assert (desk.order, desk.forgotten) == (["holder", "kept"], ["lost-0", "lost-1"])


def test_what_is_taken_out_neither_starts_nor_falls_due(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    stays, goes, retry = waiting("stays"), waiting("goes"), waiting("retry")
    desk.offer(waiting("holder"), goes, stays)
    desk.dispatcher.retry(retry, 3.0)

    taken = desk.dispatcher.take(lambda each: each is not stays)
    desk.end()
    desk.clock.advance(3.0)
    desk.end()

    assert taken == [goes, retry]
    assert desk.order == ["holder", "stays"]
    assert desk.dispatcher.waiting == 0


def test_a_job_that_is_not_provably_ours_waits_until_it_is(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    desk.barred = {"first"}
    desk.offer(waiting("first"), waiting("second"))
    before = desk.order

    desk.barred = set()
    desk.dispatcher.pump_all()

    assert before == []
    assert desk.order == ["first"]


def test_nothing_starts_after_a_stop_whatever_falls_due(one_at_a_time: Desk) -> None:
    desk = one_at_a_time
    desk.offer(waiting("holder"), waiting("next"))
    desk.dispatcher.retry(waiting("retry"), 3.0)

    desk.dispatcher.stop()
    desk.end()
    desk.clock.advance(10.0)

    assert desk.order == ["holder"]


def of_topic(topic: str, count: int) -> list[JobProgress]:
    several = [waiting(f"j{n}") for n in range(count)]
    for each in several:
        each.record = each.record._replace(topic=topic)
    return several


def holding(lane_jobs: int) -> Desk:
    """A lane with room for so many waiting jobs, and its one slot taken."""
    fairness = Fairness(lane_bytes=lane_jobs * waiting("j1").record.size)
    desk = Desk(lane(concurrency=1), fairness=fairness)
    desk.offer(*of_topic("first", 1))
    return desk


def test_a_topic_is_full_when_it_holds_what_its_lane_has_left_and_no_longer_when_one_has_gone() -> (
    None
):
    desk = holding(10)
    desk.offer(*of_topic("long", 4))
    before = desk.dispatcher.full_topics("main")
    desk.offer(*of_topic("long", 1))
    full = desk.dispatcher.full_topics("main")

    desk.end()

    assert (before, full, desk.dispatcher.full_topics("main")) == ([], ["long"], [])


def test_a_topic_s_backlog_leaves_room_for_one_that_comes_later() -> None:
    desk = holding(12)
    desk.offer(*of_topic("long", 6))

    desk.offer(*of_topic("short", 1))
    begun = desk.dispatcher.full_topics("main")
    desk.offer(*of_topic("short", 2))

    assert begun == ["long"]
    assert desk.dispatcher.full_topics("main") == ["long", "short"]


def test_a_topic_that_holds_nothing_is_read_however_much_others_hold() -> None:
    desk = holding(10)
    desk.offer(*of_topic("gone", 1))
    desk.end()

    desk.offer(*of_topic("long", 30))

    assert desk.dispatcher.full_topics("main") == ["long"]


def test_what_is_taken_out_makes_room_in_its_topic() -> None:
    desk = holding(10)
    desk.offer(*of_topic("long", 6))
    desk.dispatcher.retry(of_topic("long", 1)[0], 5.0)

    taken = desk.dispatcher.take(lambda each: each.record.topic == "long")

    assert len(taken) == 7
    desk.offer(*of_topic("long", 4))
    assert desk.dispatcher.full_topics("main") == []


def test_a_parked_lane_is_probed_by_one_job_at_a_time_and_in_turn() -> None:
    desk = Desk(lane(concurrency=5))
    desk.admission.on_failure(FailureClass.AUTH, None, 0.0)
    first, second = waiting("one"), waiting("two")
    desk.offer(first, second)
    while_closed = list(desk.order)

    desk.clock.advance(1.0)
    probing = list(desk.order)
    desk.admission.on_failure(FailureClass.AUTH, None, 0.0)
    desk.dispatcher.offer(first)
    desk.end()
    desk.clock.advance(2.0)

    assert (while_closed, probing, desk.order) == ([], ["one"], ["one", "two"])


def test_tenants_take_turns_by_weight_and_what_they_cost() -> None:
    desk = Desk(
        lane(tokens_per_minute=6_000_000, concurrency=1, burst=30.0),
        fairness=Fairness(weights={"heavy": 3.0}),
    )
    for name in ("light", "heavy"):
        desk.offer(*(waiting(f"{name}-{n}", tenant=name) for n in range(40)))

    for _ in range(39):
        desk.end()

    served = Counter(name.partition("-")[0] for name in desk.order)
    assert abs(served["heavy"] - 30) <= 1


def test_a_newcomer_waits_for_one_call_of_those_who_have_many() -> None:
    desk = Desk(lane(concurrency=1))
    desk.offer(*(waiting(f"many-{n}", tenant="many") for n in range(100)))
    desk.end()

    desk.offer(waiting("new", tenant="new"))
    desk.end()
    desk.end()

    assert "new" in desk.order[:4]


def test_a_route_s_own_tenant_is_believed_and_the_job_s_is_not() -> None:
    bound = progress(job(tenant="somebody"), route=RouteSettings(lanes=("main",), tenant="owner"))

    assert bound.tenant == "owner"
    assert progress(job(tenant="somebody")).tenant == "somebody"


def test_bulk_gets_its_floor_while_interactive_jobs_wait() -> None:
    desk = Desk(lane(concurrency=1), fairness=Fairness(bulk_floor=0.1))
    desk.offer(*(waiting(f"bulk-{n}") for n in range(50)))
    desk.offer(*(waiting(f"interactive-{n}", priority=Priority.INTERACTIVE) for n in range(100)))

    for _ in range(60):
        desk.end()

    bulk = [name for name in desk.order[1:] if name.startswith("bulk")]
    assert 5 <= len(bulk) <= 7


def test_a_sweep_looks_at_nothing_before_a_deadline_can_have_passed() -> None:
    desk = Desk(lane(concurrency=1))
    late = waiting("late", seconds=10)
    desk.offer(waiting("holder"), waiting("fine", seconds=100), late)

    before = desk.dispatcher.take_expired(NOW + 9.0)
    taken = desk.dispatcher.take_expired(NOW + 10.0)

    assert (before, taken) == ([], [late])
    assert desk.dispatcher._lanes["main"].earliest == NOW + 100


def test_tenants_that_wait_take_room_besides_their_jobs() -> None:
    one, each = holding(100), holding(100)

    one.offer(*of_topic("long", 45))
    each.offer(*(_of_tenant(job, f"t{at}") for at, job in enumerate(of_topic("long", 45))))

    assert one.dispatcher.bytes_besides == TENANT_BYTES
    assert each.dispatcher.bytes_besides == 45 * TENANT_BYTES
    assert (one.dispatcher.full_topics("main"), each.dispatcher.full_topics("main")) == (
        [],
        ["long"],
    )


def _of_tenant(waits: JobProgress, tenant: str) -> JobProgress:
    waits.job = waits.job.model_copy(update={"tenant": tenant})
    return waits


def test_a_job_that_waits_for_a_reason_of_its_own_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(lane(concurrency=1))
    admit = Admission.admit

    def without_money(admission: Admission, each: JobProgress) -> Permit | Wait | Decision:
        spent = each.job.id == "spent" and desk.clock.now() < NOW + 5.0
        return Wait(5.0, passed_over=True) if spent else admit(admission, each)

    monkeypatch.setattr(Admission, "admit", without_money)
    desk.offer(waiting("spent"), waiting("b"), waiting("c"))
    held = desk.dispatcher.held("main")
    desk.clock.advance(5.0)
    desk.end()

    assert held == 2
    assert desk.order == ["b", "spent"]


def test_a_job_that_can_have_no_permit_ends_and_the_next_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(lane(concurrency=1))
    admit = Admission.admit
    monkeypatch.setattr(
        Admission,
        "admit",
        lambda admission, each: (
            cancelled("main") if each.job.id == "spent" else admit(admission, each)
        ),
    )

    desk.offer(waiting("spent"), waiting("b"))

    assert [(each.job.id, outcome) for each, outcome in desk.owner.ended] == [
        ("spent", cancelled("main"))
    ]
    assert desk.order == ["b"]
    assert desk.dispatcher.waiting == 0


def test_a_head_whose_answer_is_on_its_way_waits_beside_the_queue() -> None:
    desk = Desk(lane(concurrency=1))
    desk.owner.known = lambda each: FOLLOWS if each.job.id == "copy" else None
    copy = waiting("copy", seconds=60)
    desk.offer(copy, waiting("b"))

    to_others = desk.dispatcher.take_queued(lambda each: True)
    late = desk.dispatcher.take_expired(NOW + 60.0)

    assert desk.order == ["b"]
    assert to_others == []
    assert late == [copy]
    assert not desk.dispatcher.take_following(copy)


def test_a_job_that_followed_in_vain_is_the_head_again() -> None:
    desk = Desk(lane(concurrency=1))
    follows = {"copy"}
    desk.owner.known = lambda each: FOLLOWS if each.job.id in follows else None
    copy = waiting("copy")
    desk.offer(copy, waiting("b"), waiting("c"))

    follows.clear()
    desk.dispatcher.resume(copy)
    desk.dispatcher.resume(copy)
    desk.end()
    desk.end()

    assert desk.order == ["b", "copy", "c"]


def test_an_answer_that_is_known_needs_no_lane() -> None:
    desk = Desk(lane(concurrency=1))
    answered = cancelled("main")
    desk.owner.known = lambda each: answered if each.job.id == "known" else None
    desk.admission.on_failure(FailureClass.AUTH, None, 0.0)

    desk.offer(waiting("known"), waiting("b"))

    assert [each.job.id for each, _ in desk.owner.ended] == ["known"]
    assert desk.order == []
