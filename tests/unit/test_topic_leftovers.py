"""Topics of routes and lanes that are gone."""

from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.topics.leftovers import Leftover, leftovers, refusals, remarks

SETTINGS = FleetSettings.model_validate(
    {
        "kafka": {"prefix": "my.fleet"},
        "providers": {"p": {"base_url": "http://127.0.0.1/v1"}},
        "lanes": {
            name: {"provider": "p", "model": "m", "concurrency": 1} for name in ("main", "spare")
        },
        "routes": {"a": {"lanes": ["main"]}},
    }
)

LANE = "my.fleet.lanes.old.bulk"
ROUTE = "my.fleet.jobs.gone.interactive"
TIER = "my.fleet.retry.2h"
LEFT = (
    Leftover(ROUTE, "routes.gone"),
    Leftover(LANE, "lanes.old"),
    Leftover(TIER, "retry.tiers"),
)


def test_only_topics_of_unknown_routes_and_lanes_are_left_over() -> None:
    existing = [
        "my.fleet.jobs.a.bulk",
        # In no route, but configured: it is retired, and workers still read it.
        "my.fleet.lanes.spare.bulk",
        LANE,
        ROUTE,
        "my.fleet.retry.5m",
        TIER,
        # None of this fleet's.
        "my.fleet.lanes.old.bulk.copy",
        "my.fleet.jobs.gone.urgent",
        "my-fleet.jobs.gone.bulk",
        "my.fleet.replies",
    ]

    assert leftovers(SETTINGS, existing) == LEFT


def test_a_lane_and_a_route_with_unfinished_jobs_may_not_go() -> None:
    found = [str(mistake) for mistake in refusals(LEFT, {LANE: 1_200, ROUTE: 3, TIER: 1})]

    assert found == [
        f"routes.gone: is gone, and {ROUTE} holds 3 unfinished job(s) that no worker would read; "
        "keep it until there are none; or give them up: delete the topic",
        f"lanes.old: is gone, and {LANE} holds 1,200 unfinished job(s) that no worker would read; "
        "keep it in no route, so that workers forward what it holds, until there are none; or give "
        "them up: delete the topic",
        f"retry.tiers: lacks its delay, and {TIER} holds 1 unfinished job(s) that no worker would "
        "read; keep it until there are none; or give them up: delete the topic",
    ]
    assert list(remarks(LEFT, {LANE: 1_200, ROUTE: 3, TIER: 1})) == []


def test_what_holds_nothing_may_be_deleted() -> None:
    assert list(refusals(LEFT, {LANE: 0, ROUTE: 0, TIER: 0})) == []
    assert list(remarks(LEFT, {LANE: 0, ROUTE: 0})) == [
        f"{ROUTE} holds no unfinished job and routes.gone is gone: it can be deleted",
        f"{LANE} holds no unfinished job and lanes.old is gone: it can be deleted",
        f"{TIER} holds no unfinished job and retry.tiers lacks its delay: it can be deleted",
    ]
