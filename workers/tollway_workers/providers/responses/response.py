"""OpenAI's Responses: from the bytes of an answer to a completion. Pure.

Protocol: https://platform.openai.com/docs/api-reference/responses/object, and what other servers
that speak it make of it: anything may be missing, null or of another type.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tollway_schemas.request import ToolCall, ToolCallFunction
from tollway_schemas.usage import Usage
from tollway_workers.errors import ProviderError
from tollway_workers.job.readable_json import ReadJson, is_too_deep
from tollway_workers.providers.answer_body import (
    are_counts,
    arguments_text,
    count,
    few,
    more_follows,
    read_answer,
    reported_cost,
    word,
)
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.providers.finish_reason import read_finish
from tollway_workers.providers.responses.errors import (
    RULES,
    classify_in_answer,
    no_completion,
    of_response,
    request_id,
)
from tollway_workers.providers.responses.stream import EventStream
from tollway_workers.providers.scripted import is_scripted

#: Items that are an answer in a form that has no field of ours. Searches and other tools that the
#: provider itself has used are none.
_OTHER_ANSWERS = (
    "image_generation_call", "custom_tool_call", "mcp_approval_request", "computer_call",
    "local_shell_call", "shell_call", "apply_patch_call", "output_audio",
)  # fmt: skip

#: What a model says before it is done, beside its answer.
_COMMENTARY = "commentary"

JsonObject = dict[str, Any]


def parse(status: int, headers: Mapping[str, str], body: bytes, sent: bytes = b"") -> Completion:
    """The completion in an answer to the body `sent`.

    Raises ProviderError, and nothing else whatever the body holds, if there is none.
    """
    read = read_answer(RULES, EventStream, status, headers, body, sent)
    parsed = read.value
    if isinstance(parsed, dict) and (parsed.get("error") or parsed.get("status") == "failed"):
        raise ProviderError(classify_in_answer(headers, _error_of(parsed), body, sent))
    if not isinstance(parsed, dict) or not _is_response(parsed):
        raise ProviderError(no_completion(status, headers, body))
    if read.has_rest and not parsed.get("status"):
        more_follows(status, body)
    return _completion(read, status, headers, body)


def _error_of(parsed: JsonObject) -> JsonObject:
    """The error alone: a response that failed repeats what was asked."""
    error = parsed.get("error")
    is_own = parsed.get("type") == "error" or _is_response(parsed)
    return of_response(error) if is_own else {"error": error}


def _is_response(parsed: JsonObject) -> bool:
    return parsed.get("object") == "response" or isinstance(parsed.get("output"), list)


def _completion(read: ReadJson, status: int, headers: Mapping[str, str], body: bytes) -> Completion:
    parsed = read.value
    items = [item for item in _list(parsed.get("output")) if isinstance(item, dict)]
    parts = list(_parts(items))
    texts = [part["text"] for part in parts if _is_text(part)]
    calls = few(_tool_calls(items), status, body)
    finish, reason = _finish(parsed)
    if any(part.get("type") == "refusal" for part in parts) and finish is Finish.STOP:
        finish = Finish.REFUSAL
    elif calls and finish is Finish.STOP:
        finish = Finish.TOOL
    return Completion(
        text="".join(texts) if texts else None,
        tool_calls=calls,
        finish=finish,
        finish_reason=reason,
        usage=_usage(parsed),
        model_served=word(parsed.get("model")),
        provider_request_id=request_id(headers) or word(parsed.get("id")),
        status=status,
        scripted=is_scripted(headers),
        body=body,
        kept=read.encoded,
        deep=is_too_deep(read.encoded),
        other=any(each.get("type") in _OTHER_ANSWERS for each in (*items, *parts)),
        in_pieces=len(texts) > 1,
    )


def _parts(items: list[JsonObject]) -> Iterator[JsonObject]:
    """The parts of what is the answer; where all is commentary, that is it."""
    messages = [item for item in items if item.get("type") == "message"]
    answers = [item for item in messages if item.get("phase") != _COMMENTARY]
    for message in answers or messages:
        content = message.get("content")
        if isinstance(content, str):
            yield {"type": "output_text", "text": content}
        yield from (part for part in _list(content) if isinstance(part, dict))


def _is_text(part: JsonObject) -> bool:
    return part.get("type") in ("output_text", "text") and isinstance(part.get("text"), str)


def _finish(parsed: JsonObject) -> tuple[Finish, str | None]:
    """Why the model stopped: an incomplete response says it, a completed one has nothing to add."""
    status = parsed.get("status")
    if status == "incomplete":
        reason = _object(parsed.get("incomplete_details")).get("reason")
        return read_finish(reason or status)
    return read_finish(status)


def _tool_calls(items: list[JsonObject]) -> Iterator[ToolCall]:
    """The calls of functions that a model asks for."""
    for index, item in enumerate(items):
        name = item.get("name")
        if item.get("type") != "function_call" or not isinstance(name, str):
            continue
        arguments = arguments_text(item.get("arguments"))
        call_id = word(item.get("call_id")) or word(item.get("id")) or f"call_{index}"
        yield ToolCall(id=call_id, function=ToolCallFunction(name=name, arguments=arguments))


def _usage(parsed: JsonObject) -> Usage | None:
    """The tokens as the server counted them; None where it did not say."""
    said = parsed.get("usage")
    if not isinstance(said, dict):
        return None
    prompt, answer = said.get("input_tokens"), said.get("output_tokens")
    if not isinstance(prompt, int) and not isinstance(answer, int):
        return None
    of_input = _object(said.get("input_tokens_details"))
    of_output = _object(said.get("output_tokens_details"))
    input_total = count(prompt)
    return Usage.trusted(
        input_total=input_total,
        # More of a prompt than there is cannot have been cached: the cost would be negative.
        input_cached_read=min(count(of_input.get("cached_tokens")), input_total),
        input_cache_write_5m=count(of_input.get("cache_write_tokens")),
        input_cache_write_1h=0,
        output_total=count(answer),
        reasoning=count(of_output.get("reasoning_tokens")),
        cost_reported=reported_cost(said.get("cost")),
        service_tier=word(parsed.get("service_tier")),
        estimated=not are_counts(prompt, answer),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
