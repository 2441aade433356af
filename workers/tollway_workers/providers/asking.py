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


def take_tools(extras: dict[str, Any], protocol: str) -> list[Any]:
    """Take the provider's own tools out of a protocol's extras: they stand beside those of the job.

    Raises ProviderError where they are no list.
    """
    own = extras.pop("tools", None)
    if own is not None and not isinstance(own, list):
        raise invalid(f"extras.{protocol}.tools must be a list: they stand beside request.tools")
    return own or []


def join_tools(body: dict[str, Any], extras: dict[str, Any], protocol: str) -> None:
    """Add the provider's own tools, taken out of the extras, to those of a body."""
    if own := take_tools(extras, protocol):
        body["tools"] = [*body.get("tools", ()), *own]


def join_fields(body: dict[str, Any], extras: dict[str, Any]) -> None:
    """Add a protocol's extras to a body: of an object in both, each field that either has."""
    for name, value in extras.items():
        both = isinstance(value, dict) and isinstance(body.get(name), dict)
        body[name] = {**body[name], **value} if both else value


def invalid(message: str) -> ProviderError:
    """A request that cannot be expressed."""
    return ProviderError(
        ProviderFailure(failure_class=FailureClass.INVALID_REQUEST, message=message)
    )
