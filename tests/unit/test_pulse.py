"""What a worker's heartbeat says of its lanes."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
from manual_clock import ManualClock
from samples import NOW, admission_of, lane, progress

from tollway_schemas.codec import decode, encode
from tollway_schemas.command import Action, Command
from tollway_schemas.failure import FailureClass
from tollway_schemas.heartbeat import Heartbeat, LaneBeat
from tollway_workers.app.gauges import Watched
from tollway_workers.app.pulse import LaneDescription, Pulse
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.envelopes import instant
from tollway_workers.lanes.lane_wait import reason_of
from tollway_workers.operators.commands import Commands
from tollway_workers.ownership.owned_partitions import Found, OwnedPartitions
from tollway_workers.ownership.user_data import Orders
from tollway_workers.pipeline.admit import Permit

_JOBS, _OTHERS = "tollway.jobs.extract.bulk", "tollway.jobs.other.bulk"
_RETIRED = "tollway.lanes.old.bulk"


class Stage:
    """A worker with one lane, of which a test says what it has and does."""

    def __init__(self) -> None:
        self.clock, self.commands, self.waiting = ManualClock(NOW), Commands(), 0
        self.admission = admission_of(lane(concurrency=2, requests_per_minute=600), self.clock)
        self.partitions = OwnedPartitions(1)
        self.backlog: Any = SimpleNamespace(ends={})
        self.stalled: dict[tuple[str, int], float] = {}
        dispatcher = SimpleNamespace(held=lambda name: self.waiting)
        parts: dict[str, Any] = {
            "source": SimpleNamespace(
                partitions=self.partitions,
                committer=SimpleNamespace(holds_lease=True),
                transactions=SimpleNamespace(stalled=self.stalled),
            ),
            "worker": SimpleNamespace(draining=False, dispatcher=dispatcher),
            "lanes": {"main": SimpleNamespace(admission=self.admission)},
            "liveness": None,
        }
        watched = Watched(
            **parts | {"backlog": self.backlog, "commands": self.commands},
            retired=["old"],
            configuration=lambda: "c0ffee",
        )
        descriptions = {
            "main": LaneDescription("account", frozenset({_JOBS}), ("extract",)),
            "old": LaneDescription("old", frozenset({_RETIRED})),
        }
        follower: Any = SimpleNamespace(applied=7)
        self._pulse = Pulse(watched, descriptions, follower, self.commands, self.clock)
        self._pulse.worker = "one"

    def call(self) -> None:
        permit = self.admission.admit(progress())
        assert isinstance(permit, Permit)

    def beat(self) -> Heartbeat:
        """As others read it."""
        return decode(Heartbeat, encode(self._pulse.beat()))

    def lane(self) -> LaneBeat:
        (beat,) = self.beat().lanes
        return beat


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_each_limit_is_told_with_what_the_contract_allows_and_what_was_used(stage: Stage) -> None:
    stage.call()
    stage.call()

    told = {use.name: (use.used, use.most, use.period) for use in stage.lane().limits}

    assert told == {"concurrency": (2, 2, None), "requests_per_minute": (2, 600, 60)}


def test_a_heartbeat_says_the_settings_of_its_worker_as_dead_letters_do(stage: Stage) -> None:
    assert stage.beat().configuration == "c0ffee"


def test_a_rate_s_use_is_that_of_its_last_minute(stage: Stage) -> None:
    stage.call()
    stage.beat()
    stage.clock.advance(59.0)
    still = stage.lane().limits[1].used

    stage.clock.advance(3.0)

    assert (still, stage.lane().limits[1].used) == (1, 0)


def binding(lane: LaneBeat) -> list[str]:
    return [limit.name for limit in lane.limits if limit.binds]


def test_a_limit_binds_only_where_a_job_waits_for_it(stage: Stage) -> None:
    stage.call()
    stage.call()
    stage.admission.admit(progress())
    nobody_waits = binding(stage.lane())
    stage.waiting = 1
    somebody_waits = binding(stage.lane())

    command = Command(
        action=Action.PAUSE, lane="main", issued_at=instant(NOW), expires_at=instant(NOW + 60)
    )
    stage.commands.apply(b"key", encode(command), NOW)
    paused = stage.lane()

    assert (nobody_waits, somebody_waits, binding(paused)) == ([], ["concurrency"], [])
    assert (paused.state, paused.paused_until) == ("paused", instant(NOW + 60))


def test_work_is_that_of_the_lane_s_own_topics(stage: Stage) -> None:
    places = {(_JOBS, 0): Found(offset=100), (_OTHERS, 0): Found(offset=100)}
    stage.partitions.assign(places, Orders(partitions={}), stage.clock.boottime())
    tracker = stage.partitions.tracker((_JOBS, 0))
    for offset in range(100, 104):
        tracker.start(offset, NOW + offset)
    tracker.finish(101)
    stage.backlog.ends = {(_JOBS, 0): 110, (_OTHERS, 0): 500}

    beat = stage.beat()

    (main,) = beat.lanes
    assert (main.outstanding, main.finished, main.oldest) == (9, 1, instant(NOW + 100))
    assert (beat.worker, beat.partitions, beat.commands) == ("one", 2, 7)


def test_a_retired_lane_is_told_of_while_it_holds_something(stage: Stage) -> None:
    without = stage.beat().lanes
    found = {(_RETIRED, 0): Found(offset=100)}
    stage.partitions.assign(found, Orders(partitions={}), stage.clock.boottime())
    stage.backlog.ends = {(_RETIRED, 0): 107}

    _, old = stage.beat().lanes

    assert [each.lane for each in without] == ["main"]
    assert (old.lane, old.state, old.outstanding) == ("old", "retired", 7)


def test_a_lane_that_waits_tells_why_since_when_and_when_it_is_tried_again(stage: Stage) -> None:
    said = ProviderFailure(
        failure_class=FailureClass.RATE_LIMIT,
        message="quotes a prompt",
        status=429,
        provider_code="tokens",
        retry_after=86_400.0,
    )
    open_ = stage.lane()
    stage.admission.on_failure(said.failure_class, said.retry_after, 0.0, reason_of(said, "m"))
    stage.clock.advance(10.0)
    held = stage.lane()
    command = Command(
        action=Action.PAUSE, lane="main", issued_at=instant(NOW), expires_at=instant(NOW + 60)
    )
    stage.commands.apply(b"key", encode(command), NOW)
    paused = stage.lane()

    assert (open_.reason, open_.since, open_.next_try) == (None, None, None)
    assert held.reason == "the provider limits the rate (HTTP 429, tokens)"
    assert (held.state, held.since, held.next_try, held.asked_until) == (
        "slowed",
        instant(NOW),
        instant(NOW + 300),
        instant(NOW + 86_400),
    )
    assert (paused.reason, paused.next_try) == ("an operator paused it", None)
    assert paused.routes == ("extract",)


@pytest.mark.parametrize("number", [1e30, -1e30, math.inf, -math.inf, math.nan, 2**63])
def test_no_number_keeps_a_worker_from_being_heard(stage: Stage, number: float) -> None:
    pool = stage.admission.quota.pools[0]
    stage.beat()
    pool.spent = pool.pace = pool.borne = pool.level = number
    stage.waiting = stage.admission.in_flight = 2**63
    places = {(_JOBS, 0): Found(offset=0)}
    stage.partitions.assign(places, Orders(partitions={}), stage.clock.boottime())
    stage.partitions.tracker((_JOBS, 0)).start(0, number)
    stage.backlog.ends[_JOBS, 0] = 2**63

    beat = stage.beat()

    assert beat.lanes[0].waiting == 2**53 - 1
    assert 0 <= beat.lanes[0].limits[1].used <= 1e15


def test_partitions_behind_an_open_transaction_are_told_of_their_lane(stage: Stage) -> None:
    stage.stalled |= {(_JOBS, 0): 12.0, (_OTHERS, 0): 60.0}

    assert stage.lane().behind_transactions == 1
