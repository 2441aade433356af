"""Which prompts may be compared: those that differ in their last user text, and in nothing else."""

from typing import Any

import pytest
from samples import job

from tollway_schemas.job import Job
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.cache.semantic.scope import Scoped, scope_of
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.route import RouteSettings

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def request(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return ChatRequest(messages=tuple(Message(**each) for each in messages), **fields)


def said(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


SYSTEM = {"role": "system", "content": "Be short."}
ASKED = request(SYSTEM, said("What is the capital of France?"), temperature=0.2)


def scoped(
    asked: ChatRequest = ASKED, *, lane: str = "lane", embedder: str = "e", **fields: Any
) -> Scoped | None:
    cache = {name: fields.pop(name) for name in ("scope", "cache_version") if name in fields}
    route = {name: fields.pop(name) for name in ("check",) if name in fields}
    settings = RouteSettings(lanes=("main",), cache=CacheSettings(exact=True, **cache), **route)
    return scope_of(made(asked, **fields), lane, settings, embedder)


def made(asked: ChatRequest, **fields: Any) -> Job:
    return job().model_copy(update={"request": asked, **fields})


def test_another_last_user_text_is_in_the_same_scope() -> None:
    other = request(SYSTEM, said("France has which capital?"), temperature=0.2)

    one, two = scoped(), scoped(other)

    assert one is not None
    assert two is not None
    assert one.scope == two.scope
    assert (one.text, two.text) == ("What is the capital of France?", "France has which capital?")


@pytest.mark.parametrize(
    "changed",
    [
        {"asked": request(said("What is the capital of France?"), temperature=0.2)},
        {"asked": request({**SYSTEM, "content": "Be long."}, said("x"), temperature=0.2)},
        {"asked": request(SYSTEM, said("x"), temperature=0.3)},
        {"asked": request(SYSTEM, said("before"), SYSTEM, said("x"), temperature=0.2)},
        {"asked": request(SYSTEM, {**said("x"), "name": "ann"}, temperature=0.2)},
        {"lane": "another"},
        {"embedder": "another"},
        {"scope": "shared"},
        {"cache_version": "2"},
        {"check": "shop.checks:totals"},
        {"tenant": "bolt"},
        {"route": "other"},
        {"output": OutputSchema(json_schema={"type": "object"})},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_any_other_difference_is_another_scope(changed: dict[str, Any]) -> None:
    one, two = scoped(), scoped(**changed)

    assert one is not None
    assert two is not None
    assert one.scope != two.scope


def test_what_was_said_before_the_last_user_text_is_held_to_be_equal() -> None:
    turns = said("a"), {"role": "assistant", "content": "b"}

    one = scoped(request(*turns, said("and that?")))
    two = scoped(request(said("c"), turns[1], said("and that?")))

    assert one is not None
    assert two is not None
    assert one.scope != two.scope


def test_of_a_message_in_parts_the_last_text_may_differ_and_an_image_may_not() -> None:
    def parts(*given: Any) -> ChatRequest:
        return request(said(given))

    text, other = {"type": "text", "text": "What is it?"}, {"type": "text", "text": "Name it."}
    image = {**IMAGE, "image_url": {"url": "data:image/png;base64,BBBB"}}

    one, two, three = (
        scoped(parts(IMAGE, text)),
        scoped(parts(IMAGE, other)),
        scoped(parts(image, text)),
    )

    assert one is not None
    assert two is not None
    assert three is not None
    assert one.scope == two.scope != three.scope


@pytest.mark.parametrize(
    "asked", [request(SYSTEM), request(said("  ")), request(said((IMAGE,)))], ids=str
)
def test_without_a_user_text_there_is_nothing_to_compare(asked: ChatRequest) -> None:
    assert scoped(asked) is None


def test_the_job_itself_is_not_changed() -> None:
    before = ASKED.model_copy(deep=True)

    scoped()

    assert before == ASKED


def test_a_similar_text_has_another_vector() -> None:
    assert scoped(request(said("x"))) is not None
    assert scoped(request(said("x"), extras={"embeddings": {}})) is None
