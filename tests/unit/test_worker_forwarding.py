"""Jobs that come to a worker another way than by their jobs topic, or leave it for elsewhere."""

from typing import Any

import orjson
import pytest
from memory_fleet import NAMES, MemoryFleet
from samples import NOW, attempt, job, lane, progress
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas import headers
from tollway_schemas.codec import decode
from tollway_schemas.dead_letter import BadAnswer, DeadLetter
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Priority
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import OutputSchema
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.progress import MOST_HOPS

ROUTE = RouteSettings(lanes=("main",))
_RETIRED = NAMES.lane("old", Priority.BULK)


def fleet_of(*turns: Turn, concurrency: int = 4, **more: Any) -> MemoryFleet:
    provider = ScriptedProvider(turns)
    return MemoryFleet({lane(concurrency=concurrency): provider}, {"extract": ROUTE}, **more)


def provider_of(fleet: MemoryFleet) -> ScriptedProvider:
    provider = fleet.lanes["main"].provider
    assert isinstance(provider, ScriptedProvider)
    return provider


def letters(fleet: MemoryFleet) -> list[DeadLetter]:
    return [decode(DeadLetter, each.value) for each in fleet.dead_letters]


async def test_a_job_on_a_lane_topic_goes_on_with_the_attempts_it_brings() -> None:
    subject = progress()
    subject.attempts += [attempt(n, FailureClass.TRANSIENT) for n in (1, 2)]

    async with fleet_of() as fleet:
        await fleet.send_on(subject, "main")
        await fleet.until(lambda: "job-1" in fleet.replies and fleet.lag == 0)

    assert [call.call_id for call in provider_of(fleet).calls] == ["job-1/1/3"]
    assert [each.number for each in fleet.replies["job-1"].attempts] == [1, 2, 3]


async def test_calls_that_were_left_out_on_the_way_are_numbered_past() -> None:
    subject = progress()
    subject.attempts += [attempt(n, FailureClass.CONNECT, charged=False) for n in range(1, 13)]

    async with fleet_of() as fleet:
        await fleet.send_on(subject, "main")
        await fleet.until(lambda: "job-1" in fleet.replies)

    assert [call.call_id for call in provider_of(fleet).calls] == ["job-1/1/13"]
    assert fleet.replies["job-1"].attempts[-1].number == 13


async def test_the_attempt_budget_holds_across_workers() -> None:
    no = ProviderFailure(failure_class=FailureClass.TRANSIENT, message="no", status=500)
    subject = progress()
    subject.attempts += [attempt(n, no.failure_class) for n in (1, 2)]
    subject.doubt = 1e-6

    async with fleet_of(no) as fleet:
        await fleet.send_on(subject, "main")
        await fleet.until(lambda: bool(fleet.dead_letters))

    (letter,) = letters(fleet)
    assert [each.number for each in letter.attempts] == [1, 2, 3]


async def test_no_call_starts_before_the_instant_a_job_brings() -> None:
    async with fleet_of() as fleet:
        await fleet.send_on(progress(), "main", not_before=NOW + 7)
        await fleet.publish(job("other"))
        await fleet.until(lambda: "job-1" in fleet.replies)

    started = {reply.job_id: reply.attempts[0].started_at for reply in fleet.replies.values()}
    assert started["job-1"].timestamp() >= NOW + 7
    assert started["other"].timestamp() < NOW + 5


async def test_a_job_that_may_not_be_called_before_its_deadline_expires_at_it() -> None:
    async with fleet_of() as fleet:
        await fleet.send_on(progress(job(seconds=5)), "main", not_before=NOW + 100)
        await fleet.until(lambda: "job-1" in fleet.replies)
        answered = fleet.clock.now()

    failure = fleet.replies["job-1"].failure
    assert failure is not None
    assert failure.failure_class is FailureClass.EXPIRED
    assert answered < NOW + 6
    assert not provider_of(fleet).calls


async def test_here_the_topic_decides_the_lane_and_not_the_route() -> None:
    second = ScriptedProvider()
    fleet = MemoryFleet(
        {lane(): ScriptedProvider(), lane("second"): second},
        {"extract": ROUTE, "other": RouteSettings(lanes=("second",))},
    )

    async with fleet:
        await fleet.send_on(progress(), "second")
        await fleet.until(lambda: "job-1" in fleet.replies)

    assert fleet.replies["job-1"].lane == "second"
    assert [call.call_id for call in second.calls] == ["job-1/1/1"]


async def test_a_job_that_was_to_be_reasked_is_reasked_by_whoever_gets_it() -> None:
    schema = OutputSchema.model_validate({"json_schema": {"type": "object", "required": ["a"]}})
    subject = progress(job(output=schema))
    subject.attempts.append(attempt(1, FailureClass.BAD_OUTPUT))
    subject.bad_answers.append(BadAnswer(attempt=1, text="{}", problems=("a: is missing",)))

    async with fleet_of(completion('{"a": 1}')) as fleet:
        await fleet.send_on(subject, "main")
        await fleet.until(lambda: "job-1" in fleet.replies)

    (call,) = provider_of(fleet).calls
    said = [each["content"] for each in orjson.loads(call.body)["messages"]]
    assert said[1] == "{}"
    assert "a: is missing" in said[2]
    assert fleet.replies["job-1"].provenance is not Provenance.LIVE
    assert fleet.replies["job-1"].attempts[-1].reask


@pytest.mark.parametrize("not_before", [0.0, NOW + 8])
async def test_a_retired_lane_forwards_what_it_holds_to_the_route_s_first(
    not_before: float,
) -> None:
    subject = progress()
    subject.lane = "old"
    subject.attempts.append(attempt(1, FailureClass.TRANSIENT, lane="old"))
    async with fleet_of(retired=("old",)) as fleet:
        await fleet.send_on(subject, "old", not_before=not_before)
        await fleet.until(lambda: "job-1" in fleet.replies and fleet.lag == 0)
        took = fleet.clock.now()

    (sent,) = fleet.broker.records(NAMES.lane("main", Priority.BULK))
    assert headers.get(sent.headers, headers.HOPS) == "1"
    assert sent.value == subject.record.value
    assert [each.number for each in fleet.replies["job-1"].attempts] == [1, 2]
    assert took >= not_before
    assert fleet.metrics.registry.get_sample_value(
        "tollway_jobs_forwarded_total", {"lane": "main", "reason": "retired", "tier": "none"}
    )


async def test_what_was_forwarded_is_committed_at_once() -> None:
    fleet = fleet_of(retired=("old",))
    async with fleet:
        await fleet.settle()
        fleet.clock.advance(0.1)
        await fleet.settle()
        provider_of(fleet).hold.clear()
        await fleet.send_on(progress(), "old")
        await fleet.settle()
        # Not after the quarter of a second that other outcomes wait for.
        fleet.clock.advance(0.05)
        await fleet.settle()
        committed = fleet.broker.committed(NAMES.worker_group)
        done = sum(offset for (topic, _), (offset, _) in committed.items() if topic == _RETIRED)
        provider_of(fleet).hold.set()

    assert done == 1


async def test_a_job_that_was_sent_around_too_often_is_given_up() -> None:
    async with fleet_of(retired=("old",)) as fleet:
        await fleet.send_on(progress(job("last")), "old", hops=str(MOST_HOPS - 1))
        await fleet.send_on(progress(), "old", hops=str(MOST_HOPS))
        await fleet.until(lambda: len(fleet.replies) == 2 and fleet.lag == 0)

    (letter,) = letters(fleet)
    assert (letter.job_id, letter.failure.failure_class) == ("job-1", FailureClass.HOPS_EXHAUSTED)
    assert fleet.replies["last"].status == "completed"


async def test_a_served_lane_calls_a_job_however_far_it_has_come() -> None:
    async with fleet_of() as fleet:
        await fleet.send_on(progress(), "main", hops=str(MOST_HOPS + 1))
        await fleet.until(lambda: "job-1" in fleet.replies)

    assert fleet.replies["job-1"].status == "completed"


@pytest.mark.parametrize("name", ["old", "main"])
async def test_a_job_whose_route_is_gone_is_a_dead_letter(name: str) -> None:
    subject = progress(job(route="gone"))
    subject.attempts.append(attempt(1, FailureClass.TRANSIENT))

    async with fleet_of(retired=("old",)) as fleet:
        await fleet.send_on(subject, name)
        await fleet.until(lambda: "job-1" in fleet.replies and fleet.lag == 0)

    (letter,) = letters(fleet)
    assert letter.failure.failure_class is FailureClass.UNKNOWN_ROUTE
    assert (letter.route, len(letter.attempts)) == ("gone", 1)
    assert not provider_of(fleet).calls


@pytest.mark.parametrize(("value", "history"), [(b"{", "{}"), (None, '{"attempts": 7}')])
async def test_what_no_worker_can_have_sent_is_a_dead_letter_of_its_bytes(
    value: bytes | None, history: str
) -> None:
    subject = progress()
    if value is not None:
        subject.record = subject.record._replace(value=value)

    async with fleet_of() as fleet:
        await fleet.send_on(subject, "main", history=history)
        await fleet.until(lambda: bool(fleet.dead_letters) and fleet.lag == 0)

    (letter,) = fleet.dead_letters
    assert letter.value == subject.record.value
    assert headers.get(letter.headers, headers.FAILURE_CLASS) == "undecodable"
    assert headers.get(letter.headers, headers.ROUTE) == "extract"


async def test_headers_of_ours_on_a_jobs_topic_are_not_believed() -> None:
    subject = progress()
    forged = headers.encode(
        ((headers.ATTEMPTS, "4"), (headers.HOPS, "8"), (headers.NOT_BEFORE, f"{NOW + 50}"))
    )

    async with fleet_of() as fleet:
        value = subject.record.value
        assert value is not None
        await fleet.publish_raw(value, "extract", headers=forged)
        await fleet.until(lambda: "job-1" in fleet.replies)

    assert [each.number for each in fleet.replies["job-1"].attempts] == [1]
    assert fleet.clock.now() < NOW + 5


def overloaded(retry_after: float) -> ProviderFailure:
    return ProviderFailure(
        failure_class=FailureClass.OVERLOADED, message="no", status=503, retry_after=retry_after
    )


async def test_a_long_wait_leaves_memory_with_what_was_tried_and_holds_up_no_offset() -> None:
    async with fleet_of(overloaded(40.0), completion()) as fleet:
        await fleet.publish(job())
        await fleet.until(lambda: len(fleet.broker.records(NAMES.retry(60.0))) == 1)
        await fleet.until(lambda: fleet.lag == 0)

    (waits,) = fleet.broker.records(NAMES.retry(60.0))
    due = headers.number(waits.headers, headers.DUE)
    assert due is not None
    assert NOW + 60 <= due < NOW + 62
    assert headers.get(waits.headers, headers.LANE) == "main"
    assert headers.get(waits.headers, headers.ATTEMPTS) == "1"
    assert len(fleet.journal) == 1
    assert not fleet.replies
    assert fleet.metrics.registry.get_sample_value(
        "tollway_jobs_forwarded_total", {"lane": "main", "reason": "retry", "tier": "60"}
    )


async def test_a_job_comes_back_from_its_retry_topic_and_goes_on() -> None:
    async with fleet_of(overloaded(40.0), completion()) as fleet:
        await fleet.publish(job())
        await fleet.until(lambda: "job-1" in fleet.replies and fleet.lag == 0, step=0.2)
        took = fleet.clock.now() - NOW

    attempts = fleet.replies["job-1"].attempts
    assert [each.failure_class for each in attempts] == [FailureClass.OVERLOADED, None]
    assert [call.call_id for call in provider_of(fleet).calls] == ["job-1/1/1", "job-1/1/2"]
    assert 60 <= took < 66
    assert fleet.relay.relayed == 1
    late = fleet.metrics.registry.get_sample_value("tollway_relay_lateness_seconds_sum")
    assert late is not None
    assert late < 2.0


async def test_a_wait_past_all_retry_topics_is_made_of_several_stays() -> None:
    async with fleet_of(overloaded(100.0), completion(), tiers=(15.0, 60.0)) as fleet:
        await fleet.publish(job())
        await fleet.until(lambda: "job-1" in fleet.replies, step=0.2)
        started = fleet.replies["job-1"].attempts[-1].started_at.timestamp()

    assert len(fleet.broker.records(NAMES.retry(60.0))) == 2
    assert NOW + 100 <= started < NOW + 130


async def test_a_drain_leaves_the_relays_group_too() -> None:
    async with fleet_of() as fleet:
        await fleet.until(lambda: fleet.tiers.owned > 0)

    assert fleet.tiers.owned == 0


async def test_where_no_retry_topic_is_short_enough_a_job_waits_in_memory() -> None:
    async with fleet_of(overloaded(12.0), completion(), tiers=(60.0,)) as fleet:
        await fleet.publish(job(seconds=20))
        await fleet.until(lambda: "job-1" in fleet.replies)

    assert fleet.replies["job-1"].status == "completed"
    assert not fleet.broker.records(NAMES.retry(60.0))


async def test_a_full_lane_s_own_topics_are_not_read_either() -> None:
    provider = ScriptedProvider()
    lanes = {lane(concurrency=1): provider, lane("other", concurrency=1): ScriptedProvider()}
    # Each lane may take half of it, and a topic half of that: about 500 of these jobs.
    fleet = MemoryFleet(lanes, {"extract": ROUTE}, memory_bytes=9_000_000)
    provider.hold.clear()
    async with fleet:
        for number in range(1_300):
            await fleet.send_on(progress(job(f"job-{number}")), "main")
        await fleet.until(lambda: fleet.worker.dispatcher.held("main") >= 400)
        await fleet.settle()
        for number in range(700):
            await fleet.send_on(progress(job(f"more-{number}")), "main")
        await fleet.settle()
        held = fleet.worker.dispatcher.held("main")
        fleet.worker.drain()
        provider.hold.set()

    assert held <= 1_000
