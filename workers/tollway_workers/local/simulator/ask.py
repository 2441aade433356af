"""What a call asks, in words that belong to no protocol. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from tollway_workers.local.simulator.refusals import Refusal, Refused, Why
from tollway_workers.local.simulator.tokens import CHARACTERS, Tokens

#: A body beyond this is refused with 413.
MAX_BODY_BYTES = 64 * 1024 * 1024

Wants = Literal["text", "json_object", "json_schema"]


class BadRequest(Refused):
    """A body that the provider would refuse; the text never quotes a message of it."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(Refusal(why=Why.BAD_REQUEST, message=message, param=param, code=code))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of the prompt: what a prompt cache goes by."""

    #: JSON of any depth.
    content: Any
    tokens: int
    #: The prompt up to here is to be kept in the provider's cache for so many seconds.
    cached_for: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may want called."""

    name: str
    #: JSON Schema of its arguments; None where it takes none.
    schema: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that makes sense."""

    model: str
    prompt_tokens: int
    #: The client's limit for the answer, if it gave one.
    max_tokens: int | None
    stream: bool
    wants: Wants
    #: The JSON Schema of the answer where `wants` is `json_schema`.
    schema: Any = None
    #: How tokens are counted.
    tokens: Tokens = CHARACTERS
    #: The prompt in its order: tools, then the conversation.
    blocks: tuple[Block, ...] = ()
    #: Tools that may be called.
    tools: tuple[Tool, ...] = ()
    #: Whether one of them must be.
    must_call: bool = False
    #: Whether several may be, in one answer.
    in_parallel: bool = True
    #: Whether its last turn brings the results of calls.
    has_results: bool = False
    #: Tokens of reasoning before the answer; 0 where it asks for none.
    reasoning_tokens: int = 0
    #: Whether it is answered in words; else by vectors.
    speaks: bool = True

    @property
    def charge(self) -> int:
        """The larger of prompt and answer limit."""
        return max(self.prompt_tokens, self.max_tokens or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as its protocol reads it: body, headers, and what the path itself says."""

    fields: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    stream: bool = False


class Body:
    """A request body, parsed once: what its sender meets may go by the model that it names."""

    def __init__(self, body: bytes) -> None:
        self.raw = body
        #: What it asks, once its protocol has read it.
        self.ask: Ask | None = None
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


def prompt_of(blocks: tuple[Block, ...]) -> int:
    """The tokens of a prompt."""
    return sum(block.tokens for block in blocks)


def objects(values: object) -> Iterator[dict[str, Any]]:
    """The objects in a list; nothing where it is none."""
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield value
