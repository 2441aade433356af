"""What the heartbeats of a fleet come to, and how that is shown."""

import json
from typing import Any

import pytest
from samples import NOW

from tollway_schemas.heartbeat import Heartbeat, LaneBeat, LimitUse
from tollway_workers.cli.fleet.page import (
    lane_facts,
    lane_sheets,
    span,
    worker_facts,
    worker_sheets,
)
from tollway_workers.cli.fleet.view import FleetView
from tollway_workers.job.envelopes import instant
from tollway_workers.lanes.live_beats import LIVE


def lane(**fields: Any) -> LaneBeat:
    given = {"lane": "main", "group": "main", "state": "open"}
    return LaneBeat.model_validate(given | fields)


def requests(used: float, most: float = 60.0) -> LimitUse:
    return LimitUse(name="requests_per_minute", most=most, period=60.0, used=used)


def calls(used: int, most: int) -> LimitUse:
    return LimitUse(name="concurrency", most=most, used=used)


def beat(worker: str, *lanes: LaneBeat, **fields: Any) -> Heartbeat:
    given = {"worker": worker, "started_at": instant(NOW), "release": "1", "lanes": lanes}
    return Heartbeat.model_validate(given | {"shards": {"main": 1}} | fields)


def view(*beats: tuple[float, Heartbeat]) -> FleetView:
    fleet = FleetView()
    for at, each in beats:
        fleet.hear(NOW + at, each)
    return fleet


def test_a_worker_is_alive_for_ten_seconds_after_it_was_heard_unless_it_has_left() -> None:
    fleet = view((0, beat("a")), (1, beat("b")), (2, beat("c", left=True)))

    assert [each.worker for each in fleet.live(NOW + LIVE - 0.1)] == ["a", "b"]
    assert [each.worker for each in fleet.live(NOW + LIVE)] == ["b"]


def test_workers_that_have_not_applied_a_command_are_behind() -> None:
    fleet = view((0, beat("a", commands=7)), (0, beat("b", commands=8)), (0, beat("c")))

    assert fleet.behind(7, NOW) == ["a", "c"]
    assert fleet.behind(7, NOW + LIVE) == []


def test_a_lane_is_the_sum_of_its_workers_and_the_worst_of_their_states() -> None:
    one = lane(in_flight=3, waiting=5, outstanding=20, limits=(calls(3, 4),), oldest=instant(NOW))
    other = lane(state="slowed", in_flight=1, outstanding=10, limits=(calls(1, 4),))
    fleet = view((0, beat("a", one)), (0, beat("b", other)), (0, beat("standby", shards={})))

    (main,) = fleet.lanes(NOW)

    assert (main.state, main.in_flight, main.waiting, main.outstanding) == ("slowed", 4, 5, 30)
    assert main.owners == ("a", "b")
    assert main.oldest == NOW
    assert [(limit.used, limit.most) for limit in main.limits] == [(4, 8)]
    assert (main.rate, main.time_to_clear) == (None, None)


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        (("open", "probing"), "probing"),
        (("probing", "broken"), "broken"),
        (("broken", "parked"), "parked"),
        (("paused", "broken"), "paused"),
        (("slowed", "probing"), "probing"),
        (("open", "of a later release"), "open"),
        (("retired", "open"), "retired"),
    ],
)
def test_the_worst_that_a_worker_says_of_a_lane_is_its_state(
    states: tuple[str, str], worst: str
) -> None:
    beats = ((0.0, beat(f"w{n}", lane(state=state))) for n, state in enumerate(states))

    (main,) = view(*beats).lanes(NOW)

    assert main.state == worst


def test_lanes_are_shown_worst_first_and_in_colours_on_a_terminal() -> None:
    states = ("open", "slowed", "probing", "broken", "parked", "paused", "retired", "new")
    beats = beat("a", *(lane(lane=f"l{n}", state=state) for n, state in enumerate(states)))

    (columns, rows), *_ = lane_sheets(view((0, beats)).lanes(NOW), NOW)

    shown = [row[1] for row in rows]
    assert shown == [*reversed(states[:-1]), "new"]
    assert [columns[1].style(state) for state in shown[:-1]] == [
        "dim",
        "yellow",
        "bold red",
        "bold red",
        "yellow",
        "yellow",
        "green",
    ]
    assert columns[1].style("paused for 3m") == "yellow"
    assert columns[1].style("new") == columns[0].style("open") == ""


def test_rates_are_those_of_the_last_seconds_over_all_workers() -> None:
    fleet = view(
        (0, beat("a", lane(finished=100))),
        (0, beat("b", lane(finished=7))),
        (4, beat("a", lane(finished=108, outstanding=30))),
        (4, beat("b", lane(finished=11))),
    )

    (main,) = fleet.lanes(NOW + 4)

    assert main.rate == 3.0
    assert main.time_to_clear == 10.0


def test_the_last_word_of_a_process_that_gave_way_does_not_end_its_successor() -> None:
    old, new = instant(NOW - 60), instant(NOW)
    fleet = view(
        (0, beat("a", started_at=old)),
        (1, beat("a", started_at=new)),
        (2, beat("a", started_at=old, left=True)),
    )

    assert [each.started_at for each in fleet.live(NOW + 2)] == [new]


def test_counts_that_fall_with_a_shard_or_a_restart_are_no_rate() -> None:
    moved = view((0, beat("a", lane(finished=100))), (4, beat("a", lane(finished=10))))
    again = beat("a", lane(finished=10), started_at=instant(NOW + 3))
    restarted = view((0, beat("a", lane(finished=1))), (4, again))

    assert moved.lanes(NOW + 4)[0].rate == 0.0
    assert restarted.lanes(NOW + 4)[0].rate is None


def test_a_lane_is_shown_in_words_and_for_machines() -> None:
    paused = lane(
        lane="x\x1b[2J",
        state="paused",
        paused_until=instant(NOW + 3_600),
        outstanding=1_234,
        oldest=instant(NOW - 90),
        limits=(calls(3, 4).model_copy(update={"binds": True}), requests(12)),
    )
    lanes = view((0, beat("a", paused, shards={}))).lanes(NOW)

    ((_, (row,)), (_, limits)) = lane_sheets(lanes, NOW)
    (facts,) = json.loads(json.dumps(lane_facts(lanes)))

    assert row[1:] == ("paused for 1h", "1,234", "0", "1m 30s", "-", "nobody")
    assert limits == [
        ("x\x1b[2J", "concurrency", "3", "4", "75%", "yes"),
        ("x\x1b[2J", "requests_per_minute", "12", "60", "20%", ""),
    ]
    assert facts["paused_until"] == instant(NOW + 3_600).isoformat()
    assert (facts["binding"], facts["time_to_clear"]) == (["concurrency"], None)


def test_a_limit_that_lanes_have_together_is_shown_once_under_the_name_of_their_group() -> None:
    together = requests(40.0).model_copy(update={"shared": True})
    one = lane(lane="one", group="account", limits=(together, requests(30.0, 50.0)))
    waits = together.model_copy(update={"binds": True})
    other = lane(lane="other", group="account", limits=(waits,))

    _, (_, rows) = lane_sheets(view((0, beat("a", one, other))).lanes(NOW), NOW)

    assert rows == [
        ("account", "requests_per_minute", "40", "60", "67%", "yes"),
        ("one", "requests_per_minute", "30", "50", "60%", ""),
    ]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"draining": True, "partitions": 4, "holds_lease": True}, "draining"),
        ({"partitions": 0, "holds_lease": True}, "standby"),
        ({"partitions": 4, "holds_lease": False}, "no lease"),
        ({"partitions": 4, "holds_lease": True, "releasing": 1}, "releasing"),
        ({"partitions": 4, "holds_lease": True}, "working"),
    ],
)
def test_a_worker_is_shown_by_what_it_does(fields: dict[str, Any], state: str) -> None:
    fleet = view((0, beat("a", lane(in_flight=2, waiting=3), commands=9, **fields)))

    ((_, (row,)),) = worker_sheets(fleet, NOW + 5)
    (facts,) = worker_facts(fleet, NOW + 5)

    assert row[:3] == ("a", state, "main 1")
    assert row[3:] == ("2", "3", "5s", "5s ago", "1")
    assert (facts["commands"], facts["heard_seconds_ago"]) == (9, 5.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0s"), (59, "59s"), (60, "1m"), (200, "3m 20s"), (7_500, "2h 5m"), (90_000, "1d 1h")],
)
def test_a_duration_is_said_in_two_units_at_most(seconds: float, text: str) -> None:
    assert span(seconds) == text


def parked(**fields: Any) -> LaneBeat:
    given = {"state": "parked", "reason": "no key", "since": instant(NOW - 90), "outstanding": 3}
    return lane(**given | {"waiting": 3} | fields)


def test_a_lane_that_waits_says_why_since_when_and_until_when() -> None:
    one = parked(next_try=instant(NOW + 8), asked_until=instant(NOW + 86_400))
    other = parked(since=instant(NOW - 30), next_try=instant(NOW + 40))
    lanes = view((0, beat("a", one)), (0, beat("b", other)), (0, beat("c", lane()))).lanes(NOW)

    (_, (_, (row,))) = lane_sheets(lanes, NOW)
    (facts,) = json.loads(json.dumps(lane_facts(lanes)))

    assert row == (
        "main",
        "1m 30s",
        f"waiting: no key; the provider asks to wait until {instant(NOW + 86_400):%F %T} UTC; "
        "next try in 8 s",
        "a, b",
    )
    assert facts["wait"]["next_try"] == instant(NOW + 8).isoformat()
    assert lanes[0].stuck


def test_a_lane_is_stuck_only_where_every_worker_that_has_work_waits() -> None:
    idle, busy = lane(), lane(outstanding=1)

    stuck = view((0, beat("a", parked())), (0, beat("b", idle))).lanes(NOW)
    works = view((0, beat("a", parked())), (0, beat("b", busy))).lanes(NOW)
    in_a_tier = view((0, beat("a", parked(outstanding=0)))).lanes(NOW)
    half = view((0, beat("a", parked(outstanding=0))), (0, beat("b", idle))).lanes(NOW)

    lanes = (stuck, works, in_a_tier, half)
    assert [each.stuck for (each,) in lanes] == [True, False, True, False]


def test_what_a_worker_says_that_has_no_shard_of_a_lane_any_more_is_no_wait_of_it() -> None:
    gone, owner = beat("a", parked(outstanding=0), shards={}), beat("b", lane(outstanding=1))

    (main,) = view((0, gone), (0, owner)).lanes(NOW)

    assert (main.state, main.wait, main.stuck) == ("open", None, False)


def test_what_workers_wait_for_stands_below_them_too() -> None:
    fleet = view((0, beat("a", parked(waiting=0, outstanding=0))))

    _, (_, (row,)) = worker_sheets(fleet, NOW)

    assert row == ("main", "1m 30s", "waiting: no key", "a")


def test_a_lane_behind_an_open_transaction_says_so_beside_its_state() -> None:
    lanes = view((0, beat("a", lane(behind_transactions=2), shards={"main": 1}))).lanes(NOW)

    ((_, (row,)), *_) = lane_sheets(lanes, NOW)

    assert row[1] == "open, 2 partition(s) behind an open transaction"
