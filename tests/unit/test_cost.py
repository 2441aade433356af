"""What calls cost. What is unknown is never zero."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW

from tollway_schemas.attempt import Attempt, Billed
from tollway_schemas.usage import Usage
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.fleet import resolve_lane
from tollway_workers.config.shape.price import DatedPrice, Price, price_list
from tollway_workers.job.cost import cost_of, total
from tollway_workers.job.envelopes import instant

_PRICE = Price(input=Decimal("0.15"), output=Decimal("0.60"), cached_input=Decimal("0.075"))
_USAGE = Usage(input_total=1_000, input_cached_read=400, output_total=100)


#: Each kind of token has a price of its own; all prices are whole pico-USD.
_EACH_KIND = Price(
    input=Decimal("2"),
    cached_input=Decimal("0.1"),
    cache_write_5m=Decimal("2.5"),
    cache_write_1h=Decimal("4"),
    output=Decimal("10"),
    reasoning=Decimal("12"),
    per_call=Decimal("0.005"),
)
_TOKENS = st.integers(0, 10**9)
_DOLLARS = st.decimals(0, 1_000, places=6)


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


@given(_TOKENS, _TOKENS, _TOKENS, _TOKENS, _TOKENS, _TOKENS)
def test_each_kind_of_token_costs_its_own_price_to_the_last_pico_dollar(
    fresh: int, read: int, short: int, long: int, said: int, thought: int
) -> None:
    usage = Usage(
        input_total=fresh + read + short + long,
        input_cached_read=read,
        input_cache_write_5m=short,
        input_cache_write_1h=long,
        output_total=said + thought,
        reasoning=thought,
    )

    dollars = (
        2 * fresh + Decimal("0.1") * read + Decimal("2.5") * short + 4 * long + 10 * said
    ) + 12 * thought
    assert cost_of(usage, _EACH_KIND) == dollars * 1_000_000 + 5 * 10**9


@given(
    st.builds(
        Usage,
        **{
            "input_total": _TOKENS,
            "input_cached_read": _TOKENS,
            "input_cache_write_5m": _TOKENS,
            "input_cache_write_1h": _TOKENS,
            "output_total": _TOKENS,
            "reasoning": _TOKENS,
        },
    ),
    st.builds(
        Price,
        input=_DOLLARS,
        output=_DOLLARS,
        cached_input=st.none() | _DOLLARS,
        cache_write_5m=st.none() | _DOLLARS,
        reasoning=st.none() | _DOLLARS,
    ),
)
def test_whatever_a_provider_counts_a_cost_is_never_negative_nor_above_its_bound(
    usage: Usage, price: Price
) -> None:
    cost = cost_of(usage, price)

    of_kinds = usage.input_cached_read + usage.input_cache_write_5m + usage.input_cache_write_1h
    bound = price.rates.bound(
        input_tokens=max(usage.input_total, of_kinds),
        output_tokens=max(usage.output_total, usage.reasoning),
    )
    assert cost is not None
    assert 0 <= cost <= bound


def test_kinds_without_a_price_cost_what_providers_ask_for_them() -> None:
    rates = Price(input=Decimal("0.000001"), output=Decimal(3)).rates

    assert (rates.cached_read, rates.reasoning, rates.per_call) == (1, 3_000_000, 0)
    # 1.25 pico-dollars are two: a cost is never less than it is.
    assert (rates.cache_write_5m, rates.cache_write_1h) == (2, 2)


def _dated(day: date, dollars: int) -> DatedPrice:
    return DatedPrice.model_validate({"valid_from": day, "input": dollars, "output": dollars})


@given(
    st.lists(st.dates(date(2020, 1, 1), date(2030, 1, 1)), max_size=6, unique=True),
    st.booleans(),
    st.dates(date(2019, 1, 1), date(2031, 1, 1)),
    st.times(),
)
def test_at_each_instant_the_latest_price_that_has_begun_holds(
    days: list[date], has_first: bool, day: date, hour: time
) -> None:
    first = Price(input=Decimal(0), output=Decimal(0)) if has_first else None
    dated = [_dated(each, number) for number, each in enumerate(days, start=1)]
    at = datetime.combine(day, hour, tzinfo=UTC)

    price = price_list(first, dated).at(at.timestamp())

    begun = [each for each in dated if each.valid_from <= at]
    assert price == max(begun, key=lambda each: each.valid_from, default=first)


def test_a_lane_with_any_price_of_its_own_takes_none_of_its_provider() -> None:
    dated = [{"valid_from": "2027-01-01T12:00:00+02:00", "input": 2, "output": 2}]
    provider = {"base_url": "https://h", "price": {"input": 1, "output": 1}}
    lane = {"provider": "p", "model": "m", "concurrency": 1}
    settings = build_fleet(
        {"providers": {"p": provider}, "lanes": {"own": lane | {"prices": dated}, "none": lane}},
        source="f",
        environ={},
    )
    turn = datetime(2027, 1, 1, 10, tzinfo=UTC).timestamp()

    own, none = (resolve_lane(name, settings).prices for name in ("own", "none"))

    assert own.at(turn - 1) is None
    assert (own.at(turn), len(own.from_(turn))) == (settings.lanes["own"].prices[0], 1)
    assert none.at(turn) == settings.providers["p"].price


def test_only_what_may_ask_to_be_cached_for_an_hour_is_bound_by_that_price() -> None:
    dear = DatedPrice.model_validate({"valid_from": date(2020, 1, 1), "input": 1, "output": 1})
    prices = price_list(_EACH_KIND, [dear])

    keeps, plain = (
        prices.bound(input_tokens=1_000, output_tokens=10, may_keep=may) for may in (True, False)
    )

    assert keeps == (1_000 * 4 + 10 * 12) * 10**6 + 5 * 10**9
    assert plain == (1_000 * Decimal("2.5") + 10 * 12) * 10**6 + 5 * 10**9
    assert price_list(None, []).bound(input_tokens=1, output_tokens=1) is None
