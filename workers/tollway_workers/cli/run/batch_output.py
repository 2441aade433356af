"""Replies and bad lines as lines of OpenAI's Batch output format, and back to how they ended.

Format: https://platform.openai.com/docs/api-reference/batch/request-output
What it has no place for stands under `tollway`.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from tollway_schemas import Answer, Reply, Usage
from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.cli.run.batch import CUSTOM_ID_LABEL, MODEL_LABEL
from tollway_workers.cli.run.batch_line import BadLine

#: Statuses of failures that came before any call, or whose call had none.
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a line of the input ended, as its line of the output tells."""

    line: int
    #: Of the job whose reply it is; 0 for a line that was no job.
    generation: int
    answered: bool
    dead_letter: bool
    attempts: int
    input_tokens: int
    output_tokens: int
    #: Pico-USD; None: unknown.
    cost: int | None


def reply_line(reply: Reply, line: int) -> bytes:
    """The output line for the reply to input line `line`, line break included."""
    failure = reply.failure
    error = None
    if reply.answer is None:
        code = failure.failure_class.value if failure else reply.status
        error = {"code": code, "message": failure.message if failure else "it was cancelled"}
        if failure and failure.problems:
            error["message"] += f" ({'; '.join(failure.problems[:5])})"
    return _line(
        {
            "id": f"batch_req_{reply.job_id}",
            "custom_id": reply.labels.get(CUSTOM_ID_LABEL),
            "response": None if reply.answer is None else _response(reply, reply.answer),
            "error": error,
            "tollway": _ours(reply, line),
        }
    )


def bad_line(bad: BadLine, run_id: str) -> bytes:
    """The output line for a line that is no job, line break included."""
    return _line(
        {
            "id": f"batch_req_{run_id}:line-{bad.line}",
            "custom_id": bad.custom_id,
            "response": None,
            "error": {
                "code": bad.failure_class.value,
                "message": f"line {bad.line}: {bad.message}",
            },
            "tollway": {"line": bad.line, "generation": 0, "attempts": 0, "dead_letter": False},
        }
    )


def read_ending(raw: bytes) -> Ending:
    """How an output line says its input line ended. Raises ValueError if it is none of ours."""
    try:
        item = orjson.loads(raw)
        ours = item["tollway"]
        tokens = ours.get("tokens") or {}
        cost = ours.get("cost_pico_usd")
        return Ending(
            line=int(ours["line"]),
            generation=int(ours["generation"]),
            answered=item["error"] is None,
            dead_letter=bool(ours["dead_letter"]),
            attempts=int(ours["attempts"]),
            input_tokens=int(tokens.get("input", 0)),
            output_tokens=int(tokens.get("output", 0)),
            cost=_cost(int(ours["generation"]), cost),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no output line of a run") from error


def _cost(generation: int, recorded: str | None) -> int | None:
    if generation == 0:
        return 0  # No job, no call.
    return None if recorded is None else int(recorded)


def _line(item: dict[str, Any]) -> bytes:
    return orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE)


def _response(reply: Reply, answer: Answer) -> dict[str, Any]:
    last = reply.attempts[-1] if reply.attempts else None
    request_id = last.provider_request_id if last else None
    return {
        "status_code": _OK,
        "request_id": request_id or reply.job_id,
        "body": {
            "id": f"chatcmpl-{reply.job_id}",
            "object": "chat.completion",
            "created": int(reply.finished_at.timestamp()),
            "model": reply.model or reply.labels.get(MODEL_LABEL) or reply.route,
            "choices": [
                {
                    "index": 0,
                    "message": _message(answer),
                    "logprobs": None,
                    "finish_reason": answer.finish_reason
                    or ("tool_calls" if answer.tool_calls else "stop"),
                }
            ],
            "usage": _usage((last and last.usage) or reply.usage),
        },
    }


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = [
            call.model_dump(mode="json", exclude_none=True) for call in answer.tool_calls
        ]
    return message


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "prompt_tokens_details": {"cached_tokens": usage.input_cached_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _ours(reply: Reply, line: int) -> dict[str, Any]:
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
