"""A whole worker in memory: nothing lost, nothing twice, in order, in time."""

import asyncio
from collections import Counter

import pytest
from memory_fleet import NAMES, MemoryFleet
from samples import job, lane
from scripted_provider import ScriptedProvider, completion

from tollway_schemas.codec import decode, encode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, Priority, ReplyAddress
from tollway_schemas.request import OutputSchema
from tollway_workers.config.shape.route import RetrySettings, RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.ownership import offset_map
from tollway_workers.providers.base import Completion, ProviderCall

pytestmark = pytest.mark.both_loops

ROUTE = RouteSettings(lanes=("main",))


def fleet_of(
    provider: ScriptedProvider, *, concurrency: int = 4, route: RouteSettings = ROUTE
) -> MemoryFleet:
    return MemoryFleet({lane(concurrency=concurrency): provider}, {"extract": route})


def jobs(count: int, **fields: object) -> list[Job]:
    return [job(f"job-{number:03}", **fields) for number in range(count)]  # type: ignore[arg-type]  # any field


def failing(failure_class: FailureClass, retry_after: float | None = None) -> ProviderFailure:
    return ProviderFailure(
        failure_class=failure_class, message="no", status=500, retry_after=retry_after
    )


def called(provider: ScriptedProvider) -> list[str]:
    return [call.call_id.partition("/")[0] for call in provider.calls]


async def test_every_job_is_answered_once_and_all_offsets_are_committed() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(*jobs(50))
        await fleet.until(lambda: len(fleet.replies) == 50 and fleet.lag == 0)

    assert Counter(called(provider)) == Counter(f"job-{n:03}" for n in range(50))
    assert len(fleet.broker.records(NAMES.replies)) == 50
    assert all(reply.status == "completed" for reply in fleet.replies.values())
    assert len(fleet.journal) == 50
    assert provider.closed
    assert fleet.sink.stopped


async def test_interactive_jobs_go_first_and_in_order() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider, concurrency=1)
    bulk = [job(f"bulk-{n}") for n in range(3)]
    urgent = [job(f"urgent-{n}", priority=Priority.INTERACTIVE) for n in range(3)]
    for each in [*bulk, *urgent]:
        await fleet.publish_raw(encode(each), "extract", each.priority, key=b"same")
    async with fleet:
        await fleet.until(lambda: len(fleet.replies) == 6)

    assert called(provider) == [each.id for each in [*urgent, *bulk]]


async def test_a_lane_at_its_limit_does_not_stop_another() -> None:
    busy, free = ScriptedProvider(), ScriptedProvider()
    busy.hold.clear()
    fleet = MemoryFleet(
        {lane("busy", concurrency=1): busy, lane("free", concurrency=1): free},
        {"slow": RouteSettings(lanes=("busy",)), "fast": RouteSettings(lanes=("free",))},
    )
    async with fleet:
        await fleet.publish(*(job(f"s{n}", route="slow") for n in range(1_500)))
        await fleet.publish(*(job(f"f{n}", route="fast") for n in range(20)))
        await fleet.until(lambda: len(fleet.replies) == 20)
        fleet.worker.drain()
        busy.hold.set()

    assert len(busy.calls) == 1
    assert set(fleet.replies) == {f"f{n}" for n in range(20)} | set(called(busy))


async def test_a_job_whose_deadline_passes_while_it_waits_is_answered_within_a_second() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider, concurrency=1)
    async with fleet:
        await fleet.publish(job("holder", seconds=1_000))
        await fleet.until(lambda: len(provider.calls) == 1)
        await fleet.publish(job("late", seconds=20))
        await fleet.until(lambda: fleet.worker.dispatcher.held("main") == 1)
        fleet.clock.advance(20 - fleet.clock.monotonic())
        await fleet.until(lambda: "late" in fleet.replies)
        answered = fleet.clock.monotonic()
        provider.hold.set()

    assert answered - 20 <= 1.0
    failure = fleet.replies["late"].failure
    assert failure is not None
    assert failure.failure_class is FailureClass.EXPIRED
    assert fleet.replies["late"].dead_letter
    assert len(fleet.dead_letters) == 1


async def test_a_job_that_is_read_after_its_deadline_is_never_called() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job("old", seconds=-1))
        await fleet.until(lambda: "old" in fleet.replies and fleet.lag == 0)

    assert provider.calls == []


async def test_a_retry_that_falls_due_at_the_deadline_is_an_answer_and_no_call() -> None:
    provider = ScriptedProvider([failing(FailureClass.TRANSIENT, retry_after=500.0)])
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job("slow", seconds=30))
        await fleet.until(lambda: "slow" in fleet.replies, step=0.3)

    failure = fleet.replies["slow"].failure
    assert failure is not None
    assert failure.failure_class is FailureClass.EXPIRED
    assert "transient" in failure.message
    assert len(provider.calls) == 1


async def test_a_failed_call_is_repeated_and_the_reply_tells_of_both() -> None:
    provider = ScriptedProvider([failing(FailureClass.TRANSIENT), completion("fine")])
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job())
        await fleet.until(lambda: "job-1" in fleet.replies)

    attempts = fleet.replies["job-1"].attempts
    assert [each.failure_class for each in attempts] == [FailureClass.TRANSIENT, None]
    assert [call.call_id for call in provider.calls] == ["job-1/1/1", "job-1/1/2"]


async def test_a_job_whose_retries_are_spent_is_a_dead_letter_and_then_a_failure_reply() -> None:
    provider = ScriptedProvider([failing(FailureClass.TRUNCATED)])
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job())
        await fleet.until(lambda: "job-1" in fleet.replies and fleet.lag == 0)

    letter = decode(DeadLetter, fleet.dead_letters[0].value)
    assert fleet.replies["job-1"].dead_letter
    assert letter.failure == fleet.replies["job-1"].failure
    assert len(letter.attempts) == len(provider.calls) == 2


async def test_a_bad_answer_is_asked_again_with_its_errors() -> None:
    provider = ScriptedProvider([completion('{"n": "x"}'), completion('{"n": 1}')])
    schema = OutputSchema(json_schema={"type": "object", "properties": {"n": {"type": "integer"}}})
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job(output=schema))
        await fleet.until(lambda: "job-1" in fleet.replies)

    answer = fleet.replies["job-1"].answer
    assert answer is not None
    assert answer.parsed == {"n": 1}
    assert b"/n" in provider.calls[1].body
    assert [each.reask for each in fleet.replies["job-1"].attempts] == [False, True]


async def test_records_that_hold_no_job_become_dead_letters_and_hurt_nobody() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    bad = [b"\xff\x00", b"[" * 100_000, b'{"request": ' + b"[" * 300 + b"]" * 300 + b"}", b"{}"]
    async with fleet:
        for number, value in enumerate(bad):
            await fleet.publish(job(f"good-{number}"))
            await fleet.publish_raw(value, "extract", headers=[("mine", b"1")])
        await fleet.until(lambda: len(fleet.replies) == 4 and fleet.lag == 0)

    assert sorted(letter.value for letter in fleet.dead_letters) == sorted(bad)
    for letter in fleet.dead_letters:
        assert ("mine", b"1") in letter.headers
        assert dict(letter.headers)["tollway-value"] == b"raw"
        assert dict(letter.headers)["tollway-failure-class"] == b"undecodable"


async def test_a_job_that_cannot_be_worked_on_is_refused_before_any_call() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    remote = OutputSchema(json_schema={"$ref": "file:///etc/passwd"})
    async with fleet:
        await fleet.publish(
            job("schema", output=remote), job("address", reply_to=ReplyAddress(topic="elsewhere"))
        )
        await fleet.until(lambda: len(fleet.replies) == 2)

    assert provider.calls == []
    for reply in fleet.replies.values():
        assert reply.failure is not None
        assert reply.failure.failure_class is FailureClass.INVALID_JOB


async def test_an_outcome_is_written_before_its_offset_completes_however_often_it_fails() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    fleet.sink.failures = 1_000_000
    async with fleet:
        await fleet.publish(*jobs(10))
        await fleet.until(lambda: fleet.sink.recoveries > 30)
        held = (fleet.lag, len(fleet.replies))
        fleet.sink.failures = 0
        await fleet.until(lambda: len(fleet.replies) == 10 and fleet.lag == 0)

    assert held == (10, 0)
    assert len(provider.calls) == 10


async def test_a_sink_that_cannot_be_renewed_loses_nothing() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    fleet.sink.failures = 5

    async def recover() -> None:
        raise ConnectionError

    fleet.sink.recover = recover  # type: ignore[method-assign]  # what a broker that is away does
    async with fleet:
        await fleet.publish(*jobs(5))
        await fleet.until(lambda: len(fleet.replies) == 5 and fleet.lag == 0)

    assert len(provider.calls) == 5


async def test_a_drain_finishes_what_is_in_flight_and_leaves_what_was_never_called() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider, concurrency=2)
    await fleet.publish(*jobs(10))
    fleet.start()
    await fleet.until(lambda: len(provider.calls) == 2)

    fleet.worker.drain()
    await fleet.settle(10)
    provider.hold.set()
    await fleet.left()

    assert len(provider.calls) == len(fleet.replies) == 2
    again = MemoryFleet({lane(concurrency=2): provider}, {"extract": ROUTE}, broker=fleet.broker)
    async with again:
        await again.until(lambda: len(again.replies) == 10)
    assert Counter(called(provider)) == Counter(f"job-{n:03}" for n in range(10))


async def test_a_stop_at_once_starts_no_further_call() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider, concurrency=3)
    await fleet.publish(*jobs(30))
    fleet.start()
    await fleet.until(lambda: len(provider.calls) == 3)

    assert fleet.running is not None
    fleet.running.cancel()
    await asyncio.gather(fleet.running, return_exceptions=True)
    await fleet.settle(5)

    assert len(provider.calls) == 3
    assert fleet.lanes["main"].admission.in_flight == 0
    assert fleet.replies == {}


async def test_a_drain_that_takes_too_long_ends_calls_and_loses_nothing() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider, concurrency=3)
    await fleet.publish(*jobs(5))
    fleet.start(drain_timeout=5.0)
    await fleet.until(lambda: len(provider.calls) == 3)

    await fleet.drain()

    assert fleet.lag == 5
    assert len(provider.calls) == 3


async def test_completed_offsets_behind_a_running_one_survive_a_crash() -> None:
    provider = ScriptedProvider()
    fleet = MemoryFleet({lane(concurrency=50): provider}, {"extract": ROUTE})
    first, answer = "job-000", provider.complete

    async def hang_for_one(call: ProviderCall) -> Completion:
        if call.call_id.startswith(first):
            await asyncio.Event().wait()
        return await answer(call)

    provider.complete = hang_for_one  # type: ignore[method-assign]  # the others are answered
    await fleet.publish(*jobs(40))
    fleet.start()
    await fleet.until(lambda: committed(fleet) == 39)
    await fleet.crash()

    survivors = ScriptedProvider()
    again = MemoryFleet({lane(concurrency=50): survivors}, {"extract": ROUTE}, broker=fleet.broker)
    async with again:
        await again.until(lambda: len(again.replies) == 40)

    assert called(survivors) == [first]


def committed(fleet: MemoryFleet) -> int:
    """Records that are committed as complete, those behind one that is not included."""
    notes = fleet.broker.committed(NAMES.worker_group).values()
    return sum(offset + len(offset_map.decode(offset, note)) for offset, note in notes)


async def test_memory_is_bounded_and_reading_goes_on_when_there_is_room() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = MemoryFleet({lane(concurrency=1): provider}, {"extract": ROUTE}, memory_bytes=50_000)
    big = [job(f"job-{n:03}", labels={"x": "y" * 10_000}) for n in range(30)]
    await fleet.publish(*big[:4])
    async with fleet:
        await fleet.until(lambda: len(provider.calls) == 1)
        await fleet.publish(*big[4:])
        await fleet.settle()
        provider.hold.set()
        await fleet.until(lambda: len(fleet.replies) == 30 and fleet.lag == 0)

    assert fleet.worker.held_bytes == 0


async def test_a_parked_lane_keeps_its_backlog_and_works_it_off_when_a_probe_gets_through() -> None:
    bad = [failing(FailureClass.AUTH)] * 8
    provider = ScriptedProvider([*bad, completion("fine")])
    fleet = fleet_of(provider, concurrency=4)
    async with fleet:
        await fleet.publish(*jobs(20, seconds=50_000))
        await fleet.until(lambda: len(fleet.replies) == 20, step=2.0)

    assert fleet.dead_letters == []
    assert len(provider.calls) == 28
    assert all(reply.status == "completed" for reply in fleet.replies.values())


async def test_a_wave_of_rate_limits_charges_nobody() -> None:
    turns = [failing(FailureClass.RATE_LIMIT, retry_after=1.0)] * 6
    provider = ScriptedProvider([*turns, completion("fine")])
    route = RouteSettings(lanes=("main",), retry=RetrySettings(max_attempts=1))
    fleet = fleet_of(provider, concurrency=6, route=route)
    async with fleet:
        await fleet.publish(*jobs(10))
        await fleet.until(lambda: len(fleet.replies) == 10)

    assert all(reply.status == "completed" for reply in fleet.replies.values())
    assert len(provider.calls) == 16


@pytest.mark.parametrize("where", ["build", "complete", "validate"])
async def test_a_bug_met_by_one_job_is_its_own_dead_letter(where: str) -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider, concurrency=1)

    def bug(*_: object, **__: object) -> object:
        raise RuntimeError("a sentence that quotes the prompt")

    target = fleet.validator if where == "validate" else provider
    setattr(target, where, bug)
    async with fleet:
        await fleet.publish(job("poor"))
        await fleet.until(lambda: "poor" in fleet.replies and fleet.lag == 0)

    failure = fleet.replies["poor"].failure
    assert failure is not None
    assert failure.failure_class is FailureClass.UNKNOWN
    assert "prompt" not in failure.message
    assert fleet.lanes["main"].admission.in_flight == 0
