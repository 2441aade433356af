"""What a run says it waits for, and when it gives up."""

from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console
from samples import NOW

from tollway_schemas.heartbeat import Heartbeat, LaneBeat
from tollway_workers.cli.batch.causes import Cause
from tollway_workers.cli.batch.tally import Progress, Tally
from tollway_workers.cli.fleet.view import FleetView
from tollway_workers.cli.run.conduct import Played
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.report import result_json, show_result
from tollway_workers.cli.run.session import Result
from tollway_workers.cli.run.watching.calls import CallCounts, Calls
from tollway_workers.cli.run.watching.screen import Screen
from tollway_workers.cli.run.watching.waits import Look, Lookout, Patience, Wait
from tollway_workers.job.envelopes import instant
from tollway_workers.local.fleet.worker_look import WorkerLook

LEFT = {"extract": 3}
FIRST = {"extract": ("main",), "other": ("second",)}


def lane(name: str = "main", **fields: Any) -> LaneBeat:
    given = {"lane": name, "group": name, "state": "open", "outstanding": 3, "waiting": 3}
    return LaneBeat.model_validate(given | {"routes": ("extract",)} | fields)


def refused(name: Any = "main", **fields: Any) -> LaneBeat:
    given = {"state": "parked", "reason": "no key", "since": instant(NOW - 60)}
    return lane(name, **given | {"next_try": instant(NOW + 8)} | fields)


def at(now: float, *lanes: LaneBeat, **fields: Any) -> FleetView:
    view = FleetView()
    shards = {each.group: 1 for each in lanes}
    given = {"worker": "a", "started_at": instant(NOW), "release": "1", "shards": shards}
    view.hear(now, Heartbeat.model_validate(given | {"lanes": lanes} | fields))
    return view


def look(*lanes: LaneBeat, left: dict[str, int] = LEFT, **fields: Any) -> Look:
    return Lookout(FIRST).look(at(NOW, *lanes, **fields).lanes(NOW), left, NOW)


def test_a_lane_that_waits_is_told_with_its_reason_and_its_next_try() -> None:
    found = look(refused())

    assert found.text == "waiting: no key; next try in 8 s"
    assert found.stuck


def test_lanes_that_none_of_the_run_s_jobs_wait_for_are_not_told_of() -> None:
    assert look(lane(), refused("second", routes=("other",))) == Look((), stuck=False)


def test_the_usual_pause_after_a_rate_limit_is_not_told() -> None:
    brief: dict[str, Any] = {
        "since": instant(NOW - 1),
        "next_try": instant(NOW + 1),
        "state": "slowed",
    }
    long = brief | {"next_try": instant(NOW + 3_600)}

    assert look(refused(**brief)).waits == ()
    assert look(refused(**long)).text == "waiting: no key; next try in 1 h 00 m"


def test_a_run_is_not_stuck_whose_jobs_went_on_to_another_lane_of_their_route() -> None:
    lookout, lanes = Lookout({"extract": ("main", "second")}), (refused(), lane("second"))
    busy = lookout.look(at(NOW, *lanes).lanes(NOW), LEFT, NOW)
    idle = (refused(), lane("second", outstanding=0))

    assert not busy.stuck
    assert lookout.look(at(NOW, *idle).lanes(NOW), LEFT, NOW).stuck


def test_what_waits_elsewhere_or_in_a_retry_topic_is_not_stuck() -> None:
    two = {"extract": 3, "other": 1}

    works = look(refused(), lane("second", routes=("other",)), left=two)
    in_a_tier = look(refused(), lane("second", outstanding=0, routes=("other",)), left=two)
    all_wait = look(refused(), refused("second", routes=("other",)), left=two)

    assert [each.stuck for each in (works, in_a_tier, all_wait)] == [False, False, True]
    assert all_wait.text == (
        "lane main waiting: no key; next try in 8 s  lane second waiting: no key; next try in 8 s"
    )


def test_jobs_that_all_wait_in_retry_topics_are_a_wait_once_that_lasts() -> None:
    lookout = Lookout(FIRST)
    idle = lane(outstanding=0, waiting=0)

    looks = [
        lookout.look(at(NOW + second, idle).lanes(NOW + second), LEFT, NOW + second)
        for second in (0, 2, 5)
    ]

    assert [each.stuck for each in looks] == [False, False, True]
    assert looks[-1].text == "waiting: what is left failed, and is called again after a while"


def test_a_paused_lane_is_a_wait() -> None:
    paused = refused(state="paused", reason="an operator paused it", since=None, next_try=None)
    paused = paused.model_copy(update={"paused_until": instant(NOW + 600)})

    assert look(paused).text == "waiting: an operator paused it; next try in 10 m"


@pytest.mark.parametrize("shards", [{}, {"other": 1}])
def test_a_lane_without_a_worker_is_a_wait_once_that_lasts(shards: dict[str, int]) -> None:
    lookout = Lookout(FIRST)

    views = [at(NOW + second, lane(), shards=shards).lanes(NOW + second) for second in (0, 5)]
    first, later = (
        lookout.look(lanes, LEFT, NOW + second) for lanes, second in zip(views, (0, 5), strict=True)
    )

    assert first == Look((), stuck=False)
    assert later.text == "waiting: no worker serves lane main: start one with `tollway worker`"
    assert later.stuck


def test_of_a_fleet_that_others_run_its_workers_say_which_lane_a_route_begins_at() -> None:
    lanes = at(NOW, refused("theirs")).lanes(NOW)
    served, unserved = Lookout(None), Lookout(None)
    unserved.look([], LEFT, NOW)

    assert [each.of for each in served.look(lanes, LEFT, NOW).waits] == ["lane theirs"]
    assert unserved.look([], LEFT, NOW + 5).text.startswith("waiting: no worker serves route extr")


STUCK, FREE = Look((), stuck=True), Look((), stuck=False)


def over(*looks: tuple[float, Look, int], limit: float = 600.0) -> list[bool]:
    patience = Patience(limit)
    return [patience.is_over(look, ended, now) for now, look, ended in looks]


def test_a_run_gives_up_where_all_that_is_left_waited_for_so_long() -> None:
    assert over((0, STUCK, 1), (599, STUCK, 1), (600, STUCK, 1)) == [False, False, True]


def test_a_run_that_gets_answers_does_not_give_up() -> None:
    assert over((0, STUCK, 1), (599, STUCK, 2), (1_000, STUCK, 2)) == [False] * 3


def test_a_run_whose_lane_works_for_a_while_does_not_give_up() -> None:
    works = [(second, FREE, 1) for second in range(300, 330)]

    assert not any(over((0, STUCK, 1), *works, (600, STUCK, 1)))


def test_a_worker_that_starts_again_does_not_make_a_wait_begin_anew() -> None:
    assert over((0, STUCK, 1), (300, FREE, 1), (303, STUCK, 1), (600, STUCK, 1))[-1]


def test_a_run_may_wait_for_ever() -> None:
    assert over((0, STUCK, 1), (10**9, STUCK, 1), limit=0.0) == [False, False]


def metrics(**endings: int) -> str:
    lines = [
        f'tollway_attempts_total{{ending="{ending}",lane="x"}} {count}.0'
        for ending, count in endings.items()
    ]
    return "\n".join([*lines, 'tollway_calls_in_flight{lane="x"} 2.0', "other 7.0"])


def test_calls_are_counted_as_made_whether_or_not_a_reply_tells_of_them() -> None:
    counts = CallCounts()
    first = metrics(ok=5, auth=3, connect=2, transient=1)
    counts.update([WorkerLook(slot=0, pid=1, is_ready=True, metrics=first)])
    counts.update([WorkerLook(slot=0, pid=1, is_ready=False, metrics=None)])
    counts.update([WorkerLook(slot=0, pid=2, is_ready=True, metrics=metrics(ok=1))])

    assert counts.made == Calls(total=12, refused=3, unconnected=2)
    assert counts.made.text == "12 (3 refused, not charged; 2 without a connection)"
    assert counts.in_flight == 2


OPTIONS = RunOptions(source=Path("in"), out=Path("out"), bootstrap_servers="h:1")
CAUSE = Cause(
    failure_class="content_policy",
    count=2,
    message="the provider refused the prompt for its content",
    custom_id="a",
    job_id="r1:a",
    dead_letters=2,
)


def result(**fields: Any) -> Result:
    known: dict[str, Any] = {
        "run_id": "r1",
        "tally": Tally(lines=2, failed=2),
        "total": 3,
        "seconds": 1.0,
        "stopped": None,
        "left": 1,
        "causes": (CAUSE,),
        "played": Played(
            gave_up=True,
            look=Look((Wait(of="lane run", reason="no key", sentence="waiting: no key"),)),
            calls=Calls(total=5, refused=4),
        ),
    }
    return Result(**known | fields)


def test_the_summary_says_why_lines_failed_what_waits_and_which_commands_say_more() -> None:
    said = StringIO()

    show_result(Screen(Console(file=said, width=200)), OPTIONS, result())

    for line in (
        "calls     5 (4 refused, not charged)",
        "2 content_policy, such as 'a': the provider refused the prompt for its content",
        "why, and what to do: tollway dead-letters groups --run r1 --bootstrap-servers h:1",
        "tollway journal r1:a --bootstrap-servers h:1",
        "lane run waiting: no key",
        "gave up with 1 line left, after 10 m in which no lane let a call through: "
        "give the same command again",
    ):
        assert line in said.getvalue()


def test_the_summary_says_the_same_to_machines() -> None:
    told = orjson.loads(result_json(OPTIONS, result()))

    assert told["causes"][0]["count"] == 2
    assert told["waits"] == [{"for": "lane run", "reason": "no key"}]
    assert (told["calls"], told["calls_refused"], told["gave_up"]) == (5, 4, True)
    assert told["exit_status"] == 1


def test_a_run_says_that_its_workers_are_starting() -> None:
    said = StringIO()
    progress = Progress(
        total=1, tally=Tally(), done=0, resumed=0, in_flight=0, elapsed=0.0, starting=True
    )

    Screen(Console(file=said, width=200)).show(progress)

    assert said.getvalue().endswith("workers are starting\n")


def test_a_reason_is_told_once_and_its_next_try_with_every_line() -> None:
    said = StringIO()
    screen = Screen(Console(file=said, width=200))
    wait = Wait(of="lane run", reason="no key", sentence="waiting: no key; next try in 8 s")
    progress = Progress(
        total=1, tally=Tally(), done=0, resumed=0, in_flight=0, elapsed=1.0, look=Look((wait,))
    )

    screen.show(progress)
    screen.show(progress)

    told, line = said.getvalue().splitlines()
    assert told == "lane run waiting: no key; next try in 8 s"
    assert line.startswith("0/1  ")
    assert line.endswith("waiting: no key; next try in 8 s")
