"""Where a job goes when its tier lets it go."""

from datetime import UTC, datetime

import pytest
from samples import NOW

from tollway_schemas import headers
from tollway_schemas.topics import TopicNames
from tollway_workers.forwarding.relay import RelayTargets, is_due, onward

TARGETS = RelayTargets(
    names=TopicNames(),
    first_lanes={"extract": "main"},
    lanes=frozenset({"main", "other", "retired"}),
    tiers=(15.0, 60.0),
)


def carried(**changed: str | None) -> list[tuple[str, bytes]]:
    said = {
        headers.LANE: "other",
        headers.ROUTE: "extract",
        headers.PRIORITY: "interactive",
        headers.HOPS: "2",
        headers.DUE: f"{NOW:.3f}",
        headers.DEADLINE: datetime.fromtimestamp(NOW + 3600, UTC).isoformat(),
        "service": "its own",
        **{f"tollway-{name.replace('_', '-')}": value for name, value in changed.items()},
    }
    return headers.encode(said.items())


def test_a_record_is_due_from_its_time_on_and_never_before() -> None:
    due = [is_due(carried(), NOW + late, 60.0) for late in (-0.001, 0.0, 5.0)]

    assert due == [False, True, True]


def test_a_record_that_says_no_time_is_due() -> None:
    assert is_due([], NOW, 60.0)
    assert is_due(carried(due="soon"), NOW, 60.0)


@pytest.mark.parametrize("due", [f"{NOW + 10**6}", "9" * 300])
def test_a_time_that_no_tier_has_said_holds_up_nobody_behind_it(due: str) -> None:
    assert is_due(carried(due=due), NOW, 60.0)
    assert not is_due(carried(due=f"{NOW + 59}"), NOW, 60.0)


def test_a_due_job_goes_back_to_its_lane_in_its_priority() -> None:
    topic, about = onward(carried(), TARGETS, NOW)

    assert topic == "tollway.lanes.other.interactive"
    assert headers.get(about, headers.DUE) is None
    assert headers.get(about, headers.HOPS) == "2"
    assert headers.get(about, "service") == "its own"


def test_a_lane_in_no_route_still_gets_what_was_its_own() -> None:
    assert onward(carried(lane="retired"), TARGETS, NOW)[0] == "tollway.lanes.retired.interactive"


def test_a_lane_that_nobody_has_any_more_is_replaced_by_the_first_of_the_route() -> None:
    topic, about = onward(carried(lane="gone"), TARGETS, NOW)

    assert topic == "tollway.lanes.main.interactive"
    assert headers.get(about, headers.LANE) == "main"
    assert headers.get(about, headers.HOPS) == "3"


def test_a_job_of_no_route_goes_to_some_worker_that_can_give_it_up() -> None:
    assert onward(carried(lane="gone", route="gone"), TARGETS, NOW)[0].startswith(
        "tollway.lanes.main"
    )
    assert onward([], TARGETS, NOW)[0] == "tollway.lanes.main.bulk"


def test_a_wait_that_is_not_over_goes_on_in_the_next_tier() -> None:
    topic, about = onward(carried(not_before=f"{NOW + 50:.3f}"), TARGETS, NOW)

    assert topic == "tollway.retry.60s"
    assert headers.number(about, headers.DUE) == NOW + 60
    assert headers.get(about, headers.LANE) == "other"


def test_what_is_left_of_a_wait_and_fits_in_memory_is_waited_for_by_the_lane() -> None:
    topic, about = onward(carried(not_before=f"{NOW + 8:.3f}"), TARGETS, NOW)

    assert topic == "tollway.lanes.other.interactive"
    assert headers.number(about, headers.NOT_BEFORE) == NOW + 8


def test_no_tier_keeps_a_job_past_its_deadline() -> None:
    soon = datetime.fromtimestamp(NOW + 5, UTC).isoformat()

    topic, _ = onward(carried(not_before=f"{NOW + 500:.3f}", deadline=soon), TARGETS, NOW)

    assert topic == "tollway.lanes.other.interactive"
