"""OpenAI's embeddings: from the bytes of an answer to a completion. Pure.

Protocol: https://platform.openai.com/docs/api-reference/embeddings/object, and what vLLM, Ollama,
llama.cpp and others make of it. The completion's text is JSON: a list with the vector of each
message, in base64 of float32, little-endian (`tollway_workers.job.vectors`).
"""

from collections.abc import Mapping
from typing import Any

import orjson

from tollway_schemas.failure import FailureClass
from tollway_schemas.usage import Usage
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.job.vectors import BadVector, encoded_vectors, packed, packed_of_base64
from tollway_workers.providers.answer_body import (
    are_counts,
    count,
    malformed,
    read_answer,
    reported_cost,
    word,
)
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.providers.http.sse import Event
from tollway_workers.providers.openai.errors import (
    RULES,
    classify_in_answer,
    no_completion,
    request_id,
    says_error,
)
from tollway_workers.providers.scripted import is_scripted
from tollway_workers.providers.wire_format import BrokenStream

JsonObject = dict[str, Any]


class NoStream:
    """The stream that there is none of."""

    ended = False
    size = 0
    is_whole = False

    def take(self, event: Event) -> bool:
        """Raises BrokenStream."""
        raise BrokenStream("the answer is a stream without vectors in it")

    def text(self) -> str:
        """Nothing is said."""
        return ""

    def body(self) -> bytes:
        """Raises BrokenStream."""
        raise BrokenStream("the answer is a stream without vectors in it")


def parse(status: int, headers: Mapping[str, str], body: bytes, sent: bytes = b"") -> Completion:
    """The vectors in an answer to the body `sent`: one for each input, all of one length.

    Raises ProviderError, and nothing else whatever the body holds, if there are none.
    """
    read = read_answer(RULES, NoStream, status, headers, body, sent)
    parsed = read.value
    data = parsed.get("data") if isinstance(parsed, dict) else None
    if not isinstance(data, list) or (not data and says_error(parsed)):
        if isinstance(parsed, dict) and says_error(parsed):
            raise ProviderError(classify_in_answer(headers, parsed, body, sent))
        raise ProviderError(no_completion(status, headers, body))
    asked, usage = _asked(sent), _usage(parsed)
    try:
        vectors = [_vector(each) for each in _in_order(data)]
    except BadVector as error:
        malformed(str(error), status, body)
    if len(vectors) != len(asked.get("input", vectors)) or not vectors:
        malformed("the answer has not one vector for each input", status, body)
    _check_lengths(vectors, asked.get("dimensions"), usage, status, body)
    return Completion(
        text=encoded_vectors(vectors),
        tool_calls=(),
        finish=Finish.STOP,
        finish_reason=None,
        usage=usage,
        model_served=word(parsed.get("model")),
        provider_request_id=request_id(headers) or word(parsed.get("id")),
        status=status,
        scripted=is_scripted(headers),
        body=body,
    )


def _asked(sent: bytes) -> JsonObject:
    """The call's own body."""
    asked: JsonObject = orjson.loads(sent) if sent else {}
    return asked


def _in_order(data: list[Any]) -> list[JsonObject]:
    """By their index, where all have one. Raises BadVector."""
    if not all(isinstance(each, dict) for each in data):
        raise BadVector("the answer holds something else than vectors")
    indexes = [each.get("index") for each in data]
    if sorted(index for index in indexes if type(index) is int) == list(range(len(data))):
        return sorted(data, key=lambda each: int(each["index"]))
    if any(indexes):
        raise BadVector("the answer does not say which vector is whose")
    return data


def _vector(each: JsonObject) -> bytes:
    said = each.get("embedding")
    if isinstance(said, str):
        return packed_of_base64(said)
    # llama.cpp, where it gives a vector for each token: of a pooled model there is one.
    if isinstance(said, list) and len(said) == 1 and isinstance(said[0], list):
        said = said[0]
    if not isinstance(said, list):
        raise BadVector("the answer holds something else than vectors")
    return packed(said)


def _check_lengths(
    vectors: list[bytes], wanted: Any, usage: Usage | None, status: int, body: bytes
) -> None:
    lengths = {len(vector) // 4 for vector in vectors}
    if len(lengths) > 1:
        malformed("the answer's vectors are of different lengths", status, body)
    (length,) = lengths
    if isinstance(wanted, int) and length != wanted:
        # The same would come again.
        raise ProviderError(
            ProviderFailure(
                failure_class=FailureClass.INVALID_REQUEST,
                message=f"the vectors have {length} dimensions, and {wanted} were asked for",
                status=status,
                usage=usage,
                body=body,
            )
        )


def _usage(parsed: JsonObject) -> Usage | None:
    """The tokens as the server counted them; None where it did not say."""
    usage = parsed.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt = usage.get("prompt_tokens", usage.get("total_tokens"))
    if not are_counts(prompt):
        return None
    return Usage.trusted(
        input_total=count(prompt),
        input_cached_read=0,
        input_cache_write_5m=0,
        input_cache_write_1h=0,
        output_total=0,
        reasoning=0,
        cost_reported=reported_cost(usage.get("cost")),
        service_tier=None,
        estimated=False,
    )
