"""A worker whose jobs leave a lane that does not answer them for the next rung of their route."""

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from memory_fleet import NAMES, MemoryFleet
from samples import NOW, job, lane
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas import headers
from tollway_schemas.codec import decode, encode
from tollway_schemas.command import Action, Command
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import FailureClass
from tollway_schemas.history import JobHistory
from tollway_schemas.job import Job, Priority
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import OutputSchema
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.envelopes import instant
from tollway_workers.pipeline.admit import Admission
from tollway_workers.pipeline.stand_ins.rule import RouteRule

_DOWN = ProviderFailure(failure_class=FailureClass.TRANSIENT, message="no", status=500)
_TOO_LONG = ProviderFailure(failure_class=FailureClass.CONTEXT_LENGTH, message="too long")
_REFUSED = ProviderFailure(failure_class=FailureClass.AUTH, message="no", status=401)
_ROUTE = RouteSettings(lanes=("main", "other"))
_LIMITS = {"requests_per_minute": 600, "burst": 10}


def fleet_of(
    first: Turn, *second: Turn, route: RouteSettings = _ROUTE, **limits: Any
) -> MemoryFleet:
    """A fleet whose first lane says `first` to every call."""
    lanes = {
        lane("main", **_LIMITS): ScriptedProvider([first]),
        lane("other", **(_LIMITS | limits)): ScriptedProvider(second),
    }
    return MemoryFleet(lanes, {"extract": route})


def calls_of(fleet: MemoryFleet, name: str) -> list[str]:
    provider = fleet.lanes[name].provider
    assert isinstance(provider, ScriptedProvider)
    return [call.call_id for call in provider.calls]


def asks(number: int, **fields: Any) -> list[Job]:
    given = {"priority": Priority.INTERACTIVE, "seconds": 120.0, **fields}
    return [job(f"job-{each}", **given) for each in range(number)]


def admission(fleet: MemoryFleet, name: str = "main") -> Admission:
    return fleet.lanes[name].admission


async def test_interactive_jobs_of_a_broken_lane_are_answered_by_the_next() -> None:
    async with fleet_of(_DOWN) as fleet:
        await fleet.publish(*asks(40))
        await fleet.until(lambda: len(fleet.replies) == 40 and fleet.lag == 0)

    replies = fleet.replies.values()
    assert {(each.status, each.lane, each.provenance) for each in replies} == {
        ("completed", "other", Provenance.FALLBACK)
    }
    assert not fleet.dead_letters
    assert {each.waited for each in replies if not each.attempts[:-1]} <= {
        f"broken: {admission(fleet).breaker.reason}",
        f"probing: {admission(fleet).breaker.reason}",
    }
    assert fleet.metrics.registry.get_sample_value(
        "tollway_jobs_forwarded_total", {"lane": "other", "reason": "fallback", "tier": "none"}
    )


async def test_a_forwarded_job_says_where_it_was_and_why_it_left() -> None:
    async with fleet_of(completion()) as fleet:
        admission(fleet).break_lane(300.0)
        await fleet.publish(*asks(1))
        await fleet.until(lambda: "job-0" in fleet.replies)

    (sent,) = fleet.broker.records(NAMES.lane("other", Priority.INTERACTIVE))
    history = decode(JobHistory, (headers.get(sent.headers, headers.HISTORY) or "").encode())
    (visit,) = history.visits
    assert (visit.lane, visit.reason) == ("main", "broken: an operator broke it")
    assert headers.get(sent.headers, headers.HOPS) == "1"
    assert fleet.replies["job-0"].waited == "broken: an operator broke it"
    assert fleet.journal[0].waited == "broken: an operator broke it"


async def test_jobs_of_a_parked_lane_leave_too() -> None:
    async with fleet_of(_REFUSED) as fleet:
        await fleet.publish(*asks(5))
        await fleet.until(lambda: len(fleet.replies) == 5)

    assert {each.provenance for each in fleet.replies.values()} == {Provenance.FALLBACK}


async def test_bulk_jobs_wait_for_their_lane_and_go_on_where_it_recovers() -> None:
    async with fleet_of(completion()) as fleet:
        admission(fleet).break_lane(30.0)
        await fleet.publish(*asks(5, priority=Priority.BULK, seconds=3600.0))
        await fleet.until(lambda: fleet.worker.dispatcher.held("main") == 5)
        await fleet.until(lambda: len(fleet.replies) == 5)
        took = fleet.clock.now() - NOW

    replies = fleet.replies.values()
    assert {(each.lane, each.provenance) for each in replies} == {("main", Provenance.LIVE)}
    assert {each.waited for each in replies} == {"broken: an operator broke it"}
    assert took >= 30.0


async def test_bulk_jobs_leave_once_their_deadline_would_pass_in_line() -> None:
    fleet = fleet_of(completion(), requests_per_minute=6000)
    async with fleet:
        admission(fleet).break_lane(3600.0)
        # Ten a second if it recovered: those behind the first 200 are late, and they alone.
        await fleet.publish(*asks(300, priority=Priority.BULK, seconds=21.0))
        await fleet.until(lambda: len(fleet.replies) >= 100, step=0.02)
        left = len(calls_of(fleet, "other"))
        waits = fleet.worker.dispatcher.held("main")
        early = fleet.clock.now() - NOW < 10.0

    assert early
    assert left + waits == 300
    assert waits > 0


async def test_a_pause_moves_no_job() -> None:
    async with fleet_of(completion()) as fleet:
        pause = Command(
            action=Action.PAUSE,
            lane="main",
            issued_at=instant(NOW),
            expires_at=instant(NOW + 60),
        )
        fleet.worker.operators.apply([(b"pause", encode(pause))])
        await fleet.publish(*asks(3))
        await fleet.until(lambda: fleet.clock.now() - NOW > 20)
        moved = calls_of(fleet, "other")
        await fleet.until(lambda: len(fleet.replies) == 3)

    assert moved == []
    assert {each.waited for each in fleet.replies.values()} == {"paused: an operator paused it"}


async def test_jobs_leave_no_faster_than_the_next_lane_has_room() -> None:
    async with fleet_of(completion(), requests_per_minute=120) as fleet:
        admission(fleet).break_lane(3600.0)
        await fleet.publish(*asks(60))
        await fleet.until(lambda: len(fleet.replies) == 60)
        took = fleet.clock.now() - NOW

    # Two a second: half a minute for all of them, and none expired.
    assert took >= 25.0
    assert {each.lane for each in fleet.replies.values()} == {"other"}


async def test_a_job_whose_second_lane_breaks_returns_to_the_first_once() -> None:
    fleet = fleet_of(completion(), _DOWN)
    async with fleet:
        admission(fleet).break_lane(5.0)
        await fleet.publish(*asks(20))
        await fleet.until(lambda: len(fleet.replies) == 20 and fleet.lag == 0)

    replies = fleet.replies.values()
    assert {(each.lane, each.provenance) for each in replies} == {("main", Provenance.LIVE)}
    back = fleet.broker.records(NAMES.lane("main", Priority.INTERACTIVE))
    assert {headers.get(each.headers, headers.HOPS) for each in back} <= {"2"}


async def test_a_job_that_takes_live_answers_alone_waits() -> None:
    async with fleet_of(completion()) as fleet:
        admission(fleet).break_lane(20.0)
        await fleet.publish(*asks(1, accept=(Provenance.LIVE,)))
        await fleet.until(lambda: "job-0" in fleet.replies)

    assert fleet.replies["job-0"].provenance is Provenance.LIVE
    assert calls_of(fleet, "other") == []


async def test_a_job_that_takes_fallback_alone_goes_to_the_second_lane_at_once() -> None:
    async with fleet_of(completion()) as fleet:
        await fleet.publish(*asks(1, accept=(Provenance.FALLBACK,)))
        await fleet.until(lambda: "job-0" in fleet.replies)

    assert fleet.replies["job-0"].provenance is Provenance.FALLBACK
    assert calls_of(fleet, "main") == []


async def test_what_is_too_long_for_one_model_is_asked_of_the_next_once() -> None:
    async with fleet_of(_TOO_LONG) as fleet:
        await fleet.publish(*asks(1, priority=Priority.BULK))
        await fleet.until(lambda: "job-0" in fleet.replies)
    async with fleet_of(_TOO_LONG, _TOO_LONG) as both:
        await both.publish(*asks(1, priority=Priority.BULK))
        await both.until(lambda: bool(both.dead_letters))

    assert fleet.replies["job-0"].provenance is Provenance.FALLBACK
    letter = decode(DeadLetter, both.dead_letters[0].value)
    assert [each.lane for each in letter.attempts] == ["main", "other"]


async def test_another_model_is_asked_the_job_s_own_request_and_re_asked_itself() -> None:
    schema = OutputSchema.model_validate({"json_schema": {"type": "object", "required": ["a"]}})
    fleet = fleet_of(completion("{}"), completion("{}"), completion('{"a": 1}'))
    async with fleet:
        await fleet.publish(*asks(1, output=schema))
        await fleet.until(lambda: "job-0" in fleet.replies)

    reply = fleet.replies["job-0"]
    assert [(each.lane, each.reask) for each in reply.attempts] == [
        ("main", False),
        ("main", True),
        ("other", False),
        ("other", True),
    ]
    assert reply.provenance is Provenance.FALLBACK
    provider = fleet.lanes["other"].provider
    assert isinstance(provider, ScriptedProvider)
    first = orjson.loads(provider.calls[0].body)["messages"]
    assert [each["content"] for each in first] == ["hello"]


async def test_a_job_beyond_the_limits_of_its_lane_goes_to_the_next() -> None:
    fleet = MemoryFleet(
        {
            lane("main", tokens_per_minute=2000): ScriptedProvider(),
            lane("other", **_LIMITS): ScriptedProvider(),
        },
        {"extract": _ROUTE},
    )
    async with fleet:
        request = job().request.model_copy(update={"max_output_tokens": 100_000})
        await fleet.publish(*asks(1, request=request, priority=Priority.BULK))
        await fleet.until(lambda: "job-0" in fleet.replies)

    assert fleet.replies["job-0"].lane == "other"


async def test_the_lane_that_recovers_has_the_new_jobs_again() -> None:
    async with fleet_of(completion()) as fleet:
        admission(fleet).break_lane(20.0)
        await fleet.publish(*asks(10))
        await fleet.until(lambda: len(fleet.replies) == 10)
        await fleet.until(lambda: fleet.clock.now() - NOW > 40)
        await fleet.publish(*(job(f"later-{n}", priority=Priority.INTERACTIVE) for n in range(10)))
        await fleet.until(lambda: len(fleet.replies) == 20)

    lanes = {name: each.lane for name, each in fleet.replies.items()}
    assert {lane for name, lane in lanes.items() if name.startswith("job")} == {"other"}
    assert {lane for name, lane in lanes.items() if name.startswith("later")} == {"main"}


async def test_a_second_lane_that_broke_and_has_no_job_is_tried_again() -> None:
    fleet = fleet_of(completion())
    async with fleet:
        admission(fleet).break_lane(3600.0)
        admission(fleet, "other").break_lane(10.0)
        await fleet.publish(*asks(10))
        await fleet.until(lambda: len(fleet.replies) == 10)

    assert {each.lane for each in fleet.replies.values()} == {"other"}


class RuledFleet(MemoryFleet):
    """A fleet whose route has a rule."""

    rules: ClassVar[Mapping[str, RouteRule]] = {"extract": RouteRule(lambda _: "by rule", 5.0)}


def ruled(**route: Any) -> RuledFleet:
    lanes = {lane(name, **_LIMITS): ScriptedProvider([_DOWN]) for name in ("main", "other")}
    return RuledFleet(
        lanes, {"extract": _ROUTE.model_copy(update={"rule": "shop:answer", **route})}
    )


async def test_with_every_lane_down_the_rule_answers_and_who_takes_no_rule_waits() -> None:
    async with ruled() as fleet:
        for name in ("main", "other"):
            admission(fleet, name).break_lane(3600.0)
        await fleet.publish(*asks(5))
        await fleet.publish(job("live", priority=Priority.INTERACTIVE, accept=(Provenance.LIVE,)))
        await fleet.until(lambda: len(fleet.replies) == 5)
        waits = fleet.worker.dispatcher.held("main")
        took = fleet.clock.now() - NOW

    made = {name: each.provenance for name, each in fleet.replies.items() if name != "live"}
    assert set(made.values()) == {Provenance.RULE}
    assert waits == 1
    assert took < 10.0


async def test_a_job_that_may_not_leave_asks_the_rule_before_it_expires_without_an_answer() -> None:
    fleet = ruled(fallback="never")
    async with fleet:
        admission(fleet).break_lane(3600.0)
        await fleet.publish(*asks(1, seconds=30.0))
        await fleet.until(lambda: "job-0" in fleet.replies)
        took = fleet.clock.now() - NOW

    assert fleet.replies["job-0"].provenance is Provenance.RULE
    assert 29.0 <= took <= 32.0
