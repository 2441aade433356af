"""Single flight in a whole worker: identical jobs at one moment are one call."""

from typing import Any

import pytest
from memory_answers import MemoryAnswers
from memory_fleet import MemoryFleet
from samples import job, lane
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas.codec import encode
from tollway_schemas.command import Action, Command
from tollway_schemas.failure import FailureClass
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import OutputSchema
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.envelopes import instant
from tollway_workers.pipeline import exact_cache

SICK = ProviderFailure(failure_class=FailureClass.TRANSIENT, message="no", status=500)
REFUSED = ProviderFailure(failure_class=FailureClass.CONTENT_POLICY, message="no", status=200)


class Flight:
    """A fleet of one lane whose calls hang until `land`."""

    def __init__(self, *turns: Turn, cache: dict[str, Any] | None = None, **route: Any) -> None:
        self.provider = ScriptedProvider(turns)
        self.answers = known = MemoryAnswers()

        class Fleet(MemoryFleet):
            answers = known

        settings = CacheSettings(**{"exact": True, **(cache or {})})
        self.fleet = Fleet(
            {lane(concurrency=8, call_timeout=30.0): self.provider},
            {"extract": RouteSettings(lanes=("main",), cache=settings, **route)},
        )
        self.provider.hold.clear()

    @property
    def calls(self) -> int:
        return len(self.provider.calls)

    @property
    def following(self) -> int:
        return len(self.fleet.worker.dispatcher.queues["main"].following)

    async def land(self) -> None:
        """Let calls end, and wait until all is done."""
        self.provider.hold.set()
        await self.fleet.until(lambda: self.fleet.lag == 0)


async def test_identical_jobs_at_one_moment_are_one_call() -> None:
    flight = Flight()
    async with flight.fleet as fleet:
        await fleet.publish(*(job(f"j{n}") for n in range(6)))
        await fleet.until(lambda: flight.following == 5)
        await flight.land()

    provenances = sorted(each.provenance for each in fleet.replies.values() if each.provenance)
    assert flight.calls == 1
    assert provenances == [*[Provenance.CACHED] * 5, Provenance.LIVE]
    (leader,) = [n for n, each in fleet.replies.items() if each.provenance is Provenance.LIVE]
    sources = {each.cached_from.job_id for each in fleet.replies.values() if each.cached_from}
    assert sources == {leader}


@pytest.mark.parametrize(
    ("again", "cache"),
    [
        ({"tenant": "another"}, {}),
        ({"no_cache": True}, {}),
        ({"accept": (Provenance.LIVE,)}, {}),
        ({}, {"exact": False}),
    ],
    ids=str,
)
async def test_a_job_that_takes_no_known_answer_is_called_beside_it(again: Any, cache: Any) -> None:
    flight = Flight(cache=cache)
    async with flight.fleet as fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: flight.calls == 1)
        await fleet.publish(job("b", **again))
        await fleet.until(lambda: flight.calls == 2)
        await flight.land()

    assert fleet.replies["b"].provenance is Provenance.LIVE


async def test_nobody_follows_a_job_whose_answer_is_its_own_alone() -> None:
    flight = Flight()
    async with flight.fleet as fleet:
        await fleet.publish(job("a", no_store=True))
        await fleet.until(lambda: flight.calls == 1)
        await fleet.publish(job("b"))
        await fleet.until(lambda: flight.calls == 2)
        await flight.land()

    assert fleet.replies["b"].provenance is Provenance.LIVE


@pytest.mark.parametrize("failure", [SICK, REFUSED], ids=lambda each: each.failure_class.value)
async def test_where_the_call_brings_no_answer_the_next_is_called(failure: Turn) -> None:
    flight = Flight(failure, completion("yes"))
    async with flight.fleet as fleet:
        await fleet.publish(*(job(f"j{n}") for n in range(4)))
        await fleet.until(lambda: flight.following == 3)
        await flight.land()

    answered = [each for each in fleet.replies.values() if each.status == "completed"]
    assert flight.calls == 2
    assert len(fleet.replies) == 4
    assert len(answered) == (4 if failure is SICK else 3)


async def test_followers_are_called_where_an_answer_cannot_be_told_to_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise TypeError

    monkeypatch.setattr(exact_cache, "given", broken)
    flight = Flight()
    async with flight.fleet as fleet:
        await fleet.publish(*(job(f"j{n}") for n in range(3)))
        await fleet.until(lambda: flight.following == 2)
        await flight.land()

    assert (flight.calls, len(fleet.replies)) == (3, 3)


async def test_an_answer_that_is_too_large_to_be_kept_is_given_to_those_that_follow() -> None:
    flight = Flight(completion("x" * 5_000), cache={"max_answer_kib": 1})
    async with flight.fleet as fleet:
        await fleet.publish(*(job(f"j{n}") for n in range(3)))
        await fleet.until(lambda: flight.following == 2)
        await flight.land()

    assert (flight.calls, flight.answers.put_entries) == (1, [])


async def test_a_job_that_follows_is_answered_at_its_deadline() -> None:
    flight = Flight()
    async with flight.fleet as fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: flight.calls == 1)
        await fleet.publish(job("b", seconds=10.0, priority="interactive"))
        await fleet.until(lambda: "b" in fleet.replies)
        await flight.land()

    failure = fleet.replies["b"].failure
    assert failure is not None
    assert failure.failure_class is FailureClass.EXPIRED
    assert flight.calls == 1


async def test_a_job_that_follows_can_be_cancelled() -> None:
    flight = Flight()
    async with flight.fleet as fleet:
        await fleet.publish(job("a"), job("b"))
        await fleet.until(lambda: flight.following == 1)
        (follower,) = fleet.worker.dispatcher.queues["main"].following
        name, now = follower.job.id, fleet.clock.now()
        command = Command(
            action=Action.CANCEL,
            jobs=(name,),
            issued_at=instant(now),
            expires_at=instant(now + 600.0),
        )
        fleet.worker.operators.apply([(b"key", encode(command))])
        await fleet.until(lambda: name in fleet.replies)
        await flight.land()

    assert fleet.replies[name].status == "cancelled"
    assert flight.calls == 1


async def test_what_is_forgotten_while_it_is_called_is_told_to_nobody_else() -> None:
    flight = Flight()
    async with flight.fleet as fleet:
        await fleet.publish(job("a"), job("b"))
        await fleet.until(lambda: flight.following == 1)
        flight.answers.forgets.add("extract")
        await flight.land()

    assert flight.calls == 2
    assert {each.provenance for each in fleet.replies.values()} == {Provenance.LIVE}
    assert flight.answers.put_entries == []


@pytest.mark.parametrize("gone", ["before", "meanwhile"])
async def test_where_it_cannot_be_known_what_is_forgotten_nobody_is_told_what_another_was(
    gone: str,
) -> None:
    flight = Flight()
    flight.answers.serves = gone == "meanwhile"
    async with flight.fleet as fleet:
        await fleet.publish(job("a"), job("b"))
        await fleet.until(lambda: flight.calls == 2 or flight.following == 1)
        flight.answers.serves = False
        await flight.land()

    assert flight.calls == 2
    assert {each.provenance for each in fleet.replies.values()} == {Provenance.LIVE}


async def test_a_mended_answer_is_not_for_a_job_that_takes_nothing_mended() -> None:
    flight = Flight(completion('{"a": 1,}'))
    any_object = OutputSchema(json_schema={"type": "object"})
    picky = (Provenance.LIVE, Provenance.CACHED, Provenance.REASKED)
    async with flight.fleet as fleet:
        await fleet.publish(job("a", output=any_object))
        await fleet.until(lambda: flight.calls == 1)
        await fleet.publish(job("b", output=any_object), job("c", output=any_object, accept=picky))
        await fleet.until(lambda: flight.following == 2)
        await flight.land()

    assert fleet.replies["a"].provenance is Provenance.REPAIRED
    assert fleet.replies["b"].provenance is Provenance.CACHED
    assert fleet.replies["c"].provenance is not Provenance.CACHED


async def test_jobs_that_follow_leave_with_their_worker_and_are_called_by_the_next() -> None:
    flight = Flight()
    fleet = flight.fleet
    fleet.start(drain_timeout=1.0)
    await fleet.publish(job("a"), job("b"), job("c"))
    await fleet.until(lambda: flight.following == 2)
    await fleet.drain()

    assert fleet.replies == {}
    assert fleet.lag == 3
