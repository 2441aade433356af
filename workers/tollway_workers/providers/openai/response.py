"""OpenAI chat completions: from the bytes of an answer to a completion. Pure.

Protocol: https://platform.openai.com/docs/api-reference/chat/object, and what vLLM, Ollama, Groq,
Together, OpenRouter and DeepSeek make of it: anything may be missing, null or of another type.
"""

from collections.abc import Mapping
from typing import Any

from tollway_schemas.usage import Usage
from tollway_workers.errors import ProviderError
from tollway_workers.job.readable_json import ReadJson, is_too_deep
from tollway_workers.providers.answer_body import (
    are_counts,
    count,
    few,
    malformed,
    more_follows,
    read_answer,
    reported_cost,
    word,
)
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.providers.finish_reason import read_finish
from tollway_workers.providers.openai.errors import (
    RULES,
    classify_in_answer,
    no_completion,
    request_id,
    says_error,
)
from tollway_workers.providers.openai.message import (
    has_other_answer,
    is_refusal,
    text_of,
    tool_calls_of,
)
from tollway_workers.providers.openai.stream import ChunkStream

#: What our simulator puts there, so that its answers are never taken for a model's.
SCRIPTED_FINGERPRINT = "scripted"

JsonObject = dict[str, Any]


def parse(status: int, headers: Mapping[str, str], body: bytes, sent: bytes = b"") -> Completion:
    """The completion in an answer to the body `sent`.

    Raises ProviderError, and nothing else whatever the body holds, if there is none.
    """
    read = read_answer(RULES, ChunkStream, status, headers, body, sent)
    parsed = read.value
    if isinstance(parsed, dict) and says_error(parsed):
        raise ProviderError(classify_in_answer(headers, parsed, body, sent))
    if not isinstance(parsed, dict) or "choices" not in parsed:
        raise ProviderError(no_completion(status, headers, body))
    choices = parsed["choices"]
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        malformed("the answer has no choices", status, body)
    # OpenRouter: the provider behind it failed after the headers had been sent.
    if choice.get("error") or choice.get("finish_reason") == "error":
        raise ProviderError(classify_in_answer(headers, _behind(choice), body, sent))
    if read.has_rest and not choice.get("finish_reason"):
        more_follows(status, body)
    return _completion(choice, read, status, headers, body)


def _behind(choice: JsonObject) -> JsonObject:
    """The error of a choice alone: beside it may stand a part of an answer."""
    error = choice.get("error")
    return {"error": {"code": 502, **error} if isinstance(error, dict) else {"code": 502}}


def _completion(
    choice: JsonObject, read: ReadJson, status: int, headers: Mapping[str, str], body: bytes
) -> Completion:
    parsed = read.value
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    finish, reason = read_finish(choice.get("finish_reason"))
    return Completion(
        text=text_of(message.get("content")),
        tool_calls=few(tool_calls_of(message), status, body),
        finish=Finish.REFUSAL if is_refusal(message) else finish,
        finish_reason=reason,
        usage=_usage(parsed),
        model_served=word(parsed.get("model")),
        provider_request_id=request_id(headers) or word(parsed.get("id")),
        status=status,
        scripted=parsed.get("system_fingerprint") == SCRIPTED_FINGERPRINT,
        body=body,
        kept=read.encoded,
        deep=is_too_deep(read.encoded),
        other=has_other_answer(message),
        in_pieces=isinstance(message.get("content"), list),
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
    input_total = count(prompt)
    return Usage.trusted(
        input_total=input_total,
        # More of a prompt than there is cannot have been cached: the cost would be negative.
        input_cached_read=min(count(cached), input_total),
        input_cache_write_5m=count(prompt_details.get("cache_write_tokens")),
        input_cache_write_1h=0,
        output_total=count(answer),
        reasoning=count(answer_details.get("reasoning_tokens")),
        cost_reported=reported_cost(usage.get("cost")),
        service_tier=word(parsed.get("service_tier")),
        estimated=not are_counts(prompt, answer),
    )
