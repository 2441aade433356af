"""The sweep through the jobs that wait for a lane: who is asked, and who goes where."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from job_owner import JobOwnerDouble
from manual_clock import ManualClock
from memory_beats import memory_beat
from memory_fleet import NAMES
from samples import NOW, admission_of, job, lane, progress
from scripted_provider import ScriptedProvider

from tollway_schemas.heartbeat import Heartbeat
from tollway_schemas.job import Priority
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.outcome import Decision, Forwarded, RetryLater, StandIn
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.call import Lane
from tollway_workers.pipeline.dispatch import Dispatcher
from tollway_workers.pipeline.queue import Fairness
from tollway_workers.pipeline.read import JobReader, ReadSettings
from tollway_workers.pipeline.sweep import Surroundings, Sweep

Beats = Callable[[], Sequence[Heartbeat] | None]


class Stage:
    """Two lanes, the first of which is broken, and the jobs of one route."""

    def __init__(
        self, *, beats: Beats | None = None, other: int | None = None, **route: Any
    ) -> None:
        """`other`: tokens a minute of the second lane."""
        self.clock = ManualClock(NOW)
        limits = {"main": {"requests_per_minute": 600}, "other": {"requests_per_minute": 600}}
        if other is not None:
            limits["other"] = {"tokens_per_minute": other}
        self.lanes = {
            name: Lane(
                config := lane(name, **given),
                admission_of(config, self.clock),
                ScriptedProvider(),
            )
            for name, given in limits.items()
        }
        self.route = RouteSettings.model_validate({"lanes": ("main", "other"), **route})
        admissions = {name: each.admission for name, each in self.lanes.items()}
        owner = JobOwnerDouble(may=lambda _: False)
        self.dispatcher = Dispatcher(admissions, self.clock, owner, Fairness())
        self.left: list[tuple[JobProgress, Decision]] = []
        self.paused: set[str] = set()
        self.asked = 0
        self.sweep = Sweep(
            self.dispatcher,
            self._reader(),
            Surroundings(beats=beats or self._beats, outstanding=dict),
            self.clock,
            paused=lambda name: name in self.paused,
            end=lambda job, decided: self.left.append((job, decided)),
        )
        admissions["main"].break_lane(3600.0)

    def wait(self, number: int = 1, *, name: str = "main", **fields: Any) -> list[JobProgress]:
        """Jobs that wait for a lane."""
        given = {"priority": Priority.INTERACTIVE, **fields}
        jobs = [progress(job(f"{n}", **given), route=self.route) for n in range(number)]
        for each in jobs:
            each.lane = name
            self.dispatcher.offer(each)
        return jobs

    def look(self, times: int = 1) -> list[Decision]:
        """Let so many looks pass; what was decided in them."""
        before = len(self.left)
        for _ in range(times):
            self.clock.advance(0.5)
            self.sweep.look()
        return [decided for _, decided in self.left[before:]]

    def _beats(self) -> list[Heartbeat]:
        self.asked += 1
        return [memory_beat(self.lanes, dict.fromkeys(self.lanes, 0), self.clock.monotonic())]

    def _reader(self) -> JobReader:
        return JobReader(
            ReadSettings(
                jobs={NAMES.jobs("extract", p): ("extract", p) for p in Priority},
                lanes={NAMES.lane(name, p): (name, p) for name in self.lanes for p in Priority},
                routes={"extract": self.route},
                most_bytes=10**6,
            )
        )


def test_where_nobody_may_leave_nothing_is_asked() -> None:
    stage = Stage()
    empty = stage.look(10)
    stage.wait(3, priority=Priority.BULK)

    assert empty == stage.look(10) == []
    assert stage.asked == 0


def test_jobs_leave_at_the_free_rate_and_no_faster() -> None:
    stage = Stage()
    stage.wait(100)

    decided = [len(stage.look()) for _ in range(10)]

    # Ten a second; at first a second of it may be saved up.
    assert sum(decided) == pytest.approx(50, abs=11)
    assert all(isinstance(each, Forwarded) for _, each in stage.left)
    assert stage.dispatcher.held("main") == 100 - sum(decided)


def test_who_leaves_is_the_first_in_line() -> None:
    stage = Stage()
    jobs = stage.wait(40)

    stage.look(3)

    assert [each for each, _ in stage.left] == jobs[: len(stage.left)]


def test_while_nothing_is_known_of_other_workers_a_job_waits_and_asks_no_rule() -> None:
    stage = Stage(beats=lambda: None, rule="shop:answer")
    stage.wait()

    assert stage.look(4) == []


def test_where_no_lane_has_room_the_rule_is_asked() -> None:
    stage = Stage(beats=list, rule="shop:answer")
    (waiting,) = stage.wait()

    assert stage.look() == [StandIn(RetryLater(0.0, behind=True))]
    assert waiting.waited == "broken: an operator broke it"


def test_jobs_of_a_partition_that_goes_elsewhere_are_left_to_its_next_owner() -> None:
    stage = Stage()
    released, lost = stage.wait(2)
    released.record.tracker.releasing = True
    lost.record.tracker.owned = False

    assert stage.look(4) == []


def test_those_that_follow_a_copy_are_not_asked() -> None:
    stage = Stage()
    follower = progress(job(priority=Priority.INTERACTIVE), route=stage.route)
    stage.dispatcher.follow(follower)

    assert stage.look(4) == []


def test_a_job_whose_retry_is_not_due_leaves_too_and_waits_there_for_nothing() -> None:
    stage = Stage()
    (waiting,) = stage.wait()
    stage.dispatcher.take(lambda _: True)
    waiting.not_before = NOW + 300
    stage.dispatcher.retry(waiting, 300.0)

    (decided,) = stage.look(3)

    assert isinstance(decided, Forwarded)
    assert decided.not_before == 0.0


def test_a_pause_moves_nobody() -> None:
    stage = Stage()
    stage.paused.add("main")
    stage.wait()

    assert stage.look(4) == []


def test_a_job_too_large_for_the_other_lane_stays_and_those_behind_it_leave() -> None:
    stage = Stage(other=3000)
    huge = job().request.model_copy(update={"max_output_tokens": 10**6})
    stage.wait(1, request=huge)
    stage.wait(3)

    stage.look(6)

    assert {each.job.request.max_output_tokens for each, _ in stage.left} == {None}
    assert stage.dispatcher.held("main") >= 1
