"""OpenAI chat completions: from the bytes of an answer to a completion. Pure.

Protocol: https://platform.openai.com/docs/api-reference/chat/object, and what vLLM, Ollama, Groq,
Together, OpenRouter and DeepSeek make of it: anything may be missing, null or of another type.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

import orjson

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_schemas.request import ToolCall, ToolCallFunction
from tollway_schemas.usage import MOST_TOKENS, PICO_PER_USD, Usage
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.providers.openai_errors import classify, classify_in_answer, request_id
from tollway_workers.providers.retry_after import RateHeaders

#: What our simulator puts there, so that its answers are never taken for a model's.
SCRIPTED_FINGERPRINT = "scripted"

#: The words of OpenAI, and those of Together (`eos`) and Mistral (`model_length`).
_FINISHES = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "tool_calls": Finish.TOOL,
    "function_call": Finish.TOOL,
    "content_filter": Finish.CONTENT_FILTER,
}

_LONGEST_WORD = 256

JsonObject = dict[str, Any]


def parse(status: int, headers: Mapping[str, str], body: bytes) -> Completion:
    """The completion in an answer.

    Raises ProviderError, and nothing else whatever the body holds, if there is none.
    """
    if not 200 <= status < 300:
        raise ProviderError(classify(status, headers, body))
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        _malformed("the answer is not JSON: it was cut, or this is no chat API", status, body)
    if not isinstance(parsed, dict):
        _malformed("the answer is JSON but no object", status, body)
    if parsed.get("error"):
        raise ProviderError(classify_in_answer(headers, parsed, body))
    choices = parsed.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        _malformed("the answer has no choices", status, body)
    # OpenRouter: the provider behind it failed after the headers had been sent.
    if choice.get("error") or choice.get("finish_reason") == "error":
        raise ProviderError(classify_in_answer(headers, choice, body))
    return _completion(parsed, choice, status, headers, body)


def _completion(
    parsed: JsonObject, choice: JsonObject, status: int, headers: Mapping[str, str], body: bytes
) -> Completion:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    reason = _text(choice.get("finish_reason"))
    return Completion(
        text=_content(message.get("content")),
        tool_calls=_tool_calls(message.get("tool_calls")),
        finish=Finish.REFUSAL if message.get("refusal") else _finish(reason),
        finish_reason=reason,
        usage=_usage(parsed),
        model_served=_text(parsed.get("model")),
        provider_request_id=request_id(headers) or _text(parsed.get("id")),
        status=status,
        scripted=parsed.get("system_fingerprint") == SCRIPTED_FINGERPRINT,
        body=body,
        said=RateHeaders.parse_amounts(headers),
    )


def _finish(reason: str | None) -> Finish:
    return _FINISHES.get(reason, Finish.UNKNOWN) if reason else Finish.UNKNOWN


def _content(content: Any) -> str | None:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [part["text"] for part in content if _is_text(part)]
    return "".join(texts) if texts else None


def _is_text(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.get("type") in ("text", "output_text")
        and isinstance(part.get("text"), str)
    )


def _tool_calls(calls: Any) -> tuple[ToolCall, ...]:
    if not isinstance(calls, list):
        return ()
    read = (_tool_call(index, call) for index, call in enumerate(calls))
    return tuple(call for call in read if call is not None)


def _tool_call(index: int, call: Any) -> ToolCall | None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        # Ollama's own API gives an object instead of its text; no arguments may be null.
        arguments = orjson.dumps({} if arguments is None else arguments).decode()
    return ToolCall(
        id=_text(call.get("id")) or f"call_{index}",
        function=ToolCallFunction(name=function["name"], arguments=arguments),
    )


def _usage(parsed: JsonObject) -> Usage | None:
    """The tokens as the server counted them; None where it did not say."""
    usage = parsed.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, answer = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) and not isinstance(answer, int):
        return None
    prompt_details = usage.get("prompt_tokens_details")
    if not isinstance(prompt_details, dict):
        prompt_details = {}
    answer_details = usage.get("completion_tokens_details")
    if not isinstance(answer_details, dict):
        answer_details = {}
    cached = prompt_details.get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    input_total = _count(prompt)
    return Usage.trusted(
        input_total=input_total,
        # More of a prompt than there is cannot have been cached: the cost would be negative.
        input_cached_read=min(_count(cached), input_total),
        input_cache_write_5m=_count(prompt_details.get("cache_write_tokens")),
        input_cache_write_1h=0,
        output_total=_count(answer),
        reasoning=_count(answer_details.get("reasoning_tokens")),
        cost_reported=_cost(usage.get("cost")),
        service_tier=_text(parsed.get("service_tier")),
        estimated=False,
    )


def _count(value: Any) -> int:
    return min(value, MOST_TOKENS) if type(value) is int and value > 0 else 0


def _cost(dollars: Any) -> int | None:
    """OpenRouter says what a call cost, in US dollars."""
    if type(dollars) not in (int, float) or not 0 <= dollars < 1e6:
        return None
    return int(Decimal(str(dollars)) * PICO_PER_USD)


def _text(value: Any) -> str | None:
    """A word of the envelope; the answer itself is never cut."""
    return value[:_LONGEST_WORD] if isinstance(value, str) and value else None


def _malformed(message: str, status: int, body: bytes) -> NoReturn:
    raise ProviderError(
        ProviderFailure(
            failure_class=FailureClass.TRANSIENT,
            message=message,
            scope=ErrorScope.MODEL,
            status=status,
            body=body,
        )
    ) from None
