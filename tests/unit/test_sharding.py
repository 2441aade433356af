"""Limit groups, their shards, and the topics of a shard."""

from typing import Any

import pytest

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.config.check.fleet_fits import warnings_in
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.groups import LimitGroup, limit_groups
from tollway_workers.errors import ConfigError
from tollway_workers.ownership.sharding import fitting_partitions, shard_groups, shard_of

_NAMES = TopicNames("t")


def _fleet(
    lanes: dict[str, dict[str, Any]],
    *,
    partitions: int = 12,
    groups: dict[str, dict[str, Any]] | None = None,
    routes: dict[str, str] | None = None,
) -> FleetSettings:
    common = {"provider": "p", "model": "m", "concurrency": 64}
    return build_fleet(
        {
            "kafka": {"prefix": "t", "partitions": partitions},
            "providers": {"p": {"base_url": "https://h/v1"}},
            "limit_groups": groups or {},
            "lanes": {name: {**common, **lane} for name, lane in lanes.items()},
            "routes": {name: {"lanes": [lane]} for name, lane in (routes or {}).items()},
        },
        source="f",
        environ={},
    )


def _mistakes(*args: Any, **kwargs: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as refused:
        _fleet(*args, **kwargs)
    return {mistake.key: mistake.problem for mistake in refused.value.mistakes}


def test_a_lane_that_names_no_group_is_one_of_its_own() -> None:
    groups = limit_groups(_fleet({"b": {}, "a": {"shards": 6}}))

    assert groups == (
        LimitGroup(name="a", lanes=("a",), shards=6, ownership_topic="t.lanes.a.interactive"),
        LimitGroup(name="b", lanes=("b",), shards=4, ownership_topic="t.lanes.b.interactive"),
    )


def test_a_group_is_owned_by_its_lane_with_the_smallest_name() -> None:
    fleet = _fleet(
        {"z": {"limit_group": "g"}, "m": {"limit_group": "g"}}, groups={"g": {"shards": 3}}
    )

    (group,) = limit_groups(fleet)

    assert (group.lanes, group.shards) == (("m", "z"), 3)
    assert group.ownership_topic == _NAMES.lane("m", Priority.INTERACTIVE)


@pytest.mark.parametrize(
    ("concurrency", "partitions", "shards"),
    [(64, 12, 4), (3, 12, 3), (1, 12, 1), (None, 12, 4), (64, 6, 3), (64, 7, 1), (64, 1, 1)],
)
def test_four_shards_or_what_fits(concurrency: int | None, partitions: int, shards: int) -> None:
    lane = {"concurrency": concurrency} if concurrency else {"requests_per_minute": 60}
    fields = {"provider": "p", "model": "m", **lane}
    fleet = build_fleet(
        {
            "kafka": {"partitions": partitions},
            "providers": {"p": {"base_url": "https://h/v1"}},
            "lanes": {"a": fields},
        },
        source="f",
        environ={},
    )

    assert [group.shards for group in limit_groups(fleet)] == [shards]


def test_a_group_has_as_many_shards_as_its_narrowest_lane_has_calls() -> None:
    lanes: dict[str, dict[str, Any]] = {
        "a": {"limit_group": "g", "concurrency": 2},
        "b": {"limit_group": "g"},
    }

    assert limit_groups(_fleet(lanes, groups={"g": {}}))[0].shards == 2


def test_a_shard_has_its_lanes_topics_and_those_of_the_routes_that_begin_there() -> None:
    fleet = _fleet(
        {"a": {"limit_group": "g"}, "b": {"limit_group": "g"}, "c": {}},
        groups={"g": {}},
        routes={"mail": "b", "chat": "c"},
    )

    by_name = {group.name: group.topics for group in shard_groups(fleet)}

    assert set(by_name["g"]) == {
        *(_NAMES.lane(lane, each) for lane in "ab" for each in Priority),
        *(_NAMES.jobs("mail", each) for each in Priority),
    }
    assert set(by_name["c"]) == {
        *(_NAMES.lane("c", each) for each in Priority),
        *(_NAMES.jobs("chat", each) for each in Priority),
    }


def test_every_topic_that_workers_read_belongs_to_exactly_one_group() -> None:
    fleet = _fleet({"a": {}, "b": {}}, routes={"r": "a", "s": "b", "u": "a"})

    topics = [topic for group in shard_groups(fleet) for topic in group.topics]

    assert len(topics) == len(set(topics)) == 2 * 2 + 3 * 2


def test_the_shards_of_a_topic_are_equally_large() -> None:
    assert [shard_of(q, 4) for q in range(8)] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_group_has_another_generation_with_other_limits_and_with_other_shards() -> None:
    fleets = [
        _fleet({"a": {}}),
        _fleet({"a": {}}, routes={"r": "a"}),
        _fleet({"a": {"concurrency": 65}}),
        _fleet({"a": {"shards": 2}}),
    ]

    first, same, limits, shards = (shard_groups(fleet)[0].generation for fleet in fleets)

    assert first == same
    assert len({first, limits, shards}) == 3
    assert 0 <= first < 2**32


@pytest.mark.parametrize(
    ("wanted", "shards", "partitions"),
    [(12, [4, 3], 12), (13, [4, 3], 24), (5, [1], 5), (7, [], 7)],
)
def test_topics_grow_to_a_multiple_of_every_number_of_shards(
    wanted: int, shards: list[int], partitions: int
) -> None:
    assert fitting_partitions(wanted, shards) == partitions


def test_shards_that_do_not_divide_the_partitions_are_refused_with_those_that_do() -> None:
    assert _mistakes({"a": {"shards": 5}}) == {
        "lanes.a.shards": "5 does not divide the 12 partitions of every topic"
    }


def test_a_shard_without_a_call_is_refused() -> None:
    lanes = {"a": {"limit_group": "g", "concurrency": 3}}

    assert _mistakes(lanes, groups={"g": {"shards": 4}}) == {
        "limit_groups.g.shards": "4 shards of 3 calls in flight leave some without any"
    }


def test_a_group_that_is_not_there_is_refused_with_the_one_that_was_meant() -> None:
    assert _mistakes({"a": {"limit_group": "opnai"}}, groups={"openai": {}}) == {
        "lanes.a.limit_group": "there is no limit_group opnai"
    }


def test_what_could_be_read_in_two_ways_is_refused() -> None:
    lanes = {"a": {}, "b": {"limit_group": "g", "shards": 2}}

    assert set(_mistakes(lanes, groups={"g": {}, "a": {}})) == {"limit_groups.a", "lanes.b.shards"}


def test_a_group_without_lanes_is_warned_of() -> None:
    warnings = warnings_in(_fleet({"a": {}}, groups={"idle": {}}, routes={"r": "a"}))

    assert [warning.key for warning in warnings] == ["limit_groups.idle"]
