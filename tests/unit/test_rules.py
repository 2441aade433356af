"""The rule of a route: what it may return, and that nothing it does harms the worker."""

import asyncio
import re
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from eventually import eventually
from manual_clock import ManualClock
from samples import NOW, job, progress
from structlog.testing import capture_logs
from unconfined import Unconfined

from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.callables.threads import OwnThreads
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ConfigError
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.stand_ins.rule import NoAnswer, RouteRule, RuleAnswers, load_rules
from tollway_workers.telemetry.metrics import Metrics
from tollway_workers.validation.checks import NO_CHECKS, RouteCheck, RouteChecks
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.validator import ResultValidator

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}
#: Blocks of the docs: a route's settings, and its rule.
_KINDS = ("toml", "python")
ROUTE = RouteSettings(lanes=("main",), rule="shop.rules:answer")


class Asked:
    """A rule, and what became of it."""

    def __init__(
        self, rule: Callable[[Job], Any], *, timeout: float = 5.0, checks: RouteChecks = NO_CHECKS
    ) -> None:
        self.why: list[NoAnswer] = []
        self.answers = RuleAnswers(
            {"extract": RouteRule(rule, timeout)},
            ResultValidator(Judge(Unconfined())),
            checks,
            ManualClock(NOW),
            lambda _route, why, _error: self.why.append(why),
        )

    async def text(self, subject: JobProgress) -> str | None:
        found = await self.answers.find(subject)
        if found is None:
            return None
        assert isinstance(found, Completed)
        return found.answer.text


def subject(*, schema: Any = None, route: RouteSettings = ROUTE, **fields: Any) -> JobProgress:
    output = None if schema is None else OutputSchema(json_schema=schema)
    return progress(job(output=output, **fields), route=route)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What hangs waits for this."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_rule_is_given_the_job_and_its_answer_stands_on_its_rung() -> None:
    def answer(asked: Job) -> dict[str, int]:
        return {"n": len(asked.request.messages)}

    found = await Asked(answer).answers.find(subject(schema=SCHEMA))

    assert found is not None
    assert (found.answer.parsed, found.answer.text) == ({"n": 1}, '{"n": 1}')
    assert (found.provenance, found.lane, found.model) == (Provenance.RULE, "main", None)
    assert (found.scripted, found.answer.finish_reason) == (False, None)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("sorry", "sorry"),
        ({"a": [1, None, "ü"]}, '{"a": [1, null, "ü"]}'),
        ([1.5], "[1.5]"),
        ((1, 2), "[1, 2]"),
        (7, "7"),
        (False, "false"),
    ],
)
async def test_text_and_json_are_answers_from_a_function_and_a_coroutine(
    said: Any, text: str
) -> None:
    async def later(asked: Job) -> Any:
        await asyncio.sleep(0)
        return said

    for rule in (lambda asked: said, later, lambda asked: later(asked)):
        assert await Asked(rule).text(subject()) == text


@pytest.mark.parametrize(
    "said",
    [
        *("", " ", "\ud800", "x" * 600_000),
        *(b"x", object(), {1, 2}, {"a": float("nan")}, (float("inf"),), {"a": b"x"}),
    ],
    ids=lambda said: repr(said)[:12],
)
async def test_what_is_neither_text_nor_json_is_no_answer(said: Any) -> None:
    asked = Asked(lambda job: said)

    assert await asked.text(subject()) is None
    assert asked.why == [NoAnswer.INVALID]


@pytest.mark.parametrize("said", [{"n": "many"}, "no JSON", {"m": 1}, [], None])
async def test_an_answer_that_breaks_the_job_s_schema_is_none(said: Any) -> None:
    asked = Asked(lambda job: said)

    assert await asked.text(subject(schema=SCHEMA)) is None
    assert asked.why == [NoAnswer.NONE if said is None else NoAnswer.INVALID]


async def test_the_route_s_check_has_its_word_on_a_rule_too() -> None:
    checks = RouteChecks({"extract": RouteCheck(lambda answer, job: answer["n"] > 1, 5.0)})

    assert await Asked(lambda job: {"n": 1}, checks=checks).text(subject(schema=SCHEMA)) is None
    assert await Asked(lambda job: {"n": 2}, checks=checks).text(subject(schema=SCHEMA))


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("a secret"), RecursionError(), StopIteration()),
        *(SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_rule_raises_is_no_answer_and_never_a_crash(error: BaseException) -> None:
    def fails(asked: Job) -> None:
        raise error

    async def fails_later(asked: Job) -> None:
        raise error

    for rule in (fails, fails_later):
        asked = Asked(rule)
        assert await asked.text(subject()) is None
        assert asked.why == [NoAnswer.ERROR]


async def test_a_rule_that_hangs_has_no_answer_in_time_whichever_way_it_hangs(
    release: threading.Event,
) -> None:
    def hangs(asked: Job) -> None:
        release.wait(30)

    async def waits(asked: Job) -> None:
        await asyncio.Event().wait()

    async def blocks(asked: Job) -> None:
        release.wait(30)

    async def will_not_be_cancelled(asked: Job) -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    for rule in (hangs, waits, blocks, will_not_be_cancelled):
        asked = Asked(rule, timeout=0.05)
        turns = _turns_while(asked.text(subject()))
        assert await turns > 1
        assert asked.why == [NoAnswer.TIMEOUT]


async def _turns_while(asking: Any) -> int:
    """How often the event loop had its turn meanwhile."""
    task, turns = asyncio.ensure_future(asking), 0
    while not task.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert task.result() is None
    return turns


async def test_once_all_threads_of_a_rule_hang_it_has_no_answer_at_once_and_recovers(
    release: threading.Event,
) -> None:
    def hangs(asked: Job) -> str:
        release.wait(30)
        return "late"

    asked = Asked(hangs, timeout=0.05)
    others = Asked(lambda job: "here")
    await asyncio.gather(*(asked.text(subject()) for _ in range(100)))

    assert asked.why.count(NoAnswer.TIMEOUT) == 8
    assert asked.why.count(NoAnswer.HANGS) == 92
    assert await others.text(subject()) == "here"
    assert await asyncio.to_thread(lambda: "here") == "here"
    release.set()
    await eventually(lambda: asked.text(subject()))


async def test_jobs_wait_for_a_thread_as_long_as_their_deadline_lets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def has_a_thread_later(
        threads: OwnThreads, work: Callable[[], Any], patience: float
    ) -> Any:
        await asyncio.sleep(0.1)
        return work()

    monkeypatch.setattr(OwnThreads, "run", has_a_thread_later)
    asked = Asked(lambda job: "yes", timeout=0.02)

    assert await asked.text(subject(seconds=3600.0)) == "yes"
    assert await asked.text(subject(seconds=-5.0)) is None
    assert asked.why == [NoAnswer.TIMEOUT]


async def test_a_rule_is_asked_once_for_each_job() -> None:
    asked: list[str] = []
    rule = Asked(lambda job: asked.append(job.id))
    the_job = subject()

    assert [await rule.text(the_job) for _ in range(3)] == [None, None, None]
    assert (asked, the_job.rule_asked) == (["job-1"], True)


async def test_no_rule_is_asked_for_what_does_not_accept_it_or_has_none() -> None:
    never = Asked(lambda job: pytest.fail("asked"))

    for other in (
        subject(accept=(Provenance.LIVE,)),
        subject(route=ROUTE.model_copy(update={"accept": (Provenance.LIVE,)})),
        subject(route=RouteSettings(lanes=("main",))),
    ):
        assert await never.text(other) is None
    assert never.why == []


async def test_a_rule_cannot_change_its_job() -> None:
    def changes(asked: Job) -> str:
        asked.labels["a"] = "changed"
        return "yes"

    the_job = subject(labels={"a": "b"})

    assert await Asked(changes).text(the_job) == "yes"
    assert the_job.job.labels == {"a": "b"}


async def test_a_cancelled_job_gives_its_rule_up(release: threading.Event) -> None:
    started = threading.Event()

    def hangs(asked: Job) -> None:
        started.set()
        release.wait(30)

    asking = asyncio.create_task(Asked(hangs).text(subject()))
    await asyncio.to_thread(started.wait, 5)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_the_rule_of_the_docs_answers_by_the_settings_of_the_docs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "degradation.md").read_text()
    settings, code = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in _KINDS)
    module = ModuleType("shop.rules")
    exec(code, vars(module))  # noqa: S102 the page's own example
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.rules", module)
    route = RouteSettings.model_validate(tomllib.loads(settings)["routes"]["extract"])
    asked = Asked(load_rules({"extract": route})["extract"].rule)

    def said(text: str) -> JobProgress:
        request = ChatRequest(messages=(Message(role="user", content=text),))
        return subject(route=route, request=request)

    assert await asked.text(said("Where is my refund?")) == '{"label": "billing"}'
    assert await asked.text(said("Hello")) is None


def test_no_answer_is_counted_by_why_and_logged_without_the_job() -> None:
    metrics = Metrics({}, ManualClock(NOW))

    with capture_logs() as lines:
        metrics.rule_had_none("extract", NoAnswer.ERROR, ValueError("a secret"))
        metrics.rule_had_none("extract", NoAnswer.NONE, None)

    counted = metrics.registry.get_sample_value
    for why in ("error", "none"):
        about = {"route": "extract", "why": why}
        assert counted("tollway_rule_unanswered_total", about) == 1.0
    assert [(line["route"], line["why"]) for line in lines] == [
        ("extract", "error"),
        ("extract", "none"),
    ]
    assert "secret" not in str(lines)


def test_rules_are_found_by_module_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(job: Job) -> str:
        return job.id

    def no_rule(answer: Any, job: Job) -> None:
        """Takes two arguments."""

    module = ModuleType("shop_rules")
    vars(module).update({"answer": answer, "no_rule": no_rule, "limit": 3, "Kind": ModuleType})
    monkeypatch.setitem(sys.modules, "shop_rules", module)

    def named(rule: str) -> dict[str, RouteSettings]:
        return {"extract": RouteSettings(lanes=("main",), rule=rule, rule_timeout=2.0)}

    assert load_rules(named("shop_rules:answer")) == {"extract": RouteRule(answer, 2.0)}
    assert load_rules({"extract": RouteSettings(lanes=("main",))}) == {}
    for reference, why in (
        ("shop_rules:nothing", "has no 'nothing'"),
        ("shop_rules:limit", "is int and cannot be called"),
        ("shop_rules:Kind", "is a class, not a function"),
        ("shop_rules:no_rule", r"does not take the one argument \(job\)"),
        ("shop_nowhere:answer", "no module 'shop_nowhere'"),
        ("a-name", "no entry point 'a-name' in the group 'tollway.rules'"),
    ):
        with pytest.raises(ConfigError, match=why) as raised:
            load_rules(named(reference))
        (mistake,) = raised.value.mistakes
        assert mistake.key == "routes.extract.rule"
        assert "shop.rules:answer" in mistake.remedy
