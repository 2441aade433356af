"""Whether a budget can be kept by what it covers: each mistake names its place and what to do."""

from typing import Any

import pytest

from tollway_workers.config.check.budgets_fit import (
    budget_errors,
    budget_warnings,
    covered_lanes,
)
from tollway_workers.config.shape.fleet import FleetSettings

PRICE = {"input": 1.0, "output": 2.0}


def lane(**fields: Any) -> dict[str, Any]:
    given = {"provider": "p", "model": "m", "concurrency": 4, "max_output_tokens": 64}
    given |= {"price": PRICE} | fields
    return {name: value for name, value in given.items() if value is not None}


def settings(budget: dict[str, Any], **fleet: Any) -> FleetSettings:
    given = {
        "providers": {"p": {"base_url": "https://h/v1"}},
        "lanes": {"dear": lane(), "cheap": lane()},
        "routes": {
            "one": {"lanes": ["dear", "cheap"]},
            "of-a": {"lanes": ["cheap"], "tenant": "a"},
        },
        "budgets": {"day": {"usd": 5, "per": "day"} | budget},
    }
    return FleetSettings.model_validate(given | fleet)


def errors(budget: dict[str, Any], **fleet: Any) -> list[str]:
    return [each.key for each in budget_errors("day", settings(budget, **fleet))]


def warnings(budget: dict[str, Any]) -> list[str]:
    return [each.key for each in budget_warnings("day", settings(budget))]


def test_a_plain_budget_has_nothing_wrong() -> None:
    assert errors({}) == []
    assert warnings({}) == []


@pytest.mark.parametrize(
    ("budget", "says"),
    [({"tokens": 7}, "names both usd and tokens"), ({"usd": None}, "names neither usd nor tokens")],
)
def test_it_is_either_of_dollars_or_of_tokens(budget: dict[str, Any], says: str) -> None:
    (mistake,) = budget_errors("day", settings(budget))

    assert (mistake.key, mistake.problem) == ("budgets.day", says)


@pytest.mark.parametrize(
    ("budget", "keys"),
    [
        ({"routes": ["oen"]}, ["budgets.day.routes[0]"]),
        ({"lanes": ["cheap", "chaep"]}, ["budgets.day.lanes[1]"]),
        ({"lanes": ["dear"], "routes": ["of-a"]}, ["budgets.day"]),
        ({"tenants": ["b"], "routes": ["of-a"]}, ["budgets.day"]),
        ({"each": "tenant", "routes": ["one"]}, ["budgets.day.each"]),
        ({"each": "tenant"}, []),
    ],
)
def test_it_covers_what_there_is(budget: dict[str, Any], keys: list[str]) -> None:
    assert errors(budget) == keys


def test_a_name_that_is_nearly_right_is_said() -> None:
    (mistake,) = budget_errors("day", settings({"routes": ["oen"]}))

    assert "one" in mistake.remedy


@pytest.mark.parametrize(
    ("budget", "dear", "keys"),
    [
        ({}, {"price": None}, ["lanes.dear.price"]),
        ({"usd": None, "tokens": 9}, {"price": None}, []),
        ({}, {"max_output_tokens": None}, ["lanes.dear.max_output_tokens"]),
        ({"usd": None, "tokens": 9}, {"max_output_tokens": None}, ["lanes.dear.max_output_tokens"]),
        ({"lanes": ["cheap"]}, {"price": None, "max_output_tokens": None}, []),
        ({"routes": ["of-a"]}, {"price": None, "max_output_tokens": None}, []),
        # That it has no such provider is said of the lane.
        ({}, {"provider": "q", "price": None}, []),
    ],
)
def test_what_a_covered_call_costs_at_most_must_be_known(
    budget: dict[str, Any], dear: dict[str, Any], keys: list[str]
) -> None:
    assert errors(budget, lanes={"dear": lane(**dear), "cheap": lane()}) == keys


def test_a_covered_route_keeps_a_journal() -> None:
    routes = {"one": {"lanes": ["dear"], "journal": "off"}, "two": {"lanes": ["cheap"]}}

    assert errors({}, routes=routes) == ["routes.one.journal"]
    assert errors({"lanes": ["cheap"]}, routes=routes) == []


@pytest.mark.parametrize(
    ("budget", "keys"),
    [
        ({"tenants": ["a"]}, ["budgets.day.tenants"]),
        ({"tenants": ["a"], "routes": ["of-a"]}, []),
        ({"per": "total"}, ["budgets.day.on_exceeded"]),
        ({"per": "run"}, ["budgets.day.on_exceeded"]),
        ({"per": "total", "on_exceeded": "fail"}, []),
    ],
)
def test_what_is_hardly_meant_is_warned_of(budget: dict[str, Any], keys: list[str]) -> None:
    assert warnings(budget) == keys


@pytest.mark.parametrize(
    ("budget", "lanes"),
    [
        ({}, {"dear", "cheap"}),
        ({"lanes": ["dear"]}, {"dear"}),
        ({"routes": ["of-a"]}, {"cheap"}),
        ({"tenants": ["b"]}, {"dear", "cheap"}),
        ({"tenants": ["b"], "routes": ["of-a"]}, set()),
    ],
)
def test_the_lanes_that_it_covers_are_those_of_its_routes(
    budget: dict[str, Any], lanes: set[str]
) -> None:
    fleet = settings(budget)

    assert covered_lanes(fleet.budgets["day"], fleet) == lanes
