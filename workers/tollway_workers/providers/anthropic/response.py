"""Anthropic's Messages: from the bytes of an answer to a completion. Pure.

https://platform.claude.com/docs/en/api/messages, and what servers that speak the same (llama.cpp,
vLLM, gateways) make of it: anything may be missing, null or of another type.
"""

from collections.abc import Mapping
from itertools import starmap
from typing import Any

from tollway_schemas.attempt import ANSWER_TOOL
from tollway_schemas.request import ToolCall, ToolCallFunction
from tollway_schemas.usage import MOST_TOKENS, Usage
from tollway_workers.errors import ProviderError
from tollway_workers.job.readable_json import ReadJson, is_too_deep
from tollway_workers.providers.answer_body import (
    are_counts,
    arguments_text,
    count,
    few,
    malformed,
    more_follows,
    read_answer,
    word,
)
from tollway_workers.providers.anthropic.errors import (
    RULES,
    classify_in_answer,
    no_completion,
    request_id,
    says_error,
)
from tollway_workers.providers.anthropic.output import FORCED
from tollway_workers.providers.anthropic.stream import MessageStream
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.providers.finish_reason import read_finish
from tollway_workers.providers.scripted import is_scripted

_LONGEST_ID = 256

JsonObject = dict[str, Any]


def parse(status: int, headers: Mapping[str, str], body: bytes, sent: bytes = b"") -> Completion:
    """The completion in an answer to the body `sent`.

    Raises ProviderError, and nothing else whatever the body holds, if there is none.
    """
    read = read_answer(RULES, MessageStream, status, headers, body, sent)
    parsed = read.value
    if isinstance(parsed, dict) and says_error(parsed):
        raise ProviderError(classify_in_answer(headers, parsed, body, sent))
    if not isinstance(parsed, dict) or "content" not in parsed:
        raise ProviderError(no_completion(status, headers, body))
    if not isinstance(parsed["content"], list):
        malformed("the answer has no content", status, body)
    if read.has_rest and not parsed.get("stop_reason"):
        more_follows(status, body)
    return _completion(read, status, headers, body, forced=FORCED in sent)


def _completion(
    read: ReadJson, status: int, headers: Mapping[str, str], body: bytes, *, forced: bool
) -> Completion:
    parsed: JsonObject = read.value
    blocks = [block for block in parsed["content"] if isinstance(block, dict)]
    finish, reason = read_finish(parsed.get("stop_reason"))
    calls = [block for block in blocks if _is_call(block)]
    texts = [block["text"] for block in blocks if _is_text(block)]
    text = "".join(texts) if texts else None
    answer = _forced_answer(calls) if forced else None
    if answer is not None:
        text, calls = answer, []
        finish = Finish.STOP if finish is Finish.TOOL else finish
    return Completion(
        text=text,
        tool_calls=few(starmap(_call, enumerate(calls)), status, body),
        finish=finish,
        finish_reason=reason,
        usage=_usage(parsed.get("usage")),
        model_served=word(parsed.get("model")),
        provider_request_id=request_id(headers) or word(parsed.get("id")),
        status=status,
        scripted=is_scripted(headers),
        body=body,
        kept=read.encoded,
        deep=is_too_deep(read.encoded),
        in_pieces=len(texts) > 1 or answer is not None,
    )


def _is_text(block: JsonObject) -> bool:
    return block.get("type") == "text" and isinstance(block.get("text"), str)


def _is_call(block: JsonObject) -> bool:
    return block.get("type") == "tool_use" and isinstance(block.get("name"), str)


def _forced_answer(calls: list[JsonObject]) -> str | None:
    """What the model wrote into the tool that its answer was asked for as."""
    for block in calls:
        if block["name"] == ANSWER_TOOL:
            return arguments_text(block.get("input"))
    return None


def _call(index: int, block: JsonObject) -> ToolCall:
    said = block.get("id")
    return ToolCall(
        id=said[:_LONGEST_ID] if isinstance(said, str) and said else f"call_{index}",
        function=ToolCallFunction(name=block["name"], arguments=arguments_text(block.get("input"))),
    )


def _usage(said: Any) -> Usage | None:
    """The tokens as the server counted them; None where it did not say.

    What Anthropic calls input is what was neither read from its cache nor written to it.
    """
    if not isinstance(said, dict):
        return None
    if not isinstance(said.get("input_tokens"), int) and not isinstance(
        said.get("output_tokens"), int
    ):
        return None
    read, written = (
        count(said.get("cache_read_input_tokens")),
        count(said.get("cache_creation_input_tokens")),
    )
    details = said.get("cache_creation")
    for_hour = count(details.get("ephemeral_1h_input_tokens")) if isinstance(details, dict) else 0
    for_hour = min(for_hour, written) if written else for_hour
    for_minutes = max(written - for_hour, 0)
    thoughts = said.get("output_tokens_details")
    output = count(said.get("output_tokens"))
    reasoning = count(thoughts.get("thinking_tokens")) if isinstance(thoughts, dict) else 0
    return Usage.trusted(
        input_total=min(
            count(said.get("input_tokens")) + read + for_minutes + for_hour, MOST_TOKENS
        ),
        input_cached_read=read,
        input_cache_write_5m=for_minutes,
        input_cache_write_1h=for_hour,
        output_total=output,
        reasoning=min(reasoning, output),
        cost_reported=None,
        service_tier=word(said.get("service_tier")),
        estimated=not are_counts(said.get("input_tokens"), said.get("output_tokens")),
    )
