"""What calls draw from budgets: all or none, settled to what they cost, by whom and until when."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from samples import attempt, job, progress
from spending_fleet import CLAIM, Fleet, answered, of, usd

from tollway_schemas.attempt import Billed, Draw
from tollway_schemas.codec import encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.ledger import LedgerClosing, Pot, closing_key
from tollway_schemas.usage import Usage
from tollway_workers.budgets.lack import PENDING, Lack, Short
from tollway_workers.budgets.shown import Journaled
from tollway_workers.budgets.spending import Money, Spending
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.outcome import Failed, Forwarded, StandIn
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.unpaid import Wait, without_money


def test_a_call_that_falls_under_no_budget_claims_nothing() -> None:
    fleet = Fleet(other={"usd": Decimal(1), "per": "total", "routes": ("elsewhere",)})

    assert fleet.claim(fleet.process(), of()) is None


def test_two_processes_spend_no_more_than_there_is_and_all_but_a_call_of_it() -> None:
    fleet = Fleet(all={"usd": usd(20 * CLAIM), "per": "total"})
    one, two = fleet.process(), fleet.process()
    calls = 0
    for turn in range(100):
        money = fleet.claim((one, two)[turn % 2], of())
        if isinstance(money, Money):
            money.pay(answered(CLAIM))
            calls += 1

    lack = fleet.claim(one, of())

    assert calls == 20
    assert isinstance(lack, Lack)
    assert lack.short is Short.SPENT
    assert "budget all" in lack.said


def test_a_claim_of_several_budgets_is_all_or_nothing() -> None:
    fleet = Fleet(
        wide={"usd": Decimal(1), "per": "total"}, narrow={"usd": usd(CLAIM), "per": "total"}
    )
    spending = fleet.process()
    first = fleet.claim(spending, of())

    second = fleet.claim(spending, of())
    assert isinstance(first, Money)
    first.withdraw()

    assert isinstance(second, Lack)
    assert isinstance(fleet.claim(spending, of()), Money)
    wide = next(each for pot, each in pots(spending).items() if pot.budget == "wide")
    assert wide.held == CLAIM


@pytest.mark.parametrize(
    ("ended", "paid"),
    [
        (answered(10), 10),
        (attempt(failure_class=FailureClass.RATE_LIMIT, billed=Billed.NO), 0),
        (attempt(failure_class=FailureClass.TIMEOUT_TOTAL, billed=Billed.UNKNOWN), CLAIM),
        (attempt(billed=Billed.YES, usage=Usage(estimated=True), cost=5), CLAIM),
        (attempt(billed=Billed.YES, usage=Usage(), cost=None), CLAIM),
    ],
)
def test_a_call_settles_to_its_cost_and_to_its_whole_claim_where_that_is_unknown(
    ended: Any, paid: int
) -> None:
    fleet = Fleet(all={"usd": Decimal(1), "per": "total"})
    spending = fleet.process()
    money = fleet.claim(spending, of())
    assert isinstance(money, Money)

    money.pay(ended)
    money.close()

    (purse,) = pots(spending).values()
    assert (purse.settled, purse.held) == (paid, 0)


def test_tokens_are_counted_in_tokens() -> None:
    fleet = Fleet(all={"tokens": 150, "per": "total"})
    spending = fleet.process()

    fleet.paid(spending, of())

    (purse,) = pots(spending).values()
    assert (purse.limit, purse.settled) == (150, 3)


def test_each_tenant_that_a_route_is_bound_to_has_its_own_and_all_others_share_one() -> None:
    fleet = Fleet(mine={"usd": usd(CLAIM), "per": "total", "each": "tenant"})
    spending = fleet.process()

    for named in ("a", "b"):
        fleet.paid(spending, of(named), CLAIM)
    fleet.paid(spending, of(None, tenant="c"), CLAIM)

    assert isinstance(fleet.claim(spending, of("a")), Lack)
    assert isinstance(fleet.claim(spending, of(None, tenant="d")), Lack)


def test_the_first_job_that_states_it_decides_what_its_run_may_cost() -> None:
    fleet = Fleet()
    one, two = fleet.process(), fleet.process()
    fleet.paid(one, of(run="r", run_budget_usd=usd(2 * CLAIM)), CLAIM)
    fleet.ledger.settle_down()

    fleet.paid(two, of(run="r", run_budget_usd=Decimal(100)), CLAIM)
    lack = fleet.claim(two, of(run="r"))

    assert isinstance(lack, Lack)
    assert lack.short is Short.SPENT
    assert lack.on_exceeded == "fail"
    assert fleet.claim(two, of(run="another")) is None


def test_another_tenant_s_run_of_that_name_is_another() -> None:
    fleet = Fleet()
    spending = fleet.process()
    fleet.paid(spending, of("a", run="r", run_budget_usd=usd(CLAIM)), CLAIM)

    assert isinstance(fleet.claim(spending, of("a", run="r")), Lack)
    assert fleet.claim(spending, of("b", run="r")) is None


def test_a_job_s_own_limit_counts_its_attempts_together() -> None:
    fleet = Fleet()
    spending = fleet.process()
    limited = of(max_cost_usd=usd(3 * CLAIM))

    assert isinstance(fleet.claim(spending, limited), Money)
    limited.note(answered(2 * CLAIM))
    assert isinstance(fleet.claim(spending, limited), Money)
    limited.note(attempt(2, FailureClass.TIMEOUT_TOTAL, cost=1, billed=Billed.UNKNOWN))
    lack = fleet.claim(spending, limited)

    assert isinstance(lack, Lack)
    assert lack.short is Short.OWN


def test_while_a_window_turns_nothing_is_granted_and_then_all_of_the_next() -> None:
    fleet = Fleet(day={"usd": usd(CLAIM), "per": "day"})
    spending = fleet.process()
    fleet.paid(spending, of(), CLAIM)
    lack = fleet.claim(spending, of())
    assert isinstance(lack, Lack)

    fleet.clock._elapsed += lack.turns_at - fleet.clock.now()
    turning = spending.claim(of(), "main")
    fleet.clock._elapsed += 60.0

    assert isinstance(turning, Lack)
    assert turning.short is Short.PENDING
    assert isinstance(fleet.claim(spending, of()), Money)


def test_a_planned_leave_settles_exactly_and_leaves_all_else_to_others() -> None:
    fleet = Fleet(all={"usd": usd(3 * CLAIM), "per": "total"})
    one, two = fleet.process(), fleet.process()
    fleet.paid(one, of(), 7)
    fleet.ledger.settle_down()

    one.leave()
    fleet.ledger.write(one, everything=True)
    fleet.ledger.read(two)
    fleet.ledger.read(one)
    fleet.ledger.write(one, everything=True)

    assert not pots(one)
    (part,) = two.ledger.pots[Pot("all", None, "total")].parts.values()
    assert (part.entry.granted, part.entry.settled, part.entry.left) == (7, 7, True)


def test_doubt_about_a_dead_process_counts_until_it_is_closed() -> None:
    fleet = Fleet(all={"usd": usd(2 * CLAIM), "per": "total"})
    dies, lives = fleet.process(), fleet.process()
    held = [fleet.claim(dies, of()) for _ in range(2)]
    assert all(isinstance(each, Money) for each in held)
    del fleet.ledger._read[dies]
    assert isinstance(fleet.claim(lives, of()), Lack)

    pot = Pot("all", None, "total")
    fleet.ledger.read(lives)
    entry = lives.ledger.pots[pot].parts[dies.process].entry
    closing = LedgerClosing(
        budget="all",
        window="total",
        process=dies.process,
        number=entry.number,
        settled=5,
        granted=entry.counts,
        at=attempt().started_at,
        by="ops@desk",
        why="the journal shows one call",
    )
    fleet.ledger.append(closing_key(pot, dies.process), encode(closing))
    fleet.ledger.read(lives)

    assert isinstance(fleet.claim(lives, of()), Money)


def test_a_process_whose_doubt_was_ended_reads_that_before_it_spends_and_takes_another_name() -> (
    None
):
    fleet = Fleet(all={"usd": usd(20 * CLAIM), "per": "total"})
    frozen, other = fleet.process(), fleet.process()
    in_flight = fleet.claim(frozen, of())
    assert isinstance(in_flight, Money)
    name, pot = frozen.process, Pot("all", None, "total")
    fleet.ledger.settle_down()
    entry = frozen.ledger.pots[pot].parts[name].entry
    shown = Journaled({name}).of(entry)
    assert shown.doubt >= CLAIM

    # Frozen: it reads nothing, and its clock goes on.
    fleet.clock._elapsed += 101.0
    closing = LedgerClosing(
        **pot._asdict(),
        process=name,
        number=entry.number,
        settled=shown.settled,
        doubt=shown.doubt,
        granted=entry.counts,
        at=datetime.fromtimestamp(fleet.clock.now(), UTC),
        by="me@here",
        why="silent",
    )
    fleet.ledger.append(closing_key(pot, name), encode(closing))
    assert frozen.claim(of(), "main") == PENDING
    fleet.ledger.read(frozen)
    assert frozen.process != name
    in_flight.pay(answered(CLAIM))
    calls = 1
    while isinstance(found := fleet.claim(other, of()), Money):
        found.pay(answered(CLAIM))
        calls += 1
    assert calls == 20
    assert other.ledger.pots[pot].parts[name].counts == CLAIM


def test_a_call_says_what_it_has_drawn_and_what_its_process_has_settled_there_by_then() -> None:
    fleet = Fleet(
        all={"usd": usd(90 * CLAIM), "per": "total"}, some={"tokens": 90_000, "per": "total"}
    )
    spending = fleet.process()
    fleet.paid(spending, of(), cost=7)
    second = fleet.claim(spending, of())
    assert isinstance(second, Money)

    draws = second.pay(answered(5, tokens=4))

    assert [(each.pot, each.amount) for each in draws] == [
        (Pot("all", None, "total"), 5),
        (Pot("some", None, "total:tokens"), 4),
    ]
    assert draws[0].settled == 12
    assert {each.process for each in draws} == {spending.process}
    assert [Draw.model_validate(each.model_dump()) for each in draws] == list(draws)


def test_the_lowest_limit_of_all_who_are_here_holds() -> None:
    fleet = Fleet(all={"usd": usd(10 * CLAIM), "per": "total"})
    rich = fleet.process()
    fleet.paid(rich, of(), CLAIM)
    fleet.budgets = {"all": BudgetSettings(usd=usd(2 * CLAIM), per="total")}
    poor = fleet.process()
    fleet.paid(poor, of(), CLAIM)
    fleet.ledger.settle_down()

    assert isinstance(fleet.claim(poor, of()), Lack)
    found = next(each for _ in range(20) if isinstance(each := fleet.claim(rich, of()), Lack))
    assert "($0.001170 per total, but $0.000234 by another worker's configuration)" in found.said


def test_a_raised_budget_is_followed_and_a_lowered_one_too() -> None:
    fleet = Fleet(all={"usd": usd(CLAIM), "per": "total"})
    spending = fleet.process()
    fleet.paid(spending, of(), CLAIM)
    assert isinstance(fleet.claim(spending, of()), Lack)

    spending.configure({"all": BudgetSettings(usd=usd(3 * CLAIM), per="total")})
    fleet.paid(spending, of(), CLAIM)
    spending.configure({"all": BudgetSettings(usd=usd(2 * CLAIM), per="total")})
    fleet.ledger.settle_down()
    fleet.clock._elapsed += 3.0
    fleet.ledger.write(spending, everything=True)
    fleet.ledger.settle_down()

    assert isinstance(fleet.claim(spending, of()), Lack)


def test_under_a_new_name_nothing_is_lost_of_what_was_settled_under_the_old_one() -> None:
    fleet = Fleet(all={"usd": usd(2 * CLAIM), "per": "total"})
    spending = fleet.process()
    under_way = fleet.claim(spending, of())
    assert isinstance(under_way, Money)

    spending.start_anew()
    under_way.pay(answered(CLAIM))
    fleet.ledger.settle_down()

    fleet.paid(spending, of(), CLAIM)
    assert isinstance(fleet.claim(spending, of()), Lack)


def test_idle_processes_give_back_what_they_fetched_ahead() -> None:
    fleet = Fleet(all={"usd": usd(2 * CLAIM), "per": "total"})
    idle, busy = fleet.process(), fleet.process()
    fleet.paid(idle, of(), 0)
    fleet.ledger.settle_down()

    fleet.clock._elapsed += 3.0
    fleet.ledger.write(idle, everything=True)
    fleet.ledger.settle_down()

    assert [isinstance(fleet.claim(busy, of()), Money) for _ in range(2)] == [True, True]


def test_a_window_that_turned_is_one_sum_whoever_folds_it_and_how_many() -> None:
    fleet = Fleet(day={"usd": Decimal(1), "per": "day"})
    one, two = fleet.process(), fleet.process()
    fleet.paid(one, of(), 7)
    fleet.paid(two, of(), 5)
    fleet.ledger.settle_down()
    assert one.folded() == []

    fleet.clock._elapsed += 2 * 86_400.0
    one.leave()
    two.leave()
    fleet.ledger.settle_down()
    told = [one.folded(), two.folded()]
    for key, value in (*told[0], *told[1]):
        fleet.ledger.append(key, value)
    late = fleet.process()

    assert sorted(told[0], key=repr) == sorted(told[1], key=repr)
    (view,) = late.ledger.pots.values()
    assert view.total is not None
    assert (view.total.settled, view.total.granted, view.total.processes) == (12, 12, 2)
    assert not view.parts
    assert late.folded() == []


def spent(on_exceeded: Any, turns_in: float = float("inf")) -> Lack:
    turns = of().deadline - 3_600.0 + turns_in
    return Lack(Short.SPENT, "budget day is spent", turns, on_exceeded)


class Payer:
    def __init__(self, *lanes: str) -> None:
        self.lanes = lanes

    def could_pay(self, job: JobProgress, lane: str, /) -> bool:
        return lane in self.lanes


def step(lack: Lack, *payable: str, rule: str | None = None) -> Any:
    route = RouteSettings(lanes=("main", "other"), rule=rule)
    asked = progress(job(), route=route)
    return without_money(asked, lack, Payer(*payable), asked.deadline - 3_600.0)


def test_a_job_waits_in_a_tier_until_its_window_turns() -> None:
    waits = step(spent("wait", 900.0))

    assert isinstance(waits, Forwarded)
    assert (waits.lane, waits.reason) == ("main", "budget")
    assert waits.not_before == of().deadline - 3_600.0 + 900.0


def test_a_turn_that_is_near_is_waited_for_in_memory_while_others_go() -> None:
    assert step(spent("wait", 4.0)) == Wait(4.0, passed_over=True)


def test_a_turn_behind_the_deadline_ends_the_job_at_once() -> None:
    ended = step(spent("wait", 3_601.0))

    assert isinstance(ended, Failed)
    assert ended.failure.failure_class is FailureClass.BUDGET_EXCEEDED


def test_who_waits_for_money_stands_in_line_with_its_own_tenant_s_jobs_alone() -> None:
    spending = Fleet(each={"usd": Decimal(1), "per": "total", "each": "tenant"}).process()

    def line(asked: JobProgress) -> object:
        lack = spending.claim(asked, asked.lane)
        assert isinstance(lack, Lack)
        wait = without_money(asked, lack, spending, asked.deadline - 3_600.0)
        assert isinstance(wait, Wait)
        return wait.line

    assert line(of("a")) == line(of("a")) != line(of("b"))


def test_fail_fails() -> None:
    assert isinstance(step(spent("fail", 60.0)), Failed)


def test_fallback_goes_to_the_next_lane_that_can_be_paid_for_then_to_the_rule_then_waits() -> None:
    assert isinstance(step(spent("fallback", 900.0), rule="shop:answer"), StandIn)
    to_other = step(spent("fallback", 900.0), "other", rule="shop:answer")
    assert isinstance(to_other, Forwarded)
    assert to_other.lane == "other"
    waits = step(spent("fallback", 900.0))
    assert isinstance(waits, Forwarded)
    assert waits.lane == "main"


@pytest.mark.parametrize("on_exceeded", ["wait", "fallback", "fail"])
def test_money_that_is_bound_is_waited_for_whatever_happens_to_what_is_spent(
    on_exceeded: Any,
) -> None:
    tight = spent(on_exceeded)._replace(short=Short.TIGHT)

    waits = step(tight)

    assert isinstance(waits, Forwarded)
    assert waits.not_before == of().deadline - 3_600.0 + 15.0


def pots(spending: Spending) -> dict[Pot, Any]:
    return {pot: purse for (pot, _), purse in spending._purses.items()}
