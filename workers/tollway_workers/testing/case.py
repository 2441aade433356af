"""One case of the contract of protocols: a file that says what is asked, what is to be sent, what
comes back, and what that means.
"""

import re
from pathlib import Path
from typing import Any, Literal, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.providers.base import Finish

Kind = Literal[
    "plain",
    "stream",
    "tools",
    "schema",
    "conversation",
    "refusal",
    "truncation",
    "finish",
    "error",
    "odd",
    "unsupported",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

JsonObject = dict[str, Any]


class _Part(BaseModel):
    """A part of a case; a name that is not known is a mistake of who wrote it."""

    model_config = ConfigDict(extra="forbid")


class Sends(_Part):
    """What has to go out for a request."""

    path: str | None = None
    """The end of the address, with its query."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers that have to be there; `{key}` stands for the key."""
    body: JsonObject | None = None
    """The whole body."""
    has: tuple[str, ...] = ()
    """Texts that have to stand somewhere in the body."""


class Answer(_Part):
    """What the server says."""

    status: int = 200
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    """JSON, or a text that is sent as it is."""
    events: tuple[Any, ...] | None = None
    """Of a stream: `{"event": ..., "data": ...}`, where data is JSON or a text; or a line."""

    def encoded(self) -> bytes:
        """The bytes of its body."""
        if self.events is not None:
            return b"".join(map(_event, self.events))
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)

    def all_headers(self) -> dict[str, str]:
        """Its headers, with the kind of its body."""
        kind = "text/event-stream" if self.events is not None else "application/json"
        return {"content-type": kind, **self.headers}


class Call(_Part):
    """A call of a function that the model asks for."""

    id: str | None = None
    name: str
    arguments: Any
    """As JSON; a text where the model's own is no JSON."""


class Means(_Part):
    """What an answer means; what is not named is not looked at."""

    text: str | None = None
    tool_calls: tuple[Call, ...] | None = None
    finish: Finish | None = None
    finish_reason: str | None = None
    usage: dict[str, bool | int | str | None] | None = None
    """Fields of `Usage`; those that are not named have their default."""
    model_served: str | None = None
    request_id: str | None = None
    limits: dict[str, float] | None = None
    """Fields of `RateHeaders`."""
    scripted: bool = False


class Fails(_Part):
    """What a failure means."""

    failure_class: FailureClass
    scope: ErrorScope | None = None
    retry_after: float | None = None
    code: str | None = None
    request_id: str | None = None
    says: str | None = None
    """A part of its sentence."""


class ProtocolCase(_Part):
    """A case as its file says it."""

    name: str
    kind: Kind
    source: str = ""
    """Where the provider's documentation says so."""
    request: JsonObject = Field(
        default_factory=lambda: {"messages": [{"role": "user", "content": "Say hello."}]}
    )
    output: JsonObject | None = None
    provider: JsonObject = Field(default_factory=dict)
    """Settings of the provider besides the protocol."""
    lane: JsonObject = Field(default_factory=dict)
    """Settings of the lane."""
    sends: Sends | None = None
    answer: Answer | None = None
    means: Means | None = None
    fails: Fails | None = None
    then_sends: Sends | None = None
    """What goes out for the same request after that failure, of which something was learned."""
    unsupported: tuple[str, ...] = ()
    """How each clause begins of what the protocol cannot say."""

    @property
    def chat(self) -> ChatRequest:
        """What is asked."""
        return ChatRequest.model_validate_json(orjson.dumps(self.request))

    @property
    def wanted(self) -> OutputSchema | None:
        """What the answer must look like."""
        if self.output is None:
            return None
        return OutputSchema.model_validate_json(orjson.dumps(self.output))

    def __str__(self) -> str:
        return re.sub(r"\W+", "-", f"{self.kind} {self.name}")


def load_cases(folder: Path) -> tuple[ProtocolCase, ...]:
    """All cases in the `.json` files of a folder: each holds one, or a list of them.

    Raises ValueError, which names the file, where one is no case.
    """
    found: list[ProtocolCase] = []
    for path in sorted(folder.glob("*.json")):
        read = orjson.loads(path.read_bytes())
        for each in read if isinstance(read, list) else [read]:
            try:
                found.append(ProtocolCase.model_validate(each))
            except ValueError as error:
                raise ValueError(f"{path.name}: {error}") from None
    return tuple(found)


def _event(event: Any) -> bytes:
    if isinstance(event, str):
        return event.encode() + b"\n\n"
    data = event.get("data", "")
    lines = [f"event: {event['event']}".encode()] if "event" in event else []
    lines.append(b"data: " + (data.encode() if isinstance(data, str) else orjson.dumps(data)))
    return b"\n".join(lines) + b"\n\n"
