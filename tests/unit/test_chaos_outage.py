"""The judge of the outage runs: what counts as a probe, as drained, as a dead letter too many."""

from pathlib import Path

import pytest
import ramp
import steps_down
from judge import Call, Ending, most_in_flight
from outage import KINDS, Size, poisoned, script
from outage_judge import (
    Told,
    Waits,
    after,
    drained,
    in_flight,
    last_pause,
    not_answered_once,
    over_the_limit,
    trips,
    unanswered,
)
from traffic import jobs

from tollway_workers.local.simulator import FaultKind, load_script


def call(at: float, *, ended: float | None = None, ending: str = "ok", fault: str = "") -> Call:
    return Call(
        worker="fleet",
        job_id="a",
        model="m",
        started=at,
        ended=ended,
        ending=ending,
        fault=fault or None,
    )


def reply(job: str, at: float = 0.0, status: str = "completed") -> Ending:
    return Ending(job_id=job, worker="w0", status=status, at=at)


def told(worker: str, since: float, state: str = "broken", at: float = 20) -> Told:
    return Told(worker=worker, state=state, since=since, at=at)


def test_a_worker_stopped_calling_when_its_lane_broke_first() -> None:
    said = [
        told("a", 12),
        told("a", 12, "probing", at=21),
        told("a", 19, at=22),
        told("b", 14, "parked"),
    ]

    assert trips(said, 10, 40) == {"a": 12, "b": 14}


def test_a_lane_that_was_broken_before_had_stopped_and_one_that_is_slowed_had_not() -> None:
    over = told("d", 3, at=9)
    before = told("a", 3, at=9)

    assert trips([before, told("a", 3), told("b", 12, "slowed"), told("c", 41), over], 10, 40) == {
        "a": 10
    }


def test_a_lane_that_was_tried_again_then_stopped_once_a_heartbeat_says_that_it_broke() -> None:
    said = [
        told("a", 3, "probing", at=9.5),
        told("a", 3, "probing", at=10.5),
        told("a", 3, at=11.5),
        told("a", 3, "probing", at=16.5),
    ]

    assert trips(said, 10, 40) == {"a": 11.5}


def test_what_arrives_within_a_moment_of_the_trip_was_on_its_way() -> None:
    calls = [call(9.0, ended=11.0), call(10.05), call(10.2), call(39.9), call(40.0)]

    assert [each.started for each in after(calls, 10, 40)] == [10.2, 39.9]
    assert in_flight(calls, 10) == 2


@pytest.mark.parametrize(
    ("waits", "seconds", "tries"),
    [
        (Waits(first=5, longest=120, jitter=0.2), 30, 3),
        (Waits(first=5, longest=8, jitter=0.2), 30, 5),
        (Waits(first=1, longest=300), 30, 4),
        (Waits(first=1, longest=30, probes=8), 30, 32),
        (Waits(first=5, longest=120), 3, 0),
    ],
)
def test_pauses_that_double_allow_so_many_tries(waits: Waits, seconds: float, tries: int) -> None:
    assert waits.tries(seconds) == tries


def test_the_last_pause_is_over_when_the_last_worker_may_try() -> None:
    def until(next_try: float | None, state: str = "broken") -> Told:
        return Told(worker="a", state=state, since=1, at=2, next_try=next_try)

    assert last_pause([until(30), until(52), until(80, "probing"), until(None)], 40) == 12
    assert last_pause([until(30)], 40) == 0


def test_a_429_of_the_script_is_no_call_over_the_limit() -> None:
    limits = [call(1, ending="429"), call(2, ending="429", fault="429"), call(3, ending="500")]

    assert [each.started for each in over_the_limit(limits)] == [1]


def test_a_job_has_one_reply() -> None:
    replies = [reply("a"), reply("b"), reply("b"), reply("x", status="failed")]

    assert not_answered_once(["a", "b", "c", "x"], replies) == {"b": 2, "c": 0}


def test_a_failure_is_no_answer_and_drained_is_when_the_last_has_one() -> None:
    replies = [reply("a", 5), reply("b", 50), reply("c", 40, status="failed")]

    assert unanswered(["a", "b", "c"], replies, 10) == {"b", "c"}
    assert drained(["a", "b"], replies, 30) == 20
    assert drained(["a"], replies, 30) == 0
    assert drained(["a", "c"], replies, 30) == float("inf")


@pytest.mark.parametrize("kind", KINDS)
def test_the_simulator_can_play_every_outage(kind: str, tmp_path: Path) -> None:
    path, size = tmp_path / "faults.toml", Size()
    poison = poisoned(jobs(size.jobs, ("work",)), size.poison)
    path.write_text(script(size, kind, poison))

    down, always, often = load_script(path).faults

    assert (down.kind, down.from_seconds, down.until_seconds) == (FaultKind(kind), 10, 40)
    assert len(always.jobs) == size.poison
    assert often.share == 0.3


def test_the_simulator_can_play_ten_recoveries_and_its_server_is_cold_after_each(
    tmp_path: Path,
) -> None:
    path, size = tmp_path / "faults.toml", ramp.FULL
    path.write_text(ramp.script(size))

    played = load_script(path)

    assert [(each.from_seconds, each.until_seconds) for each in played.faults] == size.outages
    assert len(played.faults) == 10
    assert played.overload is not None
    assert (played.overload.capacity, played.overload.above) == (size.capacity, 0.5)


def test_the_simulator_can_play_two_lanes_that_die_one_within_the_other(tmp_path: Path) -> None:
    path, size = tmp_path / "faults.toml", steps_down.FULL
    path.write_text(steps_down.script(size))

    first, second = load_script(path).faults

    assert (first.models, second.models) == (("first",), ("second",))
    assert first.from_seconds < second.from_seconds
    assert (second.until_seconds or 0) < (first.until_seconds or 0)


def test_calls_that_run_at_once_are_counted_within_a_time() -> None:
    calls = [call(0.0, ended=3.0), call(1.0, ended=2.0), call(2.5, ended=9.0), call(4.0)]

    assert most_in_flight(calls, 0.0, 10.0) == 2
    assert most_in_flight(calls, 2.1, 2.4) == 1
    assert most_in_flight(calls, 20.0, 30.0) == 1
    assert most_in_flight(calls[:3], 20.0, 30.0) == 0
