"""OpenAI's embeddings as they look on the wire. Pure."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from tollway_workers.job.vectors import packed
from tollway_workers.local.simulator.answer import Completion
from tollway_workers.local.simulator.faults import FaultKind
from tollway_workers.local.simulator.refusals import Refusal
from tollway_workers.local.simulator.values.vectors import vector_of
from tollway_workers.local.simulator.wire.dialect import SaidError
from tollway_workers.local.simulator.wire.embeddings.read import dimensions_of, inputs_of
from tollway_workers.local.simulator.wire.openai.errors import error_of
from tollway_workers.local.simulator.wire.openai.errors import refuse as refuse_chat


def body(completion: Completion) -> bytes:
    """A vector for each input; or what a fault makes of them."""
    asked = dict(completion.fields)
    dimensions, ending = dimensions_of(asked), completion.answer.ending
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _encoded(vector_of(each, dimensions), asked.get("encoding_format")),
        }
        for index, each in enumerate(inputs_of(asked))
    ]
    if ending == FaultKind.EMPTY:
        data.clear()
    elif ending == FaultKind.WRONG_SHAPE:
        data.pop()
    tokens = completion.usage.input_total
    said = orjson.dumps(
        {
            "object": "list",
            "data": data,
            "model": completion.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )
    return said[:-1] + b",," if ending == FaultKind.BROKEN_JSON else said


def _encoded(vector: list[float], encoding: Any) -> str | list[float]:
    return b64encode(packed(vector)).decode() if encoding == "base64" else vector


def events(_: Completion) -> Iterator[tuple[int, bytes]]:
    """Vectors come whole."""
    return iter(())


def broken(_completion: Completion, _number: int) -> bytes:
    """As above."""
    return b""


def refuse(refusal: Refusal, request_id: str) -> SaidError:
    """The error as it is sent."""
    said = refuse_chat(refusal, request_id)
    error = error_of(refusal)
    if said.content_type != "application/json" or error.param != "messages":
        return said
    return replace(said, body=replace(error, param="input").body())
