"""What every protocol says in the same way: JSON asked for in words, extras, a refusal. Pure."""

from typing import Any

import orjson

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest
from tollway_workers.errors import ProviderError, ProviderFailure

#: Why a request has no bytes.
NOT_JSON = "the request holds a number beyond 64 bits, or more than 254 levels of nesting"

_ASK_FOR_JSON = "Answer with one JSON object and nothing else."


def ask_for_json(schema: dict[str, Any] | bool) -> str:
    """The instruction that asks for JSON, and for this schema. Raises ProviderError."""
    if isinstance(schema, bool):
        return _ASK_FOR_JSON
    return f"{_ASK_FOR_JSON} It must satisfy this JSON Schema: {compact(schema)}"


def compact(schema: dict[str, Any]) -> str:
    """A schema as text. Raises ProviderError (invalid request) if it has none."""
    try:
        return orjson.dumps(schema).decode()
    except (orjson.JSONEncodeError, RecursionError):
        raise invalid(
            "the output schema holds a number beyond 64 bits, or is nested too deeply"
        ) from None


def own_extras(request: ChatRequest, protocol: str, reserved: tuple[str, ...]) -> dict[str, Any]:
    """A copy of the extras of a protocol. Raises ProviderError if they set what is not theirs."""
    extras = request.extras.get(protocol, {})
    for name in reserved:
        if name in extras:
            raise invalid(
                f"extras.{protocol} may not set {name}: the lane and the worker decide it"
            )
    return dict(extras)


def invalid(message: str) -> ProviderError:
    """A request that cannot be expressed."""
    return ProviderError(
        ProviderFailure(failure_class=FailureClass.INVALID_REQUEST, message=message)
    )
