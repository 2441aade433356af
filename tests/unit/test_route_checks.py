"""What a route asks of an answer beyond its schema, by code of its operator's own."""

import asyncio
import sys
import threading
from types import ModuleType
from typing import Any

import pytest
from held_memory import holds
from pydantic import BaseModel, model_validator
from samples import job

from tollway_schemas.job import Job
from tollway_schemas.reply import Answer
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ConfigError, InvalidResult
from tollway_workers.validation.check_loading import load_checks
from tollway_workers.validation.checks import RouteCheck, RouteChecks

ANSWER = Answer(text='{"total": 3, "lines": [1, 2]}', parsed={"total": 3, "lines": [1, 2]})


class Invoice(BaseModel):
    """A pydantic model as a check."""

    total: int
    lines: list[int]

    @model_validator(mode="after")
    def _adds_up(self) -> "Invoice":
        if sum(self.lines) != self.total:
            raise ValueError("the lines do not add up to the total")
        return self


def adds_up(answer: Any, job: Job) -> str | None:
    return None if sum(answer["lines"]) == answer["total"] else "/total: is not the sum of /lines"


async def adds_up_later(answer: Any, job: Job) -> list[str]:
    await asyncio.sleep(0)
    return [] if adds_up(answer, job) is None else ["/total: is not the sum of /lines"]


def no_check(answer: Any) -> None:
    """Takes one argument."""


async def _problems(check: Any, answer: Answer = ANSWER, seconds: float = 5.0) -> tuple[str, ...]:
    failures: list[Exception] = []
    checks = RouteChecks(
        {"extract": RouteCheck(check, seconds)}, lambda _, error: failures.append(error)
    )
    try:
        await checks.check(job(), answer)
    except InvalidResult as error:
        assert error.answer == answer.text
        return (*error.problems, *("counted" for _ in failures))
    assert failures == []
    return ()


@pytest.mark.parametrize("check", [adds_up, adds_up_later])
async def test_a_check_finds_what_a_schema_cannot_say(check: Any) -> None:
    bad = Answer(text='{"total": 4, "lines": [1, 2]}', parsed={"total": 4, "lines": [1, 2]})

    assert await _problems(check) == ()
    assert await _problems(check, bad) == ("/total: is not the sum of /lines",)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (None, ()),
        (True, ()),
        ("", ()),
        ([], ()),
        (False, ("/: the route's check refuses the answer",)),
        ("too\nlong " * 50, (("/: " + "too long " * 50)[:200],)),
        (("/a: x", "y"), ("/a: x", "/: y")),
        (["x"] * 50, ("/: x",) * 10),
        (3, ("/: the route's check returned int, not a text or several", "counted")),
        ([3], ("/: the route's check named a problem that is int, not a text", "counted")),
    ],
)
async def test_what_a_check_returns_is_none_or_problems(
    said: Any, problem: tuple[str, ...]
) -> None:
    async def later(answer: Any, job: Job) -> Any:
        return said

    for check in (lambda answer, job: said, later):
        assert tuple(each.strip() for each in await _problems(check)) == tuple(
            each.strip() for each in problem
        )


@pytest.mark.parametrize(
    "error", [ValueError("a secret"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
async def test_what_a_check_raises_is_a_bad_answer_and_never_a_crash(error: BaseException) -> None:
    def fails(answer: Any, job: Job) -> None:
        raise error

    async def fails_later(answer: Any, job: Job) -> None:
        raise error

    for check in (fails, fails_later):
        said = await _problems(check)

        assert said == (f"/: the route's check failed ({type(error).__name__})", "counted")


async def test_a_check_that_hangs_is_a_bad_answer_and_holds_up_no_other() -> None:
    release = threading.Event()

    def hangs(answer: Any, job: Job) -> None:
        release.wait(30)

    async def hangs_too(answer: Any, job: Job) -> None:
        await asyncio.Event().wait()

    try:
        for check in (hangs, hangs_too):
            said = await _problems(check, seconds=0.05)
            assert said == ("/: the route's check said nothing within 0.05 s", "counted")
    finally:
        release.set()


async def test_a_check_sees_a_copy() -> None:
    def changes(answer: Any, job: Job) -> None:
        answer["total"] = "changed"

    assert await _problems(changes) == ()
    assert ANSWER.parsed == {"total": 3, "lines": [1, 2]}


async def test_a_cancelled_job_ends_its_check() -> None:
    async def hangs(answer: Any, job: Job) -> None:
        await asyncio.Event().wait()

    checking = asyncio.create_task(_problems(hangs))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    checking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await checking


def _routes(check: str) -> dict[str, RouteSettings]:
    return {"extract": RouteSettings(lanes=("main",), check=check)}


async def test_checks_are_found_by_module_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shop_checks")
    named = {"adds_up": adds_up, "Invoice": Invoice, "no_check": no_check, "limit": 3}
    vars(module).update(named)
    monkeypatch.setitem(sys.modules, "shop_checks", module)
    bad = Answer(text='{"total": 4, "lines": [1, 2]}', parsed={"total": 4, "lines": [1, 2]})

    assert load_checks(_routes("shop_checks:adds_up"))["extract"].check is adds_up
    model = load_checks(_routes("shop_checks:Invoice"))["extract"].check
    assert await _problems(model) == ()
    assert await _problems(model, bad) == ("/: the lines do not add up to the total",)
    for reference, why in (
        ("shop_checks:nothing", "has no 'nothing'"),
        ("shop_checks:limit", "is int and cannot be called"),
        ("shop_checks:no_check", "does not take the two arguments"),
        ("shop_nowhere:check", "no module 'shop_nowhere'"),
        ("a-name", "no entry point 'a-name'"),
    ):
        with pytest.raises(ConfigError, match=why) as raised:
            load_checks(_routes(reference))
        assert raised.value.mistakes[0].key == "routes.extract.check"


async def test_a_machine_without_a_thread_left_costs_a_check_no_place_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = RouteChecks({"extract": RouteCheck(adds_up, 5.0)})

    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none_left)
        for _ in range(10):
            with pytest.raises(InvalidResult):
                await checks.check(job(), ANSWER)

    async with asyncio.timeout(5):
        await checks.check(job(), ANSWER)


async def sound_later(answer: Any, job: Job) -> None:
    """Finds nothing."""


@pytest.mark.parametrize("sound", [lambda answer, job: None, sound_later], ids=["thread", "loop"])
async def test_a_copy_waits_for_memory_and_that_is_no_time_of_the_check(sound: Any) -> None:
    large = Answer(text="a" * 65_537)
    written = asyncio.Event()
    # The oldest has its own memory, and the other all that is left.
    others = [asyncio.create_task(holds(size, written)) for size in (1, 24 * 2**20)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.1, written.set)

    assert await _problems(sound, large, seconds=0.02) == ()
    assert written.is_set()
    await asyncio.gather(*others)
