"""What of a limit may be used: the most, so that no window of its period sees more than it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.contract import (
    GOOD_SHARE,
    LEAST_SHARE,
    MOST_SHARE,
    CallLimit,
    RateLimit,
    Resource,
)
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.groups import DEFAULT_BURST, contract_of, limit_groups
from tollway_workers.config.shape.profiles import TokenRule
from tollway_workers.errors import ConfigError
from tollway_workers.limits.call_cost import Cost, counted, token_cost


def tokens(amount: float, largest: float | None = None, burst: float = 0.01) -> RateLimit:
    return RateLimit(
        name="tokens_per_minute",
        lane=None,
        resource=Resource.TOKENS,
        amount=amount,
        period=60.0,
        burst=burst,
        largest=largest,
    )


def fleet(**lane: object) -> FleetSettings:
    document = {
        "providers": {"p": {"base_url": "https://h/v1"}},
        "lanes": {"l": {"provider": "p", "model": "m", **lane}},
        "routes": {"r": {"lanes": ["l"]}},
    }
    return build_fleet(document, source="f", environ={})


def shards_of(**lane: object) -> int:
    settings = fleet(**lane)
    (group,) = limit_groups(settings)
    return contract_of(group, settings).shards


@pytest.mark.parametrize(
    ("limit", "shards", "share"),
    [
        (tokens(2_000_000, 32_000), 4, 0.936),
        (tokens(30_000, 4_000), 1, 0.8667),
        (tokens(2_000_000, 1_000), 4, MOST_SHARE),
    ],
)
def test_the_share_gives_way_to_large_requests(limit: RateLimit, shards: int, share: float) -> None:
    assert limit.share(shards) == pytest.approx(share, abs=1e-4)


@given(
    amount=st.floats(10, 1e9),
    shards=st.integers(1, 64),
    burst=st.floats(0.001, 0.5),
    largest=st.floats(1, 1e6),
)
def test_a_window_of_all_slices_stays_within_the_limit(
    amount: float, shards: int, burst: float, largest: float
) -> None:
    limit = tokens(amount, largest, burst)

    most = shards * (limit.capacity(shards) + limit.rate(shards) * limit.period)

    # A limit of which nothing could be used is refused before anybody is called.
    assert most <= amount * (1 + 1e-9) or limit.share(shards) <= 0.0


@given(amount=st.floats(100, 1e9), shards=st.sampled_from([1, 2, 3, 4]))
def test_where_nobody_says_the_largest_request_leaves_half_of_a_slice_at_least(
    amount: float, shards: int
) -> None:
    limit = tokens(amount)

    assert limit.share(shards) >= LEAST_SHARE - 1e-9
    if amount / shards >= 40_000:
        assert limit.share(shards) >= GOOD_SHARE - 1e-9


def test_one_call_a_minute_is_one_call_a_minute() -> None:
    limit = RateLimit(
        name="requests_per_minute",
        lane=None,
        resource=Resource.REQUESTS,
        amount=1.0,
        period=60.0,
        burst=DEFAULT_BURST / 60,
        largest=1.0,
    )

    assert limit.share(1) == MOST_SHARE
    assert limit.capacity(1) + limit.rate(1) * 60.0 < 2.0


def test_slots_that_shards_do_not_divide_go_to_the_lowest() -> None:
    limit = CallLimit(lane="l", most=10)

    assert [limit.slots(shard, 4) for shard in range(4)] == [3, 3, 2, 2]


@pytest.mark.parametrize(
    ("lane", "shards"),
    [
        ({"concurrency": 64}, 4),
        ({"concurrency": 3}, 3),
        ({"requests_per_minute": 500}, 4),
        ({"requests_per_minute": 10}, 2),
        ({"tokens_per_minute": 30_000}, 1),
        ({"tokens_per_minute": 2_000_000}, 4),
    ],
)
def test_nobody_asked_for_shards_that_cost_much_of_a_limit(
    lane: dict[str, object], shards: int
) -> None:
    assert shards_of(**lane) == shards


@pytest.mark.parametrize(
    ("lane", "said"),
    [
        (
            {"requests_per_minute": 10, "shards": 12},
            r"lanes.l.requests_per_minute: 10 in 12 shards, each of which may spend 1 at once, "
            r"leaves 0% to be used steadily.* set lanes.l.shards to at most 4",
        ),
        (
            {"tokens_per_minute": 10_000, "largest_request": 6_000},
            r"lanes.l.tokens_per_minute: 10,000 in one shard, each of which may spend 6,000 at once"
            r", leaves 40% .* at most 5,000 may be spent at once",
        ),
        ({"concurrency": 2, "burst": 5.0}, r"lanes.l.burst: has no effect without a rate"),
        (
            {"requests_per_minute": 60, "largest_request": 5},
            r"lanes.l.largest_request: has no effect without a limit of tokens",
        ),
        (
            {"requests_per_minute": 60, "strict_concurrency": True},
            r"lanes.l.strict_concurrency: has no effect without concurrency",
        ),
        ({}, r"lanes.l: has no limit, and a lane without any does not start"),
    ],
)
def test_a_configuration_that_cannot_hold_its_contract_is_refused_with_the_numbers(
    lane: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        fleet(**lane)


def test_a_lane_without_limits_may_stand_in_a_group_that_has_some() -> None:
    document = {
        "providers": {"p": {"base_url": "https://h/v1"}},
        "limit_groups": {"account": {"requests_per_minute": 600, "concurrency": 8}},
        "lanes": {
            "a": {"provider": "p", "model": "m", "limit_group": "account"},
            "b": {"provider": "p", "model": "n", "limit_group": "account", "concurrency": 4},
        },
        "routes": {"r": {"lanes": ["a"]}, "s": {"lanes": ["b"]}},
    }
    settings = build_fleet(document, source="f", environ={})
    (group,) = limit_groups(settings)

    contract = contract_of(group, settings)

    assert contract.amounts == {
        ":requests_per_minute": 600.0,
        ":concurrency": 8.0,
        "b:concurrency": 4.0,
    }


@pytest.mark.parametrize(
    ("rule", "reserved", "settled"),
    [
        # OpenAI charges at admission and refunds nothing.
        ("openai_max", 1_000, 1_000),
        ("sum", 1_100, 1_100),
        ("input", 100, 90),
    ],
)
def test_a_call_is_charged_as_its_provider_does(
    rule: TokenRule, reserved: float, settled: float
) -> None:
    cost = token_cost(rule, prompt_tokens=100, output_limit=1_000)

    after = counted(rule, cost, input_tokens=90, output_tokens=20)

    assert (cost.tokens, after.tokens) == (reserved, settled)
    assert (cost.input_tokens, cost.output_tokens) == (100, 1_000)
    assert (after.input_tokens, after.output_tokens) == (90, 20)


@pytest.mark.parametrize(
    ("rule", "owed"), [("openai_max", 4_000), ("sum", 5_000), ("input", 4_000)]
)
def test_a_prompt_that_was_underestimated_is_owed(rule: TokenRule, owed: float) -> None:
    cost: Cost = token_cost(rule, prompt_tokens=100, output_limit=1_000)

    assert counted(rule, cost, input_tokens=4_000, output_tokens=20).tokens == owed
