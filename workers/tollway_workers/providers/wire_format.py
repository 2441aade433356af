"""The seam between HTTP and a protocol: a protocol is one of these, in a folder of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.base import Completion
from tollway_workers.providers.rate_headers import RateHeaders

RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFormat:
    """A protocol as pure functions: what to send where, and what an answer means."""

    #: Added to the provider's base URL.
    path: str
    #: The headers that show a key (printable ASCII).
    auth: Callable[[str, LaneConfig], RawHeaders]
    #: The last argument: what the server has refused so far.
    build: Callable[[ChatRequest, OutputSchema | None, LaneConfig, frozenset[str]], bytes]
    #: Status, headers, body and the call's own body to a completion; raises nothing but
    #: ProviderError.
    parse: Callable[[int, Mapping[str, str], bytes, bytes], Completion]
    #: What an answer's headers say of the account's limits; None where they say nothing.
    limits: Callable[[Mapping[str, str], LaneConfig], RateHeaders | None]
    #: What a failed call's body tells of the server's words that was not known (last argument).
    refusals: Callable[[ProviderFailure, bytes, frozenset[str]], frozenset[str]]
