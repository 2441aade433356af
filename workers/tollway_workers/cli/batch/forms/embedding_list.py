"""A reply's answer as a list of OpenAI's embeddings. Pure.

https://platform.openai.com/docs/api-reference/embeddings/object
"""

from base64 import b64encode

from tollway_schemas import Answer, Reply, Usage
from tollway_workers.cli.batch.forms.said import JsonObject, model_named
from tollway_workers.cli.batch.labels import ENCODING_LABEL
from tollway_workers.job.vectors import BadVector, numbers_in, vectors_in

_BASE64 = "base64"


def embedding_list(reply: Reply, answer: Answer) -> JsonObject:
    """The body of a line that has an answer, its numbers as the line asked for them."""
    as_base64 = reply.labels.get(ENCODING_LABEL) == _BASE64
    last = reply.attempts[-1] if reply.attempts else None
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": b64encode(vector).decode() if as_base64 else numbers_in(vector),
            }
            for index, vector in enumerate(_vectors(answer))
        ],
        "model": (last and last.model_served) or model_named(reply),
        "usage": _usage((last and last.usage) or reply.usage),
    }


def _vectors(answer: Answer) -> list[bytes]:
    """None where a rule of the route has answered with something else."""
    try:
        return vectors_in(answer.text or "")
    except BadVector:
        return []


def _usage(counted: Usage | None) -> JsonObject | None:
    if counted is None:
        return None
    return {"prompt_tokens": counted.input_total, "total_tokens": counted.input_total}
