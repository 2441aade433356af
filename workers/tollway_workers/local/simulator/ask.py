"""What a call asks: the part of OpenAI's request body that the simulator goes by. Pure."""

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from tollway_workers.local.simulator.tokens import CHARACTERS, Tokens, prompt_tokens, texts
from tollway_workers.local.simulator.wire import ApiError, Refused

#: A body beyond this is refused with 413.
MAX_BODY_BYTES = 64 * 1024 * 1024


class BadRequest(Refused):
    """A body that OpenAI would refuse; the text never quotes a message of it."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        kind = "invalid_request_error"
        super().__init__(ApiError(status=400, code=code, type=kind, message=message, param=param))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request body that makes sense."""

    model: str
    prompt_tokens: int
    #: The client's limit for the answer, if it gave one.
    max_tokens: int | None
    stream: bool
    include_usage: bool
    wants: Literal["text", "json_object", "json_schema"]
    #: The JSON Schema of the answer where `wants` is `json_schema`.
    schema: Any = None
    #: How tokens are counted.
    tokens: Tokens = CHARACTERS

    @property
    def charge(self) -> int:
        """What the call costs against tokens per minute: the larger of prompt and answer limit."""
        return max(self.prompt_tokens, self.max_tokens or 0)


class Body:
    """A request body, parsed once: what its sender meets may go by the model that it names."""

    def __init__(self, body: bytes) -> None:
        self.raw = body
        self._fields: dict[str, Any] | None = None
        self._why = "We could not parse the JSON body of your request."
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            return
        if isinstance(fields, dict):
            self._fields = fields
        self._why = "The body of your request must be a JSON object."

    @property
    def fields(self) -> dict[str, Any]:
        """The body as an object. Raises BadRequest."""
        if self._fields is None:
            raise BadRequest(self._why)
        return self._fields

    @property
    def model(self) -> str:
        """The model that it names; empty where it names none."""
        model = (self._fields or {}).get("model")
        return model if isinstance(model, str) else ""


def format_of(fields: dict[str, Any]) -> tuple[Literal["text", "json_object", "json_schema"], Any]:
    """What a request body wants the answer to be, and its schema. Raises BadRequest."""
    return _format(fields, _messages(fields))


def read_ask(fields: dict[str, Any], tokens: Tokens = CHARACTERS) -> Ask:
    """What a request body asks. Raises BadRequest."""
    messages = _messages(fields)
    if fields.get("n") not in (None, 1):
        raise BadRequest("Only one choice is supported.", param="n", code="unsupported_value")
    options = fields.get("stream_options")
    wants, schema = _format(fields, messages)
    return Ask(
        model=_model(fields),
        prompt_tokens=prompt_tokens(messages, tokens),
        max_tokens=_max_tokens(fields),
        stream=fields.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        wants=wants,
        schema=schema,
        tokens=tokens,
    )


def _model(fields: dict[str, Any]) -> str:
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("You must provide a model parameter.", param="model")
    return model


def _messages(fields: dict[str, Any]) -> list[dict[str, Any]]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list of at least one message.", param="messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest("A message must have a role.", param=f"messages[{place}]")
    return messages


def _max_tokens(fields: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = fields.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadRequest(f"'{name}' must be an integer of at least 1.", param=name)
        return value
    return None


def _format(
    fields: dict[str, Any], messages: list[dict[str, Any]]
) -> tuple[Literal["text", "json_object", "json_schema"], Any]:
    wanted = fields.get("response_format")
    kind = "text" if wanted is None else wanted.get("type") if isinstance(wanted, dict) else None
    match kind:
        case "text":
            return "text", None
        case "json_object":
            if not any("json" in text.lower() for text in texts(messages)):
                raise BadRequest(
                    "'messages' must contain the word 'json' to use 'response_format' of type "
                    "'json_object'.",
                    param="messages",
                )
            return "json_object", None
        case "json_schema":
            schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
            if not isinstance(schema, dict) or "schema" not in schema:
                raise BadRequest(
                    "Missing required parameter.", param="response_format.json_schema.schema"
                )
            return "json_schema", schema["schema"]
        case _:
            raise BadRequest(
                "'response_format.type' must be text, json_object or json_schema.",
                param="response_format.type",
            )
