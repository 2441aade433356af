"""Whose a job is: an id alone is nobody's, and no job has the answer to another's question."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_fleet import NAMES, MemoryFleet, memory_broker
from samples import job, lane
from scripted_provider import ScriptedProvider, completion

from tollway_schemas.codec import decode, encode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, Priority, ReplyAddress
from tollway_schemas.reply import Reply
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.duplicates import job_digest
from tollway_workers.providers.base import Completion, ProviderCall

_ROUTES = {
    "extract": RouteSettings(lanes=("main",)),
    "ours": RouteSettings(lanes=("main",), tenant="a"),
    "theirs": RouteSettings(lanes=("other",), tenant="b"),
}
_NUMBER: dict[str, Any] = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer"}},
}


def asking(text: str) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=text),))


def echo(call: ProviderCall) -> Completion:
    """What was asked, so that each answer tells whose it is."""
    return completion(orjson.loads(call.body)["messages"][-1]["content"])


class Desk:
    """A fleet of two lanes over topics of two services."""

    def __init__(self) -> None:
        self.main, self.other = ScriptedProvider([echo]), ScriptedProvider([echo])
        broker = memory_broker(*_ROUTES, lanes=("main", "other"), tiers=(15.0,), partitions=1)
        for topic in ("mine", "yours", "gone"):
            broker.create_topic(topic, 2)
        lanes = {lane("main", concurrency=1): self.main, lane("other"): self.other}
        self.fleet = MemoryFleet(lanes, _ROUTES, broker=broker, tiers=(15.0,))
        del broker.topics["gone"]

    @property
    def calls(self) -> int:
        return len(self.main.calls) + len(self.other.calls)

    @property
    def written(self) -> list[Reply]:
        """All replies, wherever they stand, in the order of their topics."""
        topics = [NAMES.replies, "mine", "yours"]
        records = [each for topic in topics for each in self.fleet.broker.records(topic)]
        return [decode(Reply, record.value) for record in records]

    async def answered(self, *jobs: Job) -> list[Reply]:
        """The replies, once each job has one."""
        before = len(self.written)
        await self.fleet.publish(*jobs)
        await self.fleet.until(
            lambda: len(self.written) >= before + len(jobs) and self.fleet.lag == 0
        )
        return self.written


def text_of(reply: Reply) -> str | None:
    return None if reply.answer is None else reply.answer.text


_FIRST = job("42", request=asking("first"))
_OTHERS = {
    "another route": job("42", request=asking("first"), route="ours"),
    "another tenant": job("42", request=asking("first"), tenant="t"),
    "another question": job("42", request=asking("second")),
    "another schema": job("42", request=asking("first"), output=OutputSchema(json_schema=_NUMBER)),
    "another topic": job("42", request=asking("first"), reply_to=ReplyAddress(topic="mine")),
    "another partition": job(
        "42", request=asking("first"), reply_to=ReplyAddress(topic="mine", partition=1)
    ),
    "another limit": job(
        "42", request=ChatRequest(messages=_FIRST.request.messages, max_output_tokens=5)
    ),
    "a field of a newer release": Job.model_validate(
        _FIRST.model_dump() | {"priority": Priority.BULK, "accept": ("live",)}
    ),
}


@pytest.mark.parametrize("in_flight", [True, False])
@pytest.mark.parametrize("other", _OTHERS.values(), ids=_OTHERS)
async def test_what_has_the_id_and_is_another_s_is_called_for_itself(
    other: Job, in_flight: bool
) -> None:
    desk = Desk()
    async with desk.fleet:
        if in_flight:
            await desk.answered(_FIRST, other)
        else:
            await desk.answered(_FIRST)
            await desk.answered(other)
        once = desk.calls
        await desk.answered(_FIRST, other)

    # No echo satisfies the schema: it is asked for again.
    assert once == (3 if other.output else 2)
    assert desk.calls == once
    assert len(desk.written) == 4
    assert [text_of(each) for each in desk.written].count("first") == (
        2 if other.output or other.request == asking("second") else 4
    )


async def test_two_teams_that_count_alike_get_each_its_own_answer_under_its_own_schema() -> None:
    desk = Desk()
    ours = job("42", request=asking("secret of a"), route="ours", reply_to=_to("mine"))
    theirs = job("42", request=asking("question of b"), route="theirs", reply_to=_to("yours"))
    async with desk.fleet as fleet:
        await desk.answered(ours)
        await desk.answered(theirs)
        await desk.answered(ours, theirs)

    texts = {
        topic: {text_of(decode(Reply, each.value)) for each in fleet.broker.records(topic)}
        for topic in ("mine", "yours")
    }
    assert texts == {"mine": {"secret of a"}, "yours": {"question of b"}}
    assert desk.calls == 2


def _to(topic: str, token: str | None = None) -> ReplyAddress:
    return ReplyAddress(topic=topic, partition=0, token=token)


async def test_a_tenant_that_is_only_claimed_on_a_bound_route_makes_no_other_job() -> None:
    desk = Desk()
    async with desk.fleet:
        await desk.answered(job("42", route="ours"), job("42", route="ours", tenant="b"))

    assert desk.calls == 1
    assert {reply.tenant for reply in desk.written} == {None, "b"}


async def test_a_copy_has_its_own_words_on_the_reply_that_it_shares() -> None:
    desk = Desk()
    first = job("42", labels={"of": "first"}, run="one", reply_to=_to("mine", "t1"))
    second = job("42", labels={"of": "second"}, run="two", reply_to=_to("mine", "t2"))
    async with desk.fleet:
        await desk.answered(first, second)

    assert desk.calls == 1
    assert [(reply.labels["of"], reply.run, reply.token) for reply in desk.written] == [
        ("first", "one", "t1"),
        ("second", "two", "t2"),
    ]


async def test_a_reply_in_the_same_batch_to_another_s_job_of_that_id_is_not_taken() -> None:
    desk = Desk()
    other = job("42", request=asking("of others"), tenant="b")
    async with desk.fleet as fleet:
        await desk.answered(job("42", request=asking("mine"), tenant="a"))
        await desk.answered(other)
        log = fleet.broker.topics[NAMES.replies][0]
        # As where a topic was made anew: the places that are remembered hold others' replies.
        log.reverse()
        await desk.answered(job("42", request=asking("mine"), tenant="a"), other)

    assert desk.calls == 4
    assert {(reply.tenant, text_of(reply)) for reply in desk.written} == {
        ("a", "mine"),
        ("b", "of others"),
    }


async def test_a_copy_with_a_later_deadline_outlives_the_first_that_expired() -> None:
    desk = Desk()
    desk.main.hold.clear()
    async with desk.fleet as fleet:
        await fleet.publish(job("ahead"))
        await fleet.until(lambda: desk.calls == 1)
        await fleet.publish(
            job("42", seconds=5.0, priority=Priority.INTERACTIVE),
            job("42", seconds=500.0, priority=Priority.INTERACTIVE),
        )
        await fleet.until(lambda: len(desk.written) == 1)
        desk.main.hold.set()
        await fleet.until(lambda: len(desk.written) == 3 and fleet.lag == 0)

    statuses = [reply.status for reply in desk.written if reply.job_id == "42"]
    assert statuses == ["failed", "completed"]


_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.text("ab1", min_size=1, max_size=3),
    "generation": st.integers(1, 3),
    "route": st.sampled_from(["extract", "other"]),
    "request": st.builds(
        lambda text, limit, extra: ChatRequest(
            messages=(Message(role="user", content=text),),
            max_output_tokens=limit,
            extras={"openai": extra} if extra else {},
        ),
        _TEXT,
        st.none() | st.integers(1, 3),
        st.dictionaries(
            _TEXT, st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | _TEXT, max_size=2
        ),
    ),
    "output": st.none() | st.builds(OutputSchema, json_schema=st.sampled_from([True, _NUMBER])),
    "reply_to": st.none()
    | st.builds(
        ReplyAddress, topic=st.sampled_from(["x", "y"]), partition=st.none() | st.integers(0, 2)
    ),
}
_APART: dict[str, st.SearchStrategy[Any]] = {
    "run": st.none() | _TEXT,
    "labels": st.dictionaries(_TEXT, _TEXT, max_size=2),
    "priority": st.sampled_from(list(Priority)),
    "tenant": st.none() | _TEXT,
}


@given(
    st.fixed_dictionaries(_FIELDS),
    st.fixed_dictionaries(_FIELDS),
    st.fixed_dictionaries(_APART),
    st.fixed_dictionaries(_APART),
    st.none() | _TEXT,
)
def test_a_digest_is_equal_for_equal_jobs_and_for_no_others(
    one: dict[str, Any],
    two: dict[str, Any],
    says: dict[str, Any],
    also_says: dict[str, Any],
    tenant: str | None,
) -> None:
    first, copy = job(**_as_job(one, says)), job(**_as_job(one, also_says))
    read_again = decode(Job, encode(first))
    assert job_digest(first, tenant) == job_digest(copy, tenant) == job_digest(read_again, tenant)
    assert job_digest(first, tenant) != job_digest(first, f"{tenant}+")

    for name, value in two.items():
        other = job(**_as_job(one | {name: value}, says))
        same = encode(other) == encode(first)
        assert (job_digest(other, tenant) == job_digest(first, tenant)) is same


def _as_job(fields: dict[str, Any], says: dict[str, Any]) -> dict[str, Any]:
    return {("job_id" if name == "id" else name): value for name, value in (fields | says).items()}


@pytest.mark.parametrize("where", ["gone", "mine"], ids=["it never was", "it was deleted"])
async def test_replies_to_a_topic_that_is_gone_are_kept_and_neighbours_are_answered(
    where: str,
) -> None:
    desk = Desk()
    async with desk.fleet as fleet:
        fleet.broker.topics.pop(where, None)
        lost = job("lost", request=asking("paid for"), reply_to=_to(where))
        kept = job("kept", request=asking("well"), reply_to=_to("yours"))
        await fleet.publish(lost, kept, lost)
        await fleet.until(lambda: fleet.lag == 0)

    (answered,) = fleet.broker.records("yours")
    elsewhere = [decode(Reply, each.value) for each in fleet.broker.records(NAMES.replies)]
    (letter,) = [decode(DeadLetter, each.value) for each in fleet.dead_letters]
    assert text_of(decode(Reply, answered.value)) == "well"
    assert [(text_of(reply), reply.dead_letter) for reply in elsewhere] == [("paid for", True)] * 2
    assert letter.failure.failure_class is FailureClass.REPLY_UNDELIVERABLE
    assert letter.failure.message == (
        f"the job's reply topic {where} does not exist: its reply was written to {NAMES.replies}"
    )
    assert [each.text for each in letter.bad_answers] == ["paid for"]
