"""Gemini's generateContent: from the bytes of an answer to a completion. Pure.

Protocol: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse. Anything may be
missing, null or of another type.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
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
    malformed,
    more_follows,
    read_answer,
    word,
)
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.providers.finish_reason import read_finish
from tollway_workers.providers.gemini.contents import signed
from tollway_workers.providers.gemini.errors import (
    RULES,
    classify_in_answer,
    no_completion,
    request_id,
)
from tollway_workers.providers.gemini.stream import ContentStream, join_chunks
from tollway_workers.providers.scripted import is_scripted
from tollway_workers.providers.wire_format import BrokenStream

#: Fields of which an answer has one at least.
_FIELDS = frozenset(("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"))
#: Parts that are an answer in a form that has no field of ours.
_OTHER_ANSWERS = frozenset(("inlineData", "fileData", "executableCode", "codeExecutionResult"))

JsonObject = dict[str, Any]


def parse(status: int, headers: Mapping[str, str], body: bytes, sent: bytes = b"") -> Completion:
    """The completion in an answer to the body `sent`.

    Raises ProviderError, and nothing else whatever the body holds, if there is none.
    """
    read = _read(status, headers, body, sent)
    parsed = read.value
    if isinstance(parsed, dict) and parsed.get("error"):
        raise ProviderError(classify_in_answer(headers, parsed, body, sent))
    if not isinstance(parsed, dict) or not parsed.keys() & _FIELDS:
        raise ProviderError(no_completion(status, headers, body))
    candidates = parsed.get("candidates")
    candidate = candidates[0] if isinstance(candidates, list) and candidates else {}
    if not isinstance(candidate, dict):
        malformed("the answer's first candidate is none", status, body)
    if read.has_rest and not candidate.get("finishReason"):
        more_follows(status, body)
    return _completion(candidate, read, status, headers, body)


def _read(status: int, headers: Mapping[str, str], body: bytes, sent: bytes) -> ReadJson:
    """The JSON in an answer, its chunks joined if it was streamed, as events or as a list."""
    read = read_answer(RULES, ContentStream, status, headers, body, sent)
    if not isinstance(read.value, list) or not read.value:
        return read
    try:
        return join_chunks(read.value)
    except BrokenStream as error:
        malformed(str(error), status, body)


def _completion(
    candidate: JsonObject, read: ReadJson, status: int, headers: Mapping[str, str], body: bytes
) -> Completion:
    parsed = read.value
    parts = _parts(candidate)
    texts = [part["text"] for part in parts if _is_text(part)]
    calls = few(_tool_calls(parts, read.encoded), status, body)
    finish, reason = _finish(candidate, parsed)
    return Completion(
        text="".join(texts) if texts else None,
        tool_calls=calls,
        finish=Finish.TOOL if finish is Finish.STOP and calls else finish,
        finish_reason=reason,
        usage=_usage(parsed),
        model_served=word(parsed.get("modelVersion")),
        provider_request_id=request_id(headers) or word(parsed.get("responseId")),
        status=status,
        scripted=is_scripted(headers),
        body=body,
        kept=read.encoded,
        deep=is_too_deep(read.encoded),
        other=any(part.keys() & _OTHER_ANSWERS for part in parts),
        in_pieces=len(texts) > 1,
    )


def _parts(candidate: JsonObject) -> list[JsonObject]:
    """The parts of an answer, without the model's thoughts."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return []
    return [part for part in parts if isinstance(part, dict) and not part.get("thought")]


def _is_text(part: JsonObject) -> bool:
    return isinstance(part.get("text"), str)


def _finish(candidate: JsonObject, parsed: JsonObject) -> tuple[Finish, str | None]:
    """Why the model stopped, or why it was not let to begin: then there is no candidate."""
    said = candidate.get("finishReason")
    feedback = parsed.get("promptFeedback")
    blocked = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if blocked and not said:
        return Finish.CONTENT_FILTER, read_finish(blocked)[1]
    return read_finish(said)


def _tool_calls(parts: list[JsonObject], answer: bytes) -> Iterator[ToolCall]:
    """The calls of functions that a model asks for, each with an id.

    Where Gemini gives none it is made of the answer, so that no other turn has the same.
    """
    digest = ""
    for index, part in enumerate(filter(_is_call, parts)):
        said = part["functionCall"]
        call_id = word(said.get("id"))
        if call_id is None:
            digest = digest or sha256(answer).hexdigest()[:24]
            call_id = f"call_{digest}_{index}"
        arguments = arguments_text(said.get("args"))
        function = ToolCallFunction(name=said["name"], arguments=arguments)
        yield signed(call_id, function, part.get("thoughtSignature"))


def _is_call(part: JsonObject) -> bool:
    said = part.get("functionCall")
    return isinstance(said, dict) and isinstance(said.get("name"), str)


def _usage(parsed: JsonObject) -> Usage | None:
    """The tokens as Gemini counted them; None where it did not say.

    Thoughts stand beside the answer's tokens, what tools brought beside the prompt's.
    """
    said = parsed.get("usageMetadata")
    if not isinstance(said, dict):
        return None
    if not any(
        type(said.get(name)) is int
        for name in ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")
    ):
        return None
    prompt = count(said.get("promptTokenCount")) + count(said.get("toolUsePromptTokenCount"))
    thoughts = count(said.get("thoughtsTokenCount"))
    answer = count(said.get("candidatesTokenCount")) + thoughts
    if said.get("candidatesTokenCount") is None:
        # Left out where it is nought, or by an older server: the total is not.
        answer = max(thoughts, count(said.get("totalTokenCount")) - prompt)
    known = said.get("candidatesTokenCount", said.get("totalTokenCount"))
    input_total, output_total = count(prompt), count(answer)
    return Usage.trusted(
        input_total=input_total,
        # More of a prompt than there is cannot have been cached: the cost would be negative.
        input_cached_read=min(count(said.get("cachedContentTokenCount")), input_total),
        input_cache_write_5m=0,
        input_cache_write_1h=0,
        output_total=output_total,
        reasoning=thoughts,
        cost_reported=None,
        service_tier=word(said.get("serviceTier")) or word(said.get("trafficType")),
        # An answer of nought is left out.
        estimated=not are_counts(said.get("promptTokenCount"), known),
    )
