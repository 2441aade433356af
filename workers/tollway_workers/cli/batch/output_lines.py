"""Replies and bad lines as lines of a batch's output, and back to how they ended.

Each in the form of its input: https://platform.openai.com/docs/api-reference/batch/request-output
or https://platform.claude.com/docs/en/api/retrieving-message-batch-results. What a form has no
place for stands under `tollway`.
"""

import sys
from dataclasses import dataclass
from typing import Any

import orjson
import pydantic_core

from tollway_schemas import Answer, Provenance, Reply, Usage
from tollway_schemas.bounds import MOST
from tollway_schemas.usage import MOST_PICO_USD, MOST_TOKENS, PICO_PER_USD
from tollway_workers.cli.batch.forms.anthropic_message import anthropic_error, anthropic_message
from tollway_workers.cli.batch.forms.chat_completion import beside_the_completion, chat_completion
from tollway_workers.cli.batch.forms.embedding_list import embedding_list
from tollway_workers.cli.batch.forms.response_object import response_object
from tollway_workers.cli.batch.labels import CUSTOM_ID_LABEL, FORM_LABEL, MODEL_LABEL, LineForm
from tollway_workers.cli.batch.line import BadLine
from tollway_workers.cli.run.watching.calls import NO_CALLS, Calls, calls_of

_OK = 200
#: Of one line, all its generations together.
_MOST_CALLS = 2**40
#: Characters of a name that is counted by.
_MOST_WORD = 80
#: Of forms that are not a chat completion's.
_BODIES = {LineForm.RESPONSES: response_object, LineForm.EMBEDDINGS: embedding_list}
#: Error code of an answer that is not the one that was asked for.
_OTHER = "other_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a line of the input ended, as its line of the output tells."""

    line: int
    #: Of the job whose reply it is; 0 for a line that was no job.
    generation: int
    answered: bool
    dead_letter: bool
    #: With those of earlier generations, as tokens and cost.
    calls: Calls
    input_tokens: int
    output_tokens: int
    #: Pico-USD; None: unknown.
    cost: int | None
    #: Of the job; None for a line that was none.
    route: str | None = None
    #: The rung that answered, where that is not the first lane with its first answer: `by rule`.
    rung: str | None = None
    #: Why it waited, in a word: the state of its lane.
    waited: str | None = None


def reply_line(
    reply: Reply, line: int, *, earlier: Ending | None = None, refused: str | None = None
) -> bytes:
    """The output line for the reply to input line `line`, line break included.

    `earlier`: how the line ended before, whose calls were paid too; `refused`: why the answer is
    not the one that was asked for.
    """
    error = _error(reply) if refused is None else {"code": _OTHER, "message": refused}
    answer = reply.answer if error is None else None
    form = _form_of(reply)
    ours = _ours(reply, line, earlier)
    if form is LineForm.ANTHROPIC:
        said = _anthropic_result(reply, answer, error)
        # A result has no room for it where the line expired or was cancelled.
        ours["error"] = None if answer else error
    else:
        said = {"response": _response(reply, answer, form) if answer else None, "error": error}
    return _line(
        {
            "id": f"batch_req_{reply.job_id}",
            "custom_id": reply.labels.get(CUSTOM_ID_LABEL),
            **said,
            "tollway": ours,
        }
    )


def _form_of(reply: Reply) -> LineForm:
    """The form of the line that it is the reply to."""
    try:
        return LineForm(reply.labels.get(FORM_LABEL, LineForm.CHAT))
    except ValueError:
        return LineForm.CHAT


def _anthropic_result(
    reply: Reply, answer: Answer | None, error: dict[str, str] | None
) -> dict[str, Any]:
    if answer is not None:
        return {"result": {"type": "succeeded", "message": anthropic_message(reply, answer)}}
    error = error or {"code": reply.status, "message": "there is no answer"}
    return {"result": anthropic_error(error["code"], error["message"])}


def _error(reply: Reply) -> dict[str, str] | None:
    failure = reply.failure
    if reply.answer is not None:
        return None
    if failure is None:
        return {"code": reply.status, "message": "it was cancelled"}
    message = failure.message
    if failure.problems:
        message += f" ({'; '.join(failure.problems[:5])})"
    return {"code": failure.failure_class.value, "message": message}


def bad_line(bad: BadLine, run_id: str) -> bytes:
    """The output line for a line that is no job, line break included."""
    error = {"code": bad.failure_class.value, "message": f"line {bad.line}: {bad.message}"}
    ours: dict[str, Any] = {"line": bad.line, "generation": 0, "attempts": 0, "dead_letter": False}
    if bad.form is LineForm.ANTHROPIC:
        said: dict[str, Any] = {"result": anthropic_error(error["code"], error["message"])}
        ours["error"] = error
    else:
        said = {"response": None, "error": error}
    return _line(
        {
            "id": f"batch_req_{run_id}:line-{bad.line}",
            "custom_id": bad.custom_id,
            **said,
            "tollway": ours,
        }
    )


def read_ending(raw: bytes) -> Ending:
    """How an output line says its input line ended. Raises ValueError if it is none of ours."""
    try:
        item = orjson.loads(raw)
        ours = item["tollway"]
        parts = [ours, ours["earlier"]] if ours.get("earlier") else [ours]
        tokens = [part.get("tokens") or {} for part in parts]
        return Ending(
            line=_number(ours["line"], MOST_TOKENS, least=1),
            generation=_number(ours["generation"], MOST),
            answered=_answered(item),
            dead_letter=bool(ours["dead_letter"]),
            calls=sum(map(_calls, parts), NO_CALLS),
            input_tokens=sum(_tokens_of(each, "input") for each in tokens),
            output_tokens=sum(_tokens_of(each, "output") for each in tokens),
            cost=_cost(parts),
            # A line each in memory: the same few names.
            route=sys.intern(str(ours["route"])) if "route" in ours else None,
            rung=_rung(ours) if _answered(item) else None,
            waited=_waited(ours),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no output line of a run") from error


def _answered(item: dict[str, Any]) -> bool:
    if "result" in item:
        return bool(item["result"]["type"] == "succeeded")
    return item["error"] is None


def _rung(ours: dict[str, Any]) -> str | None:
    """Of an answer; None where the first lane gave it as it had to be."""
    match ours.get("provenance"):
        case None | Provenance.LIVE:
            return None
        case Provenance.FALLBACK:
            lane = str(ours.get("lane"))[:_MOST_WORD]
            return sys.intern(f"by fallback lane {lane}")
        case (
            Provenance.REASKED
            | Provenance.REPAIRED
            | Provenance.CACHED
            | Provenance.SEMANTIC
            | Provenance.STALE as made
        ):
            return sys.intern(str(made))
        case other:
            return sys.intern(f"by {str(other)[:_MOST_WORD]}")


def _waited(ours: dict[str, Any]) -> str | None:
    """The state of the lane that it waited for: the first word of the reason."""
    reason = ours.get("waited")
    return None if reason is None else sys.intern(str(reason)[:_MOST_WORD].partition(":")[0])


def _calls(part: dict[str, Any]) -> Calls:
    """All calls: those of which nothing but a count is kept are among the uncharged."""
    if "refused" in part:
        # Of the generations before, which are summed already.
        return Calls(
            total=_number(part["attempts"], _MOST_CALLS),
            refused=_number(part["refused"], _MOST_CALLS),
            unconnected=_number(part["unconnected"], _MOST_CALLS),
        )
    uncharged = part.get("uncharged", {})
    told = calls_of((kind, _number(calls, _MOST_CALLS)) for kind, calls in uncharged.items())
    total = _number(part["attempts"], _MOST_CALLS)
    return Calls(total=total, refused=told.refused, unconnected=told.unconnected)


def _cost(parts: list[dict[str, Any]]) -> int | None:
    """Of all parts together; None if that of any is unknown."""
    if int(parts[0]["generation"]) == 0:
        return 0  # No job, no call.
    costs = [part.get("cost_pico_usd") for part in parts]
    known = [
        _number(cost, MOST_PICO_USD, least=-MOST_PICO_USD) for cost in costs if cost is not None
    ]
    return sum(known) if len(known) == len(costs) else None


def _tokens_of(told: dict[str, Any], which: str) -> int:
    """As far as JSON tells it: a provider may have said anything, again and again."""
    return min(_number(told.get(which, 0), MOST_PICO_USD), MOST_TOKENS)


def _number(value: Any, most: int, least: int = 0) -> int:
    """The whole number; those of all lines together have to be told."""
    number = int(value)
    if not least <= number <= most:
        raise ValueError("a number that no run writes")
    return number


def _line(item: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # A provider's number beyond 64 bits.
        return pydantic_core.to_json(item) + b"\n"


def _response(reply: Reply, answer: Answer, form: LineForm) -> dict[str, Any]:
    last = reply.attempts[-1] if reply.attempts else None
    request_id = last.provider_request_id if last else None
    return {
        "status_code": _OK,
        "request_id": request_id or reply.job_id,
        "body": _BODIES.get(form, chat_completion)(reply, answer),
    }


def _ours(reply: Reply, line: int, earlier: Ending | None) -> dict[str, Any]:
    seconds = (reply.finished_at - reply.created_at).total_seconds()
    return {
        "line": line,
        "job_id": reply.job_id,
        "generation": reply.generation,
        "status": reply.status,
        "route": reply.route,
        "requested_model": reply.labels.get(MODEL_LABEL),
        "lane": reply.lane,
        "provenance": reply.provenance.value if reply.provenance else None,
        "age": reply.age,
        "cached_from": None if reply.cached_from is None else reply.cached_from.job_id,
        "similarity": reply.similarity,
        "scripted": reply.scripted,
        "revalidated": reply.revalidated,
        "waited": reply.waited,
        "attempts": reply.calls,
        "uncharged": {kind.value: calls for kind, calls in reply.uncharged.items()},
        "attempt_log": [
            attempt.model_dump(mode="json", exclude_none=True) for attempt in reply.attempts
        ],
        "tokens": _tokens(reply.usage),
        "cost_pico_usd": None if reply.cost is None else str(reply.cost),
        "cost_usd": None if reply.cost is None else reply.cost / PICO_PER_USD,
        "seconds": round(max(seconds, 0.0), 3),
        "dead_letter": reply.dead_letter,
        "worker": reply.worker,
        "earlier": None if earlier is None else _earlier(earlier),
        **({} if reply.answer is None else beside_the_completion(reply.answer)),
    }


def _earlier(ending: Ending) -> dict[str, Any]:
    """What the generations before this one took."""
    return {
        "generation": ending.generation,
        "attempts": ending.calls.total,
        "refused": ending.calls.refused,
        "unconnected": ending.calls.unconnected,
        "tokens": {"input": ending.input_tokens, "output": ending.output_tokens},
        "cost_pico_usd": None if ending.cost is None else str(ending.cost),
    }


def _tokens(usage: Usage | None) -> dict[str, Any] | None:
    """Of all attempts together: what was paid for, not only the answer that was kept."""
    if usage is None:
        return None
    return {
        "input": usage.input_total,
        "output": usage.output_total,
        "estimated": usage.estimated,
    }
