"""The seam to a provider: one call in, one completion or one ProviderError out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from tollway_schemas.request import ChatRequest, OutputSchema, ToolCall
from tollway_schemas.usage import Usage
from tollway_workers.providers.rate_headers import RateHeaders


class Finish(StrEnum):
    """Why the model stopped, in one vocabulary for all providers."""

    STOP = "stop"
    #: At the answer's limit.
    LENGTH = "length"
    #: At the end of the model's context: more room for the answer would not help.
    CONTEXT = "context"
    TOOL = "tool"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    #: It gave no reason.
    NOT_SAID = "not_said"
    #: A word that is not known to mean that the answer is whole.
    UNKNOWN = "unknown"


#: Bytes of memory for a character, for a call of a tool besides its text, and how often a body is
#: there: as it came, in the reply, and in the batch that goes to Kafka.
_CHARACTER, _TOOL_CALL, _COPIES = 4, 2_048, 3


def nothing() -> None:
    """What is called where nobody listens."""


def _no_text() -> str:
    return ""


@dataclass(slots=True, kw_only=True)
class Received:
    """What has come of an answer so far, also where the call ends before it is whole."""

    #: Called once, when the first token is there (of an answer in one piece: its first byte).
    on_first_token: Callable[[], None] = nothing
    #: Whether it comes as a stream, and all that the model has said in it, which is billed. Set by
    #: the provider.
    streamed: bool = False
    text: Callable[[], str] = _no_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """One call, ready to be sent: the body is built once and also goes to the journal."""

    body: bytes
    #: `<job id>/<generation>/<attempt number>`: what the provider may log, and the simulator does.
    call_id: str
    #: Seconds for all of it, connecting included.
    timeout: float
    #: Asked again once connected: a worker that was frozen meanwhile may not call any more.
    may_send: Callable[[], bool] = lambda: True
    #: Whether `body` asks for a stream.
    stream: bool = False
    received: Received = field(default_factory=Received)


class Completion(NamedTuple):
    """What came back of a call that worked."""

    text: str | None
    tool_calls: tuple[ToolCall, ...]
    finish: Finish
    #: The provider's own word for `finish`.
    finish_reason: str | None
    usage: Usage | None
    model_served: str | None
    provider_request_id: str | None
    status: int
    #: True where a simulator answered: such an answer is never passed off as a model's.
    scripted: bool
    #: The whole response body, for the journal.
    body: bytes
    #: The same as JSON that every reader takes, for the reply; empty where there is none.
    kept: bytes = b""
    #: Whether that is nested deeper than readers of our records go.
    deep: bool = False
    #: Whether it answers in a form that is neither text nor a call of a function.
    other: bool = False
    #: Whether its text was put together from parts, so that it stands nowhere in `body`.
    in_pieces: bool = False
    #: What its headers say of the account's limits.
    said: RateHeaders | None = None

    @property
    def memory(self) -> int:
        """Bytes that it takes at most, until its outcome is written: that has copies of it."""
        text = _CHARACTER * len(self.text or "") + _TOOL_CALL * len(self.tool_calls)
        return text + _COPIES * (len(self.body) + len(self.kept))


class Provider(Protocol):
    """A lane's way to its model."""

    def build(self, request: ChatRequest, output: OutputSchema | None) -> bytes:
        """The body of a call. Raises ProviderError (invalid request) if it cannot be expressed."""
        ...

    def streams(self, request: ChatRequest) -> bool:
        """Whether `build` asks for the answer as a stream."""
        ...

    async def complete(self, call: ProviderCall) -> Completion:
        """Send one call and wait for all of its answer, streamed or not.

        Raises:
            ProviderError: it failed, in one of the classes of FailureClass.
            CallNotSent: `may_send` said no, and nothing was sent.

        Cancellation closes the connection; the provider may bill the call all the same.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        ...
