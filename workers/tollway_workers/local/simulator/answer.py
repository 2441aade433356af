"""An answer in words that belong to no protocol: what the model says, and what that took. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tollway_schemas.usage import Usage

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the model wants made."""

    name: str
    #: JSON, or what a fault made of it.
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says, and why it stopped."""

    #: None where it refused, or says nothing beside its calls.
    content: str | None
    finish_reason: Finish = "stop"
    refusal: str | None = None
    calls: tuple[ToolCall, ...] = ()
    #: What it thought before it spoke, for protocols that show it.
    reasoning: str = ""
    reasoning_tokens: int = 0
    #: All tokens that it spoke, those of its reasoning included.
    completion_tokens: int = 0
    #: What the books call it: `ok`, or what is wrong with it.
    ending: str = "ok"

    @property
    def text(self) -> str:
        """What it says: its refusal, where it refused."""
        return (self.refusal if self.content is None else self.content) or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An answer, and what its envelope is made of."""

    #: Ids are made of it.
    key: str
    #: Unix seconds.
    created: int
    model: str
    answer: Answer
    usage: Usage
    #: The request's body: an envelope may repeat parts of it.
    fields: Mapping[str, Any] = field(default_factory=dict)

    def id(self, prefix: str, number: int = 0) -> str:
        """An id of this answer, or of its part of that number."""
        return f"{prefix}{self.key}{f'{number:02d}' if number else ''}"
