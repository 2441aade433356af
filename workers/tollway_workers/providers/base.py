"""The seam to a provider: one call in, one completion or one ProviderError out."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from tollway_schemas.request import ChatRequest, OutputSchema, ToolCall
from tollway_schemas.usage import Usage
from tollway_workers.providers.http.retry_after import RateHeaders


class Finish(StrEnum):
    """Why the model stopped, in one vocabulary for all providers."""

    STOP = "stop"
    LENGTH = "length"
    TOOL = "tool"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    #: It gave no reason.
    NOT_SAID = "not_said"
    #: A word that is not known to mean that the answer is whole.
    UNKNOWN = "unknown"


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


class Provider(Protocol):
    """A lane's way to its model."""

    def build(self, request: ChatRequest, output: OutputSchema | None) -> bytes:
        """The body of a call. Raises ProviderError (invalid request) if it cannot be expressed."""
        ...

    async def complete(self, call: ProviderCall) -> Completion:
        """Send one call and wait for all of its answer.

        Raises:
            ProviderError: it failed, in one of the classes of FailureClass.
            CallNotSent: `may_send` said no, and nothing was sent.

        Cancellation closes the connection; the provider may bill the call all the same.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        ...
