"""From the body of an OpenAI embeddings call to a request that belongs to no provider.

No field is dropped: it passes through under `extras["embeddings"]`, or the body is refused.
https://platform.openai.com/docs/api-reference/embeddings/create
"""

from collections.abc import Mapping
from typing import Any

from tollway_schemas import ChatRequest, InvalidValue
from tollway_workers.cli.batch.forms.body import Body, JsonObject, model_of, record_of
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.providers.embeddings.request import ENCODING, TOKENS

_READ = frozenset(("model", "input", ENCODING))
_ENCODINGS = (None, "float", "base64")


def read_embeddings_body(body: Mapping[str, Any]) -> Body:
    """The request in `body`. Raises InvalidValue, which names the field and quotes no value."""
    model = model_of(body, "body")
    encoding = body.get(ENCODING)
    if encoding not in _ENCODINGS:
        raise InvalidValue(f"body.{ENCODING}: must be float or base64")
    dimensions = body.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise InvalidValue("body.dimensions: must be a whole number, 1 at least")
    extras: JsonObject = {
        name: value for name, value in body.items() if name not in _READ and value is not None
    }
    fields: JsonObject = {
        "messages": [{"role": "user", "content": each} for each in _contents(body.get("input"))],
        "extras": {EMBEDDINGS: extras},
    }
    request = record_of(ChatRequest, fields, ("body",), {"messages": "input"})
    # How they are written down makes no difference to what is asked.
    return Body(model, request, None, encoding)


def _contents(given: Any) -> list[Any]:
    """What is to have a vector each, as the content of a message."""
    if isinstance(given, str) or _is_tokens(given):
        given = [given]
    if not isinstance(given, list) or not given:
        raise InvalidValue("body.input: must be a text, a list of texts, or tokens; and not empty")
    return [_content(each, place) for place, each in enumerate(given)]


def _content(each: Any, place: int) -> Any:
    if isinstance(each, str) and each:
        return each
    if _is_tokens(each):
        return [{"type": TOKENS, TOKENS: each}]
    raise InvalidValue(f"body.input.{place}: must be a text or a list of tokens, and not empty")


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)
