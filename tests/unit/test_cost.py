"""What calls cost. What is unknown is never zero."""

from decimal import Decimal

import pytest
from samples import NOW

from tollway_schemas.attempt import Attempt, Billed
from tollway_schemas.usage import Usage
from tollway_workers.config.shape.provider import Price
from tollway_workers.job.cost import cost_of, total
from tollway_workers.job.envelopes import instant

_PRICE = Price(input=Decimal("0.15"), output=Decimal("0.60"), cached_input=Decimal("0.075"))
_USAGE = Usage(input_total=1_000, input_cached_read=400, output_total=100)


def attempt(*, usage: Usage | None = None, cost: int | None = None, billed: Billed) -> Attempt:
    return Attempt(
        number=1,
        lane="main",
        provider="p",
        model="m",
        started_at=instant(NOW),
        latency=0.0,
        usage=usage,
        cost=cost,
        billed=billed,
    )


def test_tokens_cost_what_the_lane_s_prices_say_to_the_last_pico_dollar() -> None:
    assert cost_of(_USAGE, _PRICE) == 600 * 150_000 + 400 * 75_000 + 100 * 600_000


def test_what_the_provider_says_it_charged_goes_before_our_prices() -> None:
    assert cost_of(Usage(cost_reported=5), _PRICE) == 5


@pytest.mark.parametrize(("usage", "price"), [(None, _PRICE), (_USAGE, None), (None, None)])
def test_without_tokens_or_prices_the_cost_is_unknown(
    usage: Usage | None, price: Price | None
) -> None:
    assert cost_of(usage, price) is None


def test_a_price_of_zero_is_a_cost_of_zero() -> None:
    assert cost_of(_USAGE, Price(input=Decimal(0), output=Decimal(0))) == 0


def test_all_attempts_count_the_failed_ones_too() -> None:
    attempts = [attempt(usage=_USAGE, cost=7, billed=Billed.YES) for _ in range(3)]

    usage, cost = total(attempts)

    assert usage is not None
    assert (usage.input_total, usage.output_total, cost) == (3_000, 300, 21)


@pytest.mark.parametrize("billed", [Billed.YES, Billed.UNKNOWN])
def test_one_attempt_of_unknown_cost_makes_the_sum_unknown(billed: Billed) -> None:
    known = attempt(usage=_USAGE, cost=7, billed=Billed.YES)

    for order in ([known, attempt(billed=billed)], [attempt(billed=billed), known]):
        assert total(order)[1] is None


def test_a_call_that_was_surely_not_billed_costs_nothing() -> None:
    known = attempt(usage=_USAGE, cost=7, billed=Billed.YES)

    assert total([attempt(billed=Billed.NO), known])[1] == 7


def test_no_call_costs_nothing() -> None:
    assert total([]) == (None, 0)
