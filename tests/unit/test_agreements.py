"""Whether two answers agree, by code of the operator's own: whatever it does, no job is touched."""

import asyncio
import threading
from typing import Any

import pytest

from tollway_schemas.reply import Answer
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ConfigError
from tollway_workers.pipeline.agreements import Agreements, RouteAgreement, load_agreements

KEPT, FRESH = Answer(text='{"a": 1}', parsed={"a": 1}), Answer(text='{"a": 2}', parsed={"a": 2})


def agreements(agree: Any, timeout: float = 5.0) -> tuple[Agreements, list[Exception]]:
    failed: list[Exception] = []
    made = Agreements({"r": RouteAgreement(agree, timeout)}, lambda _, error: failed.append(error))
    return made, failed


async def test_a_callable_is_given_both_answers_in_a_thread_of_its_own() -> None:
    given: list[Any] = []

    def same(answer: Any, other: Any) -> bool:
        given.append((answer, other, threading.current_thread() is threading.main_thread()))
        return True

    made, failed = agreements(same)

    assert not made.at_once("r", KEPT, FRESH)
    assert await made.agree("r", KEPT, FRESH) is True
    assert given == [({"a": 1}, {"a": 2}, False)]
    assert failed == []


async def test_a_coroutine_may_say_it() -> None:
    async def differ(answer: Any, other: Any) -> bool:
        await asyncio.sleep(0)
        return bool(answer == other)

    made, _ = agreements(differ)

    assert await made.agree("r", KEPT, FRESH) is False


def _raises(*_: Any) -> bool:
    raise SystemExit(1)


def _none(*_: Any) -> Any:
    return None


def _hangs(*_: Any) -> bool:
    threading.Event().wait(30)
    return True


@pytest.mark.parametrize("broken", [_raises, _none, _hangs])
async def test_a_callable_that_does_not_say_leaves_them_uncompared(broken: Any) -> None:
    made, failed = agreements(broken, 0.05)

    assert await made.agree("r", KEPT, FRESH) is None
    assert len(failed) == 1


async def test_without_a_callable_only_large_answers_take_time() -> None:
    made = Agreements()
    large = Answer(text="x" * 100_000)

    assert made.at_once("r", KEPT, FRESH)
    assert not made.at_once("r", KEPT, large)
    assert await made.agree("r", large, large) is True


def test_callables_of_routes_that_look_for_similar_prompts_are_loaded() -> None:
    def route(semantic: Any, agree: str) -> RouteSettings:
        cache = CacheSettings(exact=True, semantic=semantic, embedder="e", agree=agree)
        return RouteSettings(lanes=("l",), cache=cache)

    loaded = load_agreements({"on": route("shadow", "operator:eq"), "off": route("off", "no:no")})
    assert list(loaded) == ["on"]
    with pytest.raises(ConfigError, match=r"routes\.on\.cache\.agree.*cannot be imported"):
        load_agreements({"on": route("serve", "no_such_module:same")})
