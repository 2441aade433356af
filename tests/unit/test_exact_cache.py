"""The exact cache in a whole worker: what was answered before is given again without a call."""

from typing import Any

import pytest
from manual_clock import ManualClock
from memory_answers import MemoryAnswers
from memory_fleet import MemoryFleet
from samples import NOW, attempt, job, lane, progress
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas.attempt import Attempt
from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer
from tollway_schemas.request import ChatRequest, Message
from tollway_schemas.usage import Usage
from tollway_workers.cache.arrivals import Arrivals
from tollway_workers.cache.entry import given, kept_of
from tollway_workers.cache.forgotten import Spoken
from tollway_workers.cache.kept import Kept
from tollway_workers.cache.ports import Found
from tollway_workers.cache.recent import MOST_BYTES, RecentAnswers
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import Keyed
from tollway_workers.pipeline.exact_cache import ExactCache
from tollway_workers.pipeline.publish import Written

TOO_LONG = ProviderFailure(failure_class=FailureClass.CONTEXT_LENGTH, message="no", status=400)
REVOKED = ProviderFailure(failure_class=FailureClass.AUTH, message="no", status=401)


class Desk:
    """A fleet with a caching route, and what all workers know of its answers."""

    def __init__(
        self,
        *turns: Turn,
        answers: Any = None,
        lanes: tuple[str, ...] = ("main",),
        cache: dict[str, Any] | None = None,
        **route: Any,
    ) -> None:
        self.provider = ScriptedProvider(turns or [completion("yes")])
        self.answers = known = answers or MemoryAnswers()

        class Fleet(MemoryFleet):
            answers = known

        self.fleet = Fleet(
            {lane(name, concurrency=4): self.provider for name in lanes},
            {
                "extract": RouteSettings(
                    lanes=lanes, cache=CacheSettings(exact=True, **(cache or {})), **route
                )
            },
        )

    @property
    def calls(self) -> int:
        return len(self.provider.calls)

    async def answer(self, *jobs: Job) -> None:
        """Publish each once the one before it is answered."""
        for each in jobs:
            await self.fleet.publish(each)
            await self.fleet.until(lambda: self.fleet.lag == 0)


def other(text: str = "another question") -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=text),))


async def test_what_was_asked_before_is_answered_without_a_call() -> None:
    desk = Desk()
    async with desk.fleet as fleet:
        await desk.answer(job("a"), job("b", labels={"its": "own"}), job("c", request=other()))

    first, again = fleet.replies["a"], fleet.replies["b"]
    assert desk.calls == 2
    assert (first.provenance, first.age, first.cached_from) == (Provenance.LIVE, None, None)
    assert (again.provenance, again.status) == (Provenance.CACHED, "completed")
    assert again.answer == first.answer
    assert (again.lane, again.model, again.scripted) == ("main", "scripted", True)
    assert again.cached_from is not None
    assert (again.cached_from.job_id, again.cached_from.route) == ("a", "extract")
    assert again.age is not None
    assert 0 <= again.age < 60
    assert (again.attempts, again.cost, again.labels) == ((), 0, {"its": "own"})


@pytest.mark.parametrize(
    "body",
    [
        b'{"seed":12345678901234567890123,"unit":"NaN"}',
        b'{"a":' * 180 + b"-" + b"9" * 300 + b"}" * 180,
        b'{"a":1,"a":{"body":{}},"answer":{},"key":"\\u0000"}',
    ],
    ids=["a long integer", "as deep as bodies go", "names of a record's own"],
)
async def test_whatever_json_a_provider_says_is_given_again_as_it_is(body: bytes) -> None:
    desk = Desk(completion("yes")._replace(body=body, kept=body))
    async with desk.fleet as fleet:
        await desk.answer(job("a"), job("b"))

    assert desk.calls == 1
    assert fleet.replies["b"].provenance is Provenance.CACHED
    assert fleet.replies["b"].answer == fleet.replies["a"].answer


async def test_the_journal_has_a_line_for_an_answer_that_is_given_again() -> None:
    desk = Desk()
    async with desk.fleet as fleet:
        await desk.answer(job("a"), job("b"))

    (line,) = [each for each in fleet.journal if each.job_id == "b"]
    assert (line.provenance, line.attempt, line.response) == (Provenance.CACHED, None, "yes")
    assert line.cached_from is not None
    assert line.cached_from.job_id == "a"


async def test_an_answer_is_known_here_before_it_is_read_back_from_its_topic() -> None:
    desk = Desk(answers=MemoryAnswers(late=True))
    async with desk.fleet:
        await desk.answer(job("a"), job("b"))

    assert desk.calls == 1


async def test_a_newer_answer_takes_the_place_of_the_known_one_before_it_is_read_back() -> None:
    desk = Desk(completion("old"), completion("new"), answers=MemoryAnswers(late=True))
    async with desk.fleet as fleet:
        await desk.answer(job("a"))
        desk.answers.deliver()
        fleet.clock.advance(100.0)
        await desk.answer(*(job(name, max_age=60.0) for name in ("b", "c")), job("d"))

    texts = {name: each.answer and each.answer.text for name, each in fleet.replies.items()}
    assert texts == {"a": "old", "b": "new", "c": "new", "d": "new"}
    assert desk.calls == 2


async def test_a_job_in_line_is_answered_by_what_came_while_it_waited() -> None:
    desk = Desk()
    desk.provider.hold.clear()
    async with desk.fleet as fleet:
        # Four calls of other questions fill the lane.
        await fleet.publish(*(job(f"x{n}", request=other(str(n))) for n in range(4)))
        await fleet.until(lambda: desk.calls == 4)
        await fleet.publish(*(job(f"b{n}", request=other("0")) for n in range(3)))
        await fleet.settle()
        desk.provider.hold.set()
        await fleet.until(lambda: fleet.lag == 0)

    assert desk.calls == 4
    assert fleet.replies["b0"].provenance is Provenance.CACHED


@pytest.mark.parametrize(
    ("again", "calls"),
    [
        ({}, 1),
        ({"no_cache": True}, 2),
        ({"max_age": 1e6}, 1),
        ({"max_age": 0.0}, 2),
        ({"tenant": "another"}, 2),
        ({"accept": (Provenance.LIVE,)}, 2),
        ({"accept": (Provenance.LIVE, Provenance.CACHED)}, 1),
        ({"accept": (Provenance.CACHED,)}, 1),
    ],
    ids=str,
)
async def test_a_job_says_whether_it_takes_a_known_answer(again: Any, calls: int) -> None:
    desk = Desk()
    async with desk.fleet as fleet:
        await desk.answer(job("a"))
        fleet.clock.advance(5.0)
        await desk.answer(job("b", **again))

    assert desk.calls == calls
    assert fleet.replies["b"].status == "completed"


async def test_what_is_not_to_be_stored_is_given_to_nobody_else() -> None:
    desk = Desk()
    async with desk.fleet:
        await desk.answer(job("a", no_store=True), job("b"))

    assert desk.calls == 2
    assert [each.source.job_id for each in desk.answers.put_entries] == ["b"]


async def test_a_fresh_call_takes_the_place_of_the_answer_that_was_known() -> None:
    desk = Desk(completion("old"), completion("new"))
    async with desk.fleet as fleet:
        await desk.answer(job("a"), job("b", no_cache=True), job("c"))

    answer = fleet.replies["c"].answer
    assert answer is not None
    assert answer.text == "new"


async def test_a_job_that_takes_nothing_but_a_known_answer_is_never_called() -> None:
    desk = Desk()
    async with desk.fleet as fleet:
        await desk.answer(job("a", accept=(Provenance.CACHED,)))

    failure = fleet.replies["a"].failure
    assert desk.calls == 0
    assert failure is not None
    assert failure.problems == ("accept: the route's cache has no answer, and nothing else will",)


async def test_an_answer_of_another_lane_is_not_kept() -> None:
    desk = Desk(TOO_LONG, completion("of the other"), lanes=("main", "other"))
    async with desk.fleet as fleet:
        await desk.answer(job("a"))

    assert fleet.replies["a"].provenance is Provenance.FALLBACK
    assert desk.answers.put_entries == []


async def test_an_answer_that_is_given_again_is_not_kept_anew() -> None:
    desk = Desk()
    async with desk.fleet:
        await desk.answer(job("a"), job("b"), job("c"))

    assert [each.source.job_id for each in desk.answers.put_entries] == ["a"]


async def test_an_answer_that_is_too_large_is_not_kept() -> None:
    desk = Desk(completion("x" * 2_000), cache={"max_answer_kib": 1})
    async with desk.fleet:
        await desk.answer(job("a"), job("b"))

    assert (desk.calls, desk.answers.put_entries) == (2, [])


async def test_an_expired_answer_is_called_for_again() -> None:
    desk = Desk(cache={"ttl": 60.0, "stale_for": 600.0})
    async with desk.fleet as fleet:
        await desk.answer(job("a"))
        fleet.clock.advance(61.0)
        await desk.answer(job("b"))

    assert desk.calls == 2
    assert fleet.replies["b"].provenance is Provenance.LIVE


async def test_where_the_call_fails_an_expired_answer_stands_in_as_stale() -> None:
    desk = Desk(completion("old"), TOO_LONG, cache={"ttl": 60.0, "stale_for": 600.0})
    async with desk.fleet as fleet:
        await desk.answer(job("a"))
        fleet.clock.advance(100.0)
        await desk.answer(job("b"))

    reply = fleet.replies["b"]
    assert (reply.status, reply.provenance) == ("completed", Provenance.STALE)
    assert reply.age is not None
    assert reply.age >= 100.0
    assert reply.cached_from is not None


async def test_an_interactive_job_whose_lane_is_parked_is_given_the_stale_answer_at_once() -> None:
    desk = Desk(completion("old"), REVOKED, cache={"ttl": 60.0, "stale_for": 600.0})
    async with desk.fleet as fleet:
        await desk.answer(job("a"))
        fleet.clock.advance(100.0)
        await fleet.publish(job("x", request=other(), priority="interactive"))
        await fleet.until(lambda: desk.calls == 2)
        await fleet.publish(job("b", priority="interactive"))
        await fleet.until(lambda: "b" in fleet.replies)
        took = fleet.clock.now() - NOW

    assert fleet.replies["b"].provenance is Provenance.STALE
    assert took < 130.0


async def test_a_bulk_job_is_given_the_stale_answer_before_its_deadline_passes() -> None:
    desk = Desk(completion("old"), REVOKED, cache={"ttl": 60.0, "stale_for": 6000.0})
    async with desk.fleet as fleet:
        await desk.answer(job("a"))
        fleet.clock.advance(100.0)
        await fleet.publish(job("b", seconds=400.0))
        await fleet.until(lambda: "b" in fleet.replies, step=1.0)

    assert fleet.replies["b"].provenance is Provenance.STALE
    assert desk.calls >= 2


async def test_a_forgotten_answer_is_given_to_nobody() -> None:
    desk = Desk(answers=MemoryAnswers(late=True))
    async with desk.fleet:
        await desk.answer(job("a"))
        desk.answers.forgets.add("extract")
        await desk.answer(job("b"))
        desk.answers.deliver()
        await desk.answer(job("c"))

    assert desk.calls == 3


async def test_what_a_worker_remembers_is_not_given_while_its_copy_has_not_caught_up() -> None:
    desk = Desk(answers=MemoryAnswers(late=True))
    desk.answers.serves = False
    async with desk.fleet:
        await desk.answer(job("a"), job("b"))

    assert desk.calls == 2
    assert len(desk.answers.put_entries) == 2


async def test_a_simulators_answer_is_not_given_where_a_model_answers_now() -> None:
    real = completion("of a model")._replace(scripted=False)
    desk = Desk(completion("scripted"), real)
    async with desk.fleet as fleet:
        await desk.answer(job("a"), job("b", request=other()), job("c"))

    assert desk.calls == 3
    assert not fleet.replies["c"].scripted


class Broken:
    """A cache that meets a bug in all it does."""

    arrivals = Arrivals()

    def get(self, key: bytes, now: float) -> Found | None:
        raise RuntimeError("secret")

    def seen(self, key: bytes) -> int:
        return 0

    def forgotten(self, entry: Spoken) -> bool:
        raise RuntimeError("secret")

    @property
    def serves(self) -> bool:
        return True

    def put(self, kept: Kept) -> None:
        raise RuntimeError("secret")


async def test_whatever_is_wrong_with_the_cache_jobs_are_called() -> None:
    desk = Desk(answers=Broken())
    async with desk.fleet as fleet:
        await desk.answer(job("a"), job("b"))

    assert desk.calls == 2
    assert {each.status for each in fleet.replies.values()} == {"completed"}


def test_a_job_in_line_is_looked_up_again_only_where_something_has_come() -> None:
    answers, clock = MemoryAnswers(), ManualClock(NOW)
    cache = ExactCache(answers, {"main": "a model"}, clock)
    route = RouteSettings(lanes=("main",), cache=CacheSettings(exact=True))
    waiting, first = progress(job("b"), route=route), progress(job("a"), route=route)

    for _ in range(5):
        assert cache.find(waiting) is None
    assert answers.looks == 1

    assert cache.find(first) is None
    cache.learn(first, Written(Completed(Answer(text="17"), Provenance.LIVE, "main", "m"), None))
    found = cache.find(waiting)

    assert found is not None
    assert found.provenance is Provenance.CACHED


async def test_what_hits_save_is_counted() -> None:
    desk = Desk(completion("yes")._replace(usage=Usage(input_total=70, output_total=7)))
    async with desk.fleet as fleet:
        await desk.answer(job("a"), job("b"), job("c"))

    counted = fleet.metrics.registry.get_sample_value
    assert counted("tollway_answers_total", {"route": "extract", "provenance": "cached"}) == 2.0
    for direction, tokens in (("input", 140.0), ("output", 14.0)):
        labels = {"route": "extract", "direction": direction}
        assert counted("tollway_cache_saved_tokens_total", labels) == tokens


def kept(**cache: Any) -> Kept:
    """What is kept of one answer."""
    calls: list[Attempt] = [attempt(usage=Usage(input_total=3), cost=5)]
    subject = progress(
        job("a", tenant="acme"),
        route=RouteSettings(lanes=("main",), cache=CacheSettings(exact=True, **cache)),
    )
    subject.attempts = calls
    subject.keyed = Keyed(bytes(range(255, 223, -1)), 7, NOW - 1.0)
    answered = Completed(Answer(text="yes"), Provenance.LIVE, "main", "served", body=b'{"id":"x"}')
    found = kept_of(subject, answered, NOW)
    assert found is not None
    return found


def entry(**cache: Any) -> CacheEntry:
    """The same as others read it."""
    return kept(**cache).entry()


def test_an_entry_is_what_its_schema_says() -> None:
    made, here = entry(), kept()

    for name in ("key", "route", "tenant", "lane", "scripted", "read_at", "seen"):
        assert getattr(made, name) == getattr(here, name), name
    for name in ("answered_at", "expires_at", "stale_until"):
        assert getattr(made, name) == getattr(here, name), name
    assert here.size == len(encode(made.answer))
    assert (made.provenance, made.lane, made.model) == (Provenance.LIVE, "main", "served")
    assert (made.source.job_id, made.source.tenant, made.tenant) == ("a", "acme", "acme")
    assert (made.usage, made.cost, made.seen) == (Usage(input_total=3), 5, 7)
    assert made.answer.body == {"id": "x"}


def test_an_answer_is_made_json_once_for_the_reply_and_the_cache() -> None:
    subject, made = progress(job("a")), []
    one = Completed(Answer(text="yes"), Provenance.LIVE, "main", "served")
    other = Completed(Answer(text="no"), Provenance.LIVE, "main", "served")

    def to_json(part: Completed) -> bytes:
        made.append(part)
        return encode(part.answer)

    assert subject.encoded(one, to_json) == subject.encoded(one, to_json) == encode(one.answer)
    assert subject.encoded(other, to_json) == encode(other.answer)
    assert made == [one, other]


def test_an_entry_that_is_shared_says_not_whose_it_was() -> None:
    made = entry(scope="shared")

    assert (made.tenant, made.source.tenant) == (None, None)


def test_entries_live_for_their_ttl_or_a_tenth_less() -> None:
    made = entry(ttl=100.0, stale_for=50.0)

    lives = (made.expires_at - made.answered_at).total_seconds()
    assert 90.0 <= lives < 100.0
    assert (made.stale_until - made.expires_at).total_seconds() == 50.0


def test_the_providers_own_answer_stands_apart_so_that_a_reply_may_leave_it_out() -> None:
    outcome = given(entry(), Provenance.CACHED, NOW + 3.0)

    assert (outcome.answer, outcome.body) == (Answer(text="yes"), b'{"id":"x"}')
    assert (outcome.age, outcome.whole) == (3.0, True)


def test_a_worker_remembers_no_more_than_it_may() -> None:
    # All of a record counts: a short answer may have a long prompt.
    recent, half = RecentAnswers(), kept()._replace(value=b"v" * (MOST_BYTES // 2))

    for n in range(9):
        recent.put(bytes([n]), half._replace(value=b"v" * (MOST_BYTES // 4)))
    recent.put(b"x", half._replace(value=b"v" * (2 * MOST_BYTES)))
    assert (len(recent), recent.bytes) == (0, 0)

    for n in range(3):
        recent.put(bytes([n]), half)
    assert recent.get(bytes([0])) is None
    assert recent.get(bytes([2])) == half
    assert (len(recent), recent.bytes) == (2, MOST_BYTES)
