"""Copies of a job: one call, and a reply for each of them."""

from typing import Any

import pytest
from memory_fleet import NAMES, MemoryFleet
from samples import job, lane
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas.codec import encode
from tollway_schemas.command import Action, Command
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.envelopes import instant

_REFUSED = ProviderFailure(failure_class=FailureClass.INVALID_REQUEST, message="no", status=400)
_OVERLOADED = ProviderFailure(
    failure_class=FailureClass.OVERLOADED, message="no", status=503, retry_after=30.0
)


class Desk:
    """A fleet and its provider."""

    def __init__(self, *turns: Turn, **more: Any) -> None:
        self.provider = ScriptedProvider(turns)
        route = RouteSettings(lanes=("main",))
        self.fleet = MemoryFleet({lane(): self.provider}, {"extract": route}, **more)

    @property
    def written(self) -> list[bytes]:
        return [record.value for record in self.fleet.broker.records(NAMES.replies)]

    async def all_done(self, replies: int) -> None:
        await self.fleet.until(lambda: len(self.written) >= replies and self.fleet.lag == 0)


async def test_a_copy_of_a_job_in_flight_waits_for_its_end_and_gets_its_reply() -> None:
    desk = Desk()
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job(), job(), job())
        await fleet.until(lambda: len(desk.provider.calls) == 1)
        await fleet.settle()
        desk.provider.hold.set()
        await desk.all_done(3)

    assert len(desk.provider.calls) == 1
    assert len(set(desk.written)) == 1
    counted = {"route": "extract"}
    assert fleet.metrics.registry.get_sample_value("tollway_copies_answered_total", counted) == 2
    ended = {"route": "extract", "outcome": "completed"}
    assert fleet.metrics.registry.get_sample_value("tollway_jobs_total", ended) == 1


async def test_a_copy_of_a_job_replied_to_not_long_ago_gets_that_reply_again() -> None:
    desk = Desk()
    async with desk.fleet as fleet:
        await fleet.publish(job())
        await desk.all_done(1)
        await fleet.publish_raw(encode(job()), "extract", key=b"job-1", headers=[("mine", b"2")])
        await desk.all_done(2)

    assert len(desk.provider.calls) == 1
    assert len(set(desk.written)) == 1
    first, again = fleet.broker.records(NAMES.replies)
    ours = [each for each in again.headers if each[0] != "mine"]
    assert (ours, ("mine", b"2") in again.headers) == (first.headers, True)


async def test_a_copy_of_a_job_that_was_given_up_is_told_so_and_is_no_second_dead_letter() -> None:
    desk = Desk(_REFUSED)
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job(), job())
        await fleet.until(lambda: len(desk.provider.calls) == 1)
        await fleet.settle()
        desk.provider.hold.set()
        await desk.all_done(2)

    assert len(desk.provider.calls) == len(fleet.dead_letters) == 1
    assert fleet.replies["job-1"].dead_letter


async def test_a_copy_whose_reply_cannot_be_read_is_called() -> None:
    desk = Desk()
    async with desk.fleet as fleet:
        await fleet.publish(job())
        await desk.all_done(1)
        fleet.finder.away = True
        await fleet.publish(job())
        await desk.all_done(2)

    assert len(desk.provider.calls) == 2


async def test_a_copy_of_a_job_that_left_without_a_reply_is_a_job_like_any_other() -> None:
    desk = Desk(_OVERLOADED, completion("second"))
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job(), job())
        await fleet.until(lambda: len(desk.provider.calls) == 1)
        await fleet.settle()
        desk.provider.hold.set()
        # The first comes back from its retry topic, and is no copy.
        await fleet.until(lambda: len(desk.written) == 2 and fleet.lag == 0, step=0.2)

    assert len(desk.provider.calls) == 3


@pytest.mark.parametrize("other", [job(generation=2), job("job-2")])
async def test_what_is_no_copy_is_called(other: Job) -> None:
    desk = Desk()
    async with desk.fleet as fleet:
        await fleet.publish(job())
        await desk.all_done(1)
        await fleet.publish(other)
        await desk.all_done(2)

    assert len(desk.provider.calls) == 2


async def test_a_retry_of_a_job_is_no_copy_of_it() -> None:
    desk = Desk(_OVERLOADED, completion("second"))
    async with desk.fleet as fleet:
        await fleet.publish(job())
        await fleet.until(lambda: len(desk.written) == 1 and fleet.lag == 0, step=0.2)

    assert len(desk.provider.calls) == 2


async def test_an_expired_copy_takes_nothing_from_the_first() -> None:
    desk = Desk()
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job(), job())
        await fleet.until(lambda: len(desk.provider.calls) == 1)
        await fleet.publish(job(seconds=-5.0))
        await desk.fleet.until(lambda: len(desk.written) == 1)
        desk.provider.hold.set()
        await desk.all_done(3)
        await fleet.publish(job())
        await desk.all_done(4)

    assert len(desk.provider.calls) == 1
    assert [b'"completed"' in each for each in desk.written] == [False, True, True, True]


async def test_a_drain_answers_the_copies_of_what_ends_and_holds_no_bytes() -> None:
    desk = Desk()
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job(), job())
        await fleet.until(lambda: len(desk.provider.calls) == 1)
        await fleet.settle()
        fleet.worker.drain()
        desk.provider.hold.set()

    assert len(desk.written) == 2
    assert fleet.lag == 0
    assert fleet.worker.held_bytes == 0


async def test_a_waiting_copy_is_answered_at_its_own_deadline_not_at_the_firsts() -> None:
    desk = Desk()
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job(seconds=300.0), job(seconds=60.0))
        await fleet.until(lambda: len(desk.provider.calls) == 1)
        await fleet.settle()

        until = fleet.clock.now() + 61.0
        await fleet.until(lambda: bool(desk.written) or fleet.clock.now() >= until, step=0.5)

        assert fleet.clock.now() < until
        assert [b'"completed"' in each for each in desk.written] == [False]
        assert b'"expired"' in desk.written[0]
        desk.provider.hold.set()
        await desk.all_done(2)

    assert len(desk.provider.calls) == 1
    assert fleet.worker.held_bytes == 0


async def test_a_cancelled_copy_is_answered_while_the_first_is_called() -> None:
    desk = Desk()
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job(run="one"), job(run="two"))
        await fleet.until(lambda: len(desk.provider.calls) == 1)
        await fleet.settle()
        command = Command(
            action=Action.CANCEL,
            run="two",
            issued_at=instant(fleet.clock.now() + 1.0),
            expires_at=instant(fleet.clock.now() + 100.0),
        )
        fleet.worker.operators.apply([(b"key", encode(command))])
        await fleet.until(lambda: len(desk.written) == 1)
        desk.provider.hold.set()
        await desk.all_done(2)

    assert [b'"cancelled"' in each for each in desk.written] == [True, False]
    assert len(desk.provider.calls) == 1
    assert fleet.worker.held_bytes == 0


async def test_a_copy_whose_reply_fits_no_topic_is_a_dead_letter_and_not_tried_for_ever() -> None:
    desk = Desk(completion("x" * 150_000))
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job(), job(labels={"large": "y" * 100_000}))
        await fleet.until(lambda: len(desk.provider.calls) == 1)
        await fleet.settle()
        desk.provider.hold.set()
        await desk.all_done(2)

    (letter,) = fleet.dead_letters
    assert b"the reply to this copy and its labels are larger" in letter.value
    assert len(desk.provider.calls) == 1
    assert fleet.worker.held_bytes == 0
