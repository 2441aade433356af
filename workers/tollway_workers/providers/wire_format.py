"""The seam between HTTP and a protocol: a protocol is one of these, in a folder of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.base import Completion
from tollway_workers.providers.http.sse import Event
from tollway_workers.providers.rate_headers import RateHeaders

RawHeaders = tuple[tuple[bytes, bytes], ...]

#: A job's request, its output and a lane to what the lane's protocol cannot say of them: a clause
#: each, `<field>: <why>`, without values. Nothing where all of it can be said.
Unsupported = Callable[[ChatRequest, OutputSchema | None, LaneConfig], tuple[str, ...]]


class BrokenStream(Exception):
    """A stream holds no whole answer; the text says why."""


class AnswerStream(Protocol):
    """An answer that comes in events, joined to the body that it would have been in one piece."""

    #: Whether nothing more is to come: its last event has come, or an error.
    ended: bool
    #: Bytes of the answer so far, at most.
    size: int

    def take(self, event: Event) -> bool:
        """Join one event; whether the model said something in it, or why it stopped.

        Raises BrokenStream where it cannot be read.
        """
        ...

    @property
    def is_whole(self) -> bool:
        """Whether the answer itself has come to its end, though more may follow."""
        ...

    def text(self) -> str:
        """All that the model has said so far, for who counts tokens."""
        ...

    def body(self) -> bytes:
        """What `parse` takes: the whole answer, or the error that ended it. Raises BrokenStream."""
        ...


class Path(Protocol):
    """Where a lane's calls go."""

    def __call__(self, lane: LaneConfig, /, *, stream: bool) -> str:
        """The path of calls that want a stream, or of those that want none."""
        ...


def says_all(
    request: ChatRequest, output: OutputSchema | None, lane: LaneConfig
) -> tuple[str, ...]:
    """An `Unsupported` for a protocol that has a word for everything."""
    return ()


def learns_nothing(
    failure: ProviderFailure, sent: bytes, refused: frozenset[str]
) -> frozenset[str]:
    """The `refusals` of a protocol that says each thing in one way only."""
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFormat:
    """A protocol as pure functions: what to send where, and what an answer means.

    A protocol of a third party is one of these as an entry point in the group `tollway.protocols`;
    `tollway_workers.testing.ProtocolContract` holds it to what is promised here.
    """

    #: Added to the provider's base URL; it may hold the model, and whether a stream is wanted.
    path: Path
    #: Sent with every call; what is configured for the provider wins.
    headers: RawHeaders = ()
    #: The headers that show a key (printable ASCII).
    auth: Callable[[str, LaneConfig], RawHeaders]
    #: The last argument: what the server has refused so far.
    #: Raises ProviderError (invalid request) where the request cannot be said.
    build: Callable[[ChatRequest, OutputSchema | None, LaneConfig, frozenset[str]], bytes]
    #: What of a job the protocol cannot say: such a lane is no rung for it. Asked before any call.
    unsupported: Unsupported = says_all
    #: Whether `build` asks for a stream, with the same last argument.
    streams: Callable[[ChatRequest, LaneConfig, frozenset[str]], bool]
    #: Status, headers, body and the call's own body to a completion; raises nothing but
    #: ProviderError.
    parse: Callable[[int, Mapping[str, str], bytes, bytes], Completion]
    #: A new stream, for one answer.
    stream: Callable[[], AnswerStream]
    #: What an answer's headers say of the account's limits; None where they say nothing.
    limits: Callable[[Mapping[str, str], LaneConfig], RateHeaders | None]
    #: What a failed call's body tells of the server's words that was not known (last argument).
    refusals: Callable[[ProviderFailure, bytes, frozenset[str]], frozenset[str]] = learns_nothing
    #: What had been refused, and what is now, as far as it is kept.
    remember: Callable[[frozenset[str], frozenset[str]], frozenset[str]] = frozenset.union
