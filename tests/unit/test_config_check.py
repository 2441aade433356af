"""Warnings: what can be used but is hardly meant."""

from typing import Any

import pytest

from tollway_workers.config.check.fleet_fits import warnings_in
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.network import is_loopback


def _settings(**lane: Any) -> FleetSettings:
    document = {
        "providers": {"p": {"base_url": "https://h/v1"}},
        "lanes": {"l": {"provider": "p", "model": "m", "concurrency": 4, **lane}},
        "routes": {"r": {"lanes": ["l"]}},
    }
    return build_fleet(document, source="f", environ={})


def _price(**price: float) -> dict[str, dict[str, float]]:
    return {"price": {"input": 1.0, "output": 2.0, **price}}


def test_a_plain_configuration_has_no_warning() -> None:
    assert warnings_in(_settings(**_price(), tokens_per_minute=100_000)) == ()


@pytest.mark.parametrize(
    ("lane", "key"),
    [
        ({"call_timeout": 200}, "lanes.l.call_timeout"),
        (_price(input=0.000002), "lanes.l.price.input"),
        (_price(output=5000), "lanes.l.price.output"),
        (_price(output=0.5), "lanes.l.price.output"),
        (_price(cached_input=1.5), "lanes.l.price.cached_input"),
        (_price(cache_write_5m=0.25), "lanes.l.price.cache_write_5m"),
        (_price(cache_write_1h=5000), "lanes.l.price.cache_write_1h"),
        (_price(reasoning=5000), "lanes.l.price.reasoning"),
        (_price(per_call=5), "lanes.l.price.per_call"),
        (
            {"prices": [{"valid_from": "2027-01-01", "input": 1.0, "output": 0.5}]},
            "lanes.l.prices[0].output",
        ),
    ],
)
def test_a_doubtful_lane_is_warned_of(lane: dict[str, Any], key: str) -> None:
    warnings = warnings_in(_settings(**lane))

    assert [warning.key for warning in warnings] == [key]


def test_a_model_of_ones_own_may_cost_nothing() -> None:
    assert warnings_in(_settings(**_price(input=0, output=0))) == ()


@pytest.mark.parametrize(
    ("document", "keys"),
    [
        ({}, ["routes"]),
        (
            {
                "providers": {n: {"base_url": "https://h"} for n in ("p", "idle")},
                "lanes": {
                    n: {"provider": "p", "model": "m", "concurrency": 1} for n in ("l", "spare")
                },
                "routes": {"r": {"lanes": ["l"]}},
            },
            ["lanes.spare", "providers.idle"],
        ),
    ],
)
def test_what_nobody_uses_is_warned_of(document: dict[str, Any], keys: list[str]) -> None:
    settings = build_fleet(document, source="f", environ={})

    assert [warning.key for warning in warnings_in(settings)] == keys


def test_a_header_that_looks_random_is_warned_of() -> None:
    value = "a1b2c3d4" * 4
    document = {"providers": {"p": {"base_url": "https://h", "headers": {"X-Id": value}}}}

    warnings = warnings_in(build_fleet(document, source="f", environ={}))

    assert "providers.p.headers.X-Id" in [warning.key for warning in warnings]
    assert value not in " ".join(map(str, warnings))


def test_writing_that_stops_with_one_broker_is_warned_of() -> None:
    document = {"kafka": {"replication_factor": 2, "min_insync_replicas": 2}}

    warnings = warnings_in(build_fleet(document, source="f", environ={}))

    assert "kafka.min_insync_replicas" in [warning.key for warning in warnings]


@pytest.mark.parametrize(
    ("servers", "warned"), [("broker:9092", True), ("localhost:9092,127.0.0.1:1", False)]
)
def test_a_password_in_the_clear_is_warned_of_unless_it_stays_here(
    servers: str, warned: bool
) -> None:
    environ = {
        "TOLLWAY_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "TOLLWAY_SASL_MECHANISM": "PLAIN",
        "TOLLWAY_SASL_USERNAME": "u",
        "TOLLWAY_SASL_PASSWORD": "p",
        "TOLLWAY_BOOTSTRAP_SERVERS": servers,
    }

    warnings = warnings_in(build_fleet({}, source="f", environ=environ))

    assert ("kafka.security.protocol" in [warning.key for warning in warnings]) is warned


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "10.0.0.1", "localhost.evil.example", "127.0.0.1.x"])
def test_everything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "route",
    [
        {"lanes": ["l", "m"], "fallback": "eager", "accept": ["fallback"]},
        {"lanes": ["l"], "fallback": "never"},
        {"lanes": ["l"], "fallback": "late", "rule": "json:loads", "accept": ["rule"]},
        {"lanes": ["l", "m"], "accept": ["live"]},
        {"lanes": ["l"], "cache": {"exact": False, "ttl": 60}, "accept": ["live"]},
        {"lanes": ["l"], "cache": {"exact": True}, "accept": ["cached"]},
        {"lanes": ["l"], "fallback": "eager", "cache": {"exact": True, "stale_for": 9}},
        {"lanes": ["l"], "cache": {"exact": True, "stale_for": 9}, "accept": ["live", "stale"]},
    ],
)
def test_a_ladder_whose_rungs_can_be_met_is_no_mistake(route: dict[str, Any]) -> None:
    lane = {"provider": "p", "model": "m", "concurrency": 4}
    document = {
        "providers": {"p": {"base_url": "https://h/v1"}},
        "lanes": {"l": lane, "m": lane},
        "routes": {"r": route, "other": {"lanes": ["m"]}},
    }

    assert warnings_in(build_fleet(document, source="f", environ={})) == ()
