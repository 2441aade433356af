"""The semantic cache in a whole worker: a similar prompt's answer, as often as it may be wrong."""

from random import Random
from typing import Any

import pytest
from hashed_embedder import HashedEmbedder
from memory_answers import MemoryAnswers
from memory_fleet import MemoryFleet
from samples import job, lane
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas.codec import encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Reply
from tollway_schemas.request import ChatRequest, Message
from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic.experience import Experience
from tollway_workers.cache.semantic.index import PromptIndex, packed
from tollway_workers.cache.semantic.similar import SimilarPrompts
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.pipeline.agreements import Agreements, RouteAgreement
from tollway_workers.pipeline.semantic_cache import SemanticParts
from tollway_workers.pipeline.text_vectors import NamedEmbedder

REFUSED = ProviderFailure(failure_class=FailureClass.CONTEXT_LENGTH, message="no", status=400)
CAPITAL = "What is the capital of France?"
#: Prompts that ask the same, whatever a guard reads in them.
ALIKE = [CAPITAL + "".join(" \t"[int(bit)] for bit in f"{n:06b}") for n in range(60)]


class Seen:
    """What a semantic cache said of its work."""

    def __init__(self) -> None:
        self.looks: list[str] = []
        self.compared: list[bool | None] = []

    def similar_looked(self, route: str, found: str) -> None:
        self.looks.append(found)

    def similar_compared(self, route: str, *, agreed: bool | None) -> None:
        self.compared.append(agreed)


class Desk:
    """A worker with a semantic route, and what all workers know of its answers."""

    def __init__(
        self,
        *turns: Turn,
        answers: MemoryAnswers | None = None,
        embedder: HashedEmbedder | None = None,
        agree: Any = None,
        worker: str = "worker-0",
        **cache: Any,
    ) -> None:
        self.provider = ScriptedProvider(turns or [completion("Paris")])
        self.embedder = embedder or HashedEmbedder()
        self.answers = known = answers or MemoryAnswers()
        places = PromptIndex([self.embedder.id])
        self.prompts = SimilarPrompts(places, Experience(worker, known.observed))
        known.follow(self.prompts)
        self.seen = Seen()
        parts = SemanticParts(
            prompts=self.prompts,
            observations=known,
            embedders={"e": NamedEmbedder(name="e", embedder=self.embedder, timeout=1.0)},
            pack=packed,
            lanes={"main": "main"},
            events=self.seen,
            agreements=Agreements({"extract": RouteAgreement(agree, 1.0)} if agree else {}),
            dice=Random(5),
        )

        class Fleet(MemoryFleet):
            answers = known
            semantic = parts

        said = {"semantic": "serve", "recheck": 0.0, **cache}
        settings = CacheSettings(exact=True, embedder="e", **said)
        route = RouteSettings(lanes=("main",), cache=settings)
        self.fleet = Fleet({lane(concurrency=4): self.provider}, {"extract": route})
        self._number = 0

    @property
    def calls(self) -> int:
        return len(self.provider.calls)

    async def ask(self, text: str, **fields: Any) -> Reply:
        """The reply to a prompt."""
        asked = asking(f"{id(self)}-{self._number}", text, **fields)
        self._number += 1
        await self.fleet.publish(asked)
        await self.fleet.until(lambda: asked.id in self.fleet.replies and self.fleet.lag == 0)
        return self.fleet.replies[asked.id]

    async def teach(self) -> list[Reply]:
        """Ask alike prompts until one is answered by another's answer; all replies."""
        replies = [await self.ask(CAPITAL)]
        for text in ALIKE:
            self.embedder.alike(CAPITAL, text, 0.99)
            replies.append(await self.ask(text))
            if replies[-1].provenance is Provenance.SEMANTIC:
                return replies
        raise AssertionError("nothing was ever served")


def found_out(record: Observations) -> int:
    """How many answers were compared with its own, and may teach."""
    return sum(band.agreed + band.differed for band in record.bands)


def asking(job_id: str, text: str, **fields: Any) -> Job:
    message = Message(role="user", content=text)
    return job(job_id, **{"request": ChatRequest(messages=(message,)), **fields})


async def test_a_prompt_is_answered_by_a_similar_ones_answer_once_that_has_proved_itself() -> None:
    desk = Desk()
    async with desk.fleet:
        first, *called, last = await desk.teach()

    explored = len(called)
    assert explored >= 2
    assert desk.calls == explored + 1
    assert last.similarity == pytest.approx(0.99, abs=0.002)
    assert last.cached_from is not None
    assert last.cached_from.job_id == first.job_id
    assert last.answer == first.answer
    assert (last.attempts, last.cost) == ((), 0)
    assert desk.seen.looks == ["none", *["explored"] * explored, "served"]
    (line,) = (each for each in desk.fleet.journal if each.attempt is None)
    assert (line.provenance, line.similarity) == (Provenance.SEMANTIC, last.similarity)


async def test_in_shadow_every_job_is_called_and_what_serve_would_do_is_counted() -> None:
    desk = Desk(semantic="shadow")
    async with desk.fleet:
        await desk.ask(CAPITAL)
        for text in ALIKE:
            desk.embedder.alike(CAPITAL, text, 0.99)
            assert (await desk.ask(text)).provenance is Provenance.LIVE

    (record,) = desk.answers.records.values()
    (day,) = record.days
    assert day.serve is None
    assert day.shadow is not None
    assert desk.calls == day.shadow.asked + 1 == len(ALIKE) + 1
    assert 0 < day.shadow.served == day.shadow.checked < day.shadow.asked
    assert day.shadow.wrong == 0
    # What `serve` would not have called teaches nothing.
    assert found_out(record) == day.shadow.asked - day.shadow.served


async def test_an_answer_that_differs_is_observed_and_found_by_the_next_like_it() -> None:
    desk = Desk(completion("Paris"), completion("Lyon"), completion("Lyon"))
    async with desk.fleet:
        await desk.ask(CAPITAL)
        desk.embedder.alike(CAPITAL, ALIKE[0], 0.9)
        await desk.ask(ALIKE[0])
        desk.embedder.alike(ALIKE[0], ALIKE[1], 0.99)
        await desk.ask(ALIKE[1])

    assert desk.seen.compared == [False, True]
    assert len(desk.prompts.places) == 2
    observed = [band for record in desk.answers.records.values() for band in record.bands]
    assert sorted((band.agreed, band.differed) for band in observed) == [(0, 1), (1, 0)]


async def test_an_answer_that_agrees_is_found_by_who_asks_exactly_the_same_alone() -> None:
    desk = Desk()
    async with desk.fleet:
        await desk.ask(CAPITAL)
        desk.embedder.alike(CAPITAL, ALIKE[0], 0.95)
        await desk.ask(ALIKE[0])
        again = await desk.ask(ALIKE[0])

    assert len(desk.prompts.places) == 1
    assert again.provenance is Provenance.CACHED


async def test_a_guard_refuses_what_the_vectors_do_not_see() -> None:
    desk = Desk()
    async with desk.fleet:
        await desk.ask("Is 10 mg of aspirin safe?")
        desk.embedder.alike("Is 10 mg of aspirin safe?", "Is 100 mg of aspirin safe?", 0.999)
        await desk.ask("Is 100 mg of aspirin safe?")

    assert desk.seen.looks[0] == "none"
    assert desk.seen.looks[1].startswith("guard_")
    assert desk.answers.records == {}
    assert len(desk.prompts.places) == 2


async def test_another_tenants_answer_is_never_a_candidate() -> None:
    desk = Desk()
    async with desk.fleet:
        for text in [CAPITAL, *ALIKE[:20]]:
            desk.embedder.alike(CAPITAL, text, 0.999)
            await desk.ask(text, tenant="acme")
        for text in ALIKE[:20]:
            reply = await desk.ask(f"{text} ", tenant="bolt")
            assert reply.cached_from is None or reply.cached_from.tenant == "bolt"

    for record in desk.answers.records.values():
        assert record.tenant in ("acme", "bolt")


async def test_what_one_worker_learned_another_uses() -> None:
    known, embedder = MemoryAnswers(), HashedEmbedder()
    one = Desk(answers=known, embedder=embedder, error_bound=0.1)
    async with one.fleet:
        await one.teach()
    two = Desk(answers=known, embedder=embedder, error_bound=0.1, worker="worker-1")
    async with two.fleet:
        for text in ALIKE[-4:]:
            embedder.alike(CAPITAL, text, 0.99)
            await two.ask(text)

    assert two.seen.looks[0] in ("served", "explored")
    assert "served" in two.seen.looks
    assert {each.worker for each in known.records.values()} == {"worker-0", "worker-1"}


async def test_a_share_of_what_could_be_given_is_called_nevertheless() -> None:
    desk = Desk(recheck=1.0)
    async with desk.fleet:
        await desk.ask(CAPITAL)
        for text in ALIKE:
            desk.embedder.alike(CAPITAL, text, 0.99)
            assert (await desk.ask(text)).provenance is Provenance.LIVE

    (record,) = desk.answers.records.values()
    serve = record.days[0].serve
    assert serve is not None
    assert 0 < serve.served == serve.checked
    assert desk.seen.looks.count("rechecked") == serve.served
    # They go on teaching.
    assert found_out(record) == len(ALIKE)


@pytest.mark.parametrize(
    "fields",
    [{"no_cache": True}, {"accept": (Provenance.LIVE,)}, {"max_age": 0.0}],
    ids=["no_cache", "accept", "max_age"],
)
async def test_a_job_that_does_not_want_it_is_called(fields: dict[str, Any]) -> None:
    desk = Desk()
    async with desk.fleet:
        await desk.teach()
        calls = desk.calls
        for text in ALIKE[50:]:
            desk.embedder.alike(CAPITAL, text, 0.995)
            assert (await desk.ask(text, **fields)).provenance is Provenance.LIVE

    assert desk.calls == calls + 10


async def test_the_route_may_say_when_two_answers_agree() -> None:
    said: list[tuple[Any, Any]] = []

    def first_letter(answer: Any, other: Any) -> bool:
        said.append((answer, other))
        return str(answer)[0] == str(other)[0]

    desk = Desk(completion("Paris"), completion("P."), completion("Lyon"), agree=first_letter)
    async with desk.fleet:
        for n, text in enumerate([CAPITAL, *ALIKE[:2]]):
            if n:
                desk.embedder.alike(CAPITAL, text, 0.9)
            await desk.ask(text)
        await desk.fleet.until(lambda: len(desk.seen.compared) == 2)

    assert said == [("Paris", "P."), ("Paris", "Lyon")]
    assert desk.seen.compared == [True, False]


async def test_a_callable_that_does_not_say_teaches_nothing() -> None:
    def broken(answer: Any, other: Any) -> bool:
        raise KeyError("no such answer")

    desk = Desk(agree=broken)
    async with desk.fleet:
        await desk.ask(CAPITAL)
        desk.embedder.alike(CAPITAL, ALIKE[0], 0.95)
        assert (await desk.ask(ALIKE[0])).status == "completed"
        await desk.fleet.until(lambda: desk.seen.compared == [None])

    (record,) = desk.answers.records.values()
    assert record.bands == ()


async def test_without_the_embedder_every_job_is_called_and_none_fails() -> None:
    embedder = HashedEmbedder()
    embedder.failure = "it is away"
    desk = Desk(embedder=embedder)
    async with desk.fleet:
        replies = [await desk.ask(text) for text in (CAPITAL, *ALIKE[:3])]

    assert {each.provenance for each in replies} == {Provenance.LIVE}
    assert desk.seen.looks == ["no_vector"] * 4
    assert len(desk.prompts.places) == 0


async def test_a_job_waits_for_its_vector_no_longer_than_the_embedder_may_take() -> None:
    embedder = HashedEmbedder()
    embedder.hold.clear()
    desk = Desk(embedder=embedder)
    async with desk.fleet:
        began = desk.fleet.clock.monotonic()
        reply = await desk.ask(CAPITAL)
        waited = desk.fleet.clock.monotonic() - began
        embedder.hold.set()

    assert reply.provenance is Provenance.LIVE
    assert 1.0 <= waited < 2.0
    assert desk.seen.looks == ["no_vector"]


async def test_a_prompt_beyond_the_window_is_called_and_never_compared() -> None:
    desk = Desk(embedder=HashedEmbedder(window=40))
    async with desk.fleet:
        await desk.ask(CAPITAL)
        reply = await desk.ask(f"{CAPITAL} {'x' * 40}")

    assert reply.provenance is Provenance.LIVE
    assert desk.seen.looks == ["none", "unfit"]
    assert len(desk.embedder.calls) == 1


async def test_a_bug_in_the_embedder_or_the_index_fails_no_job(monkeypatch: Any) -> None:
    desk = Desk()

    def broken(*_: Any) -> Any:
        raise RuntimeError("a bug")

    async with desk.fleet:
        await desk.ask(CAPITAL)
        monkeypatch.setattr(desk.prompts.places, "nearest", broken)
        assert (await desk.ask(ALIKE[0])).provenance is Provenance.LIVE
        monkeypatch.setattr(desk.embedder, "fits", broken)
        assert (await desk.ask(ALIKE[1])).provenance is Provenance.LIVE
        monkeypatch.setattr(desk.prompts.experience, "note", broken)
        assert (await desk.ask(ALIKE[2])).provenance is Provenance.LIVE


async def test_a_copy_that_does_not_serve_gives_nothing_and_asks_for_no_vector() -> None:
    desk = Desk()
    async with desk.fleet:
        await desk.teach()
        desk.answers.serves = False
        calls = len(desk.embedder.calls)
        reply = await desk.ask(f"{CAPITAL} Now.")

    assert reply.provenance is Provenance.LIVE
    assert len(desk.embedder.calls) == calls


async def test_jobs_that_come_together_are_called_in_their_order() -> None:
    desk = Desk()
    ids = [f"job-{n:02}" for n in range(40)]
    for each in ids:
        await desk.fleet.publish_raw(encode(asking(each, f"question of {each}")), "extract")
    async with desk.fleet:
        await desk.fleet.until(lambda: len(desk.fleet.replies) == len(ids))

    assert [each.call_id.partition("/")[0] for each in desk.provider.calls] == ids


async def test_one_text_is_asked_for_once() -> None:
    desk = Desk()
    twice = asking("a", CAPITAL, tenant="acme"), asking("b", CAPITAL, tenant="bolt")
    await desk.fleet.publish(*twice)
    async with desk.fleet:
        await desk.fleet.until(lambda: len(desk.fleet.replies) == 2)

    assert desk.embedder.calls == [(CAPITAL,)]


async def test_a_similar_prompts_answer_needs_no_lane() -> None:
    desk = Desk(error_bound=0.5)
    async with desk.fleet:
        await desk.teach()
        desk.provider.hold.clear()
        calls = desk.calls
        others = [asking(f"other-{n}", f"What is {n} and {n}?") for n in range(6)]
        await desk.fleet.publish(*others)
        await desk.fleet.until(lambda: desk.calls == calls + 4)
        for text in ALIKE[-3:]:
            desk.embedder.alike(CAPITAL, text, 0.99)
        alike = [asking(f"alike-{n}", text) for n, text in enumerate(ALIKE[-3:])]
        await desk.fleet.publish(*alike)
        await desk.fleet.until(lambda: any(each.id in desk.fleet.replies for each in alike))
        found = [desk.fleet.replies[each.id] for each in alike if each.id in desk.fleet.replies]
        desk.provider.hold.set()

    assert {each.provenance for each in found} == {Provenance.SEMANTIC}


async def test_what_is_served_is_counted_for_the_report() -> None:
    desk = Desk()
    async with desk.fleet:
        explored = len(await desk.teach()) - 2

    (record,) = desk.answers.records.values()
    serve = record.days[0].serve
    assert serve is not None
    assert (serve.asked, serve.served, serve.checked) == (explored + 1, 1, 0)
    assert found_out(record) == explored


async def test_a_job_that_takes_a_similar_answer_alone_has_one_or_ends_without_a_call() -> None:
    desk = Desk(error_bound=0.5)
    only = {"accept": (Provenance.SEMANTIC,)}
    async with desk.fleet:
        before = await desk.ask(CAPITAL, **only)
        await desk.teach()
        calls = desk.calls
        desk.embedder.alike(CAPITAL, ALIKE[-1], 0.99)
        after = [await desk.ask(ALIKE[-1], **only) for _ in range(4)]

    assert before.failure is not None
    assert before.failure.failure_class is FailureClass.INVALID_JOB
    assert {each.provenance for each in after} >= {Provenance.SEMANTIC}
    assert desk.calls == calls


async def test_a_job_that_is_called_to_compare_has_the_answer_where_its_call_fails() -> None:
    up = [True]
    desk = Desk(lambda _: completion("Paris") if up[0] else REFUSED, error_bound=0.5, recheck=1.0)
    async with desk.fleet:
        reply = await desk.ask(CAPITAL)
        for text in ALIKE:
            desk.embedder.alike(CAPITAL, text, 0.99)
            up[0] = "rechecked" not in desk.seen.looks
            reply = await desk.ask(text)
            if not up[0] and desk.seen.looks[-1] == "rechecked":
                break
            up[0] = True

    assert reply.provenance is Provenance.SEMANTIC
    assert len(reply.attempts) == 1


async def test_a_job_that_is_explored_and_whose_call_fails_has_no_answer() -> None:
    desk = Desk(completion("Paris"), REFUSED)
    async with desk.fleet:
        await desk.ask(CAPITAL)
        desk.embedder.alike(CAPITAL, ALIKE[0], 0.99)
        reply = await desk.ask(ALIKE[0])

    assert desk.seen.looks == ["none", "explored"]
    assert reply.status == "failed"


async def test_a_worker_without_a_semantic_route_has_no_part_in_it() -> None:
    desk = Desk(semantic="off")
    async with desk.fleet:
        await desk.ask(CAPITAL)
        await desk.ask(ALIKE[0])

    assert desk.embedder.calls == []
    assert desk.seen.looks == []
    assert [each.prompt for each in desk.answers.put_entries] == [None, None]
