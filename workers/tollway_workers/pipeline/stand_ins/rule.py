"""The rule of a route: a callable of the operator's own that answers where no lane can.

It is code of somebody else: whatever it raises, returns or takes for time is no answer at worst.
"""

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_workers.callables.loading import Kind, is_coroutine, load_callables
from tollway_workers.callables.own_loop import OwnLoop
from tollway_workers.callables.threads import AllThreadsHang, OwnThreads
from tollway_workers.clock import Clock
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import InvalidResult, ProviderError
from tollway_workers.job.accepted import may_ask_rule
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.validate import validated
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.validation.checks import RouteChecks
from tollway_workers.validation.validator import ResultValidator

#: Threads of one route's rule.
_THREADS = 8
#: Seconds that a coroutine may take to end once it is cancelled, before its thread is given up.
_CANCELLED_WITHIN = 0.5
#: Bytes of an answer: a reply has to hold it.
_MOST_BYTES = 512 * 1024

Rule = Callable[[Job], Any]


class NoAnswer(StrEnum):
    """Why a rule has no answer for a job: a label of its metric."""

    NONE = "none"
    INVALID = "invalid"
    ERROR = "error"
    TIMEOUT = "timeout"
    HANGS = "hangs"


class NotAnAnswer(Exception):
    """What a rule returned is neither text that UTF-8 carries, nor JSON, nor short enough."""


Unanswered = Callable[[str, NoAnswer, Exception | None], None]


@dataclass(frozen=True, slots=True)
class RouteRule:
    """The rule of one route."""

    rule: Rule
    #: Seconds.
    timeout: float


def load_rules(routes: Mapping[str, RouteSettings]) -> dict[str, RouteRule]:
    """The rules of the routes that have one. Raises ConfigError with every mistake."""
    loaded = load_callables({name: each.rule for name, each in routes.items()}, "rule", _RULES)
    return {name: RouteRule(each, routes[name].rule_timeout) for name, each in loaded.items()}


_RULES = Kind(
    group="tollway.rules",
    parameters=("job",),
    remedy="name a callable (job) of an installed module, as in shop.rules:answer",
)


class RuleAnswers:
    """A `Rung`: asks the rule of the job's route, once for each job.

    State: the threads of each rule.
    """

    def __init__(
        self,
        rules: Mapping[str, RouteRule],
        validator: ResultValidator,
        checks: RouteChecks,
        clock: Clock,
        unanswered: Unanswered = lambda _route, _why, _error: None,
    ) -> None:
        """`checks`: what routes ask of any answer; `unanswered` is told of each that is none."""
        self._rules = {route: _Running(route, rule) for route, rule in rules.items()}
        self._validator = validator
        self._checks = checks
        self._clock = clock
        self._unanswered = unanswered

    async def find(self, job: JobProgress) -> Completed | None:
        """See `Rung`."""
        rule = self._rules.get(job.job.route)
        if rule is None or not may_ask_rule(job):
            return None
        job.rule_asked = True
        left = job.deadline - self._clock.now()
        try:
            text = await rule.answer(job.job, left)
            if text is None:
                self._unanswered(job.job.route, NoAnswer.NONE, None)
                return None
            answer = await validated(self._validator, self._checks, job, _completion(text))
        except Exception as error:  # noqa: BLE001 whatever an operator's own code raises
            self._unanswered(job.job.route, _why(error), error)
            return None
        return Completed(answer, Provenance.RULE, job.lane, model=None)


class _Running:
    """One rule, and where it runs: never in our event loop, not even as a coroutine, as what
    blocks there would hold up the worker.
    """

    def __init__(self, route: str, rule: RouteRule) -> None:
        self._rule = rule
        self._grace = _CANCELLED_WITHIN if is_coroutine(rule.rule) else 0.0
        self._threads = OwnThreads(f"rule-{route}", _THREADS)
        self._loop = OwnLoop(f"rule-loop-{route}")

    async def answer(self, job: Job, left: float) -> str | None:
        """The text of its answer; None where it has none.

        It waits for a thread as long as the job has time (`left`, in seconds). Raises TimeoutError,
        AllThreadsHang, NotAnAnswer, and whatever the rule does.
        """
        patience = self._rule.timeout + self._grace
        async with asyncio.timeout(max(left, 0.0) + patience):
            return await self._threads.run(lambda: self._said(job), patience)

    def _said(self, job: Job) -> str | None:
        # A copy: what the rule does to it changes neither reply nor dead letter.
        said = self._rule.rule(job.model_copy(deep=True))
        if inspect.isawaitable(said):
            said = self._loop.wait_for(said, self._rule.timeout)
        return _text_of(said)


def _text_of(said: Any) -> str | None:
    """Text as it is, anything else as JSON. Raises NotAnAnswer."""
    if said is None:
        return None
    text = said if isinstance(said, str) else _as_json(said)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise NotAnAnswer from None
    if size > _MOST_BYTES:
        raise NotAnAnswer
    return text


def _as_json(said: Any) -> str:
    if not isinstance(said, dict | list | tuple | int | float):
        raise NotAnAnswer
    try:
        return json.dumps(said, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise NotAnAnswer from None


def _completion(text: str) -> Completion:
    """As if a model had said it, so that it is held to all that an answer of one is."""
    return Completion(
        text=text,
        tool_calls=(),
        finish=Finish.STOP,
        finish_reason=None,
        usage=None,
        model_served=None,
        provider_request_id=None,
        status=200,
        scripted=False,
        body=b"",
    )


def _why(error: Exception) -> NoAnswer:
    match error:
        case AllThreadsHang():
            return NoAnswer.HANGS
        case TimeoutError():
            return NoAnswer.TIMEOUT
        case InvalidResult() | ProviderError() | NotAnAnswer():
            return NoAnswer.INVALID
        case _:
            return NoAnswer.ERROR
