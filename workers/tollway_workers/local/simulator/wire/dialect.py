"""The seam between the desk and a protocol: a protocol is one of these, in a folder of its own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tollway_workers.local.simulator.answer import Completion
from tollway_workers.local.simulator.ask import Ask, Asked
from tollway_workers.local.simulator.prompt_cache import CacheUse
from tollway_workers.local.simulator.rates import Charge, Left
from tollway_workers.local.simulator.refusals import Refusal
from tollway_workers.local.simulator.tokens import CHARACTERS_PER_TOKEN, Tokens

#: A piece of a stream.
TOKENS_PER_PIECE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidError:
    """A refusal as it is sent."""

    status: int
    body: bytes
    #: What the books call it.
    code: str | None = None
    headers: Mapping[str, str] | None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A protocol as pure functions: what a request asks, and how it is answered."""

    #: What the books call it.
    name: str
    #: The end of the base URL, as a provider in Tollway's configuration has it.
    base: str
    #: The API key that a request's headers (names in lower case) and query bear.
    key: Callable[[Mapping[str, str], Mapping[str, str]], str | None]
    #: What a request asks. Raises BadRequest.
    read: Callable[[Asked, Tokens], Ask]
    #: What a call takes of the limits on tokens.
    charge: Callable[[Ask, CacheUse], Charge]
    #: Whether long prompts are cached unasked.
    caches_unasked: bool
    #: A refusal as it is sent to the request of that id.
    refuse: Callable[[Refusal, str], SaidError]
    #: The headers that tell what is left of the limits, at that unix time.
    limits: Callable[[Mapping[str, Left], float], dict[str, str]]
    #: Headers of any answer, by the request's id and the seconds that it took.
    headers: Callable[[str, float], dict[str, str]]
    #: The answer in one piece.
    body: Callable[[Completion], bytes]
    #: The answer in events, each with the tokens that are spoken by then.
    events: Callable[[Completion], Iterator[tuple[int, bytes]]]
    #: The event of a stream that breaks off after so many.
    broken: Callable[[Completion, int], bytes]


def pieces(text: str, total: int) -> Iterator[tuple[int, str]]:
    """A text in the pieces of a stream, each with the tokens of `total` spoken by its end."""
    size = TOKENS_PER_PIECE * CHARACTERS_PER_TOKEN
    for start in range(0, len(text), size):
        spoken = start // CHARACTERS_PER_TOKEN + TOKENS_PER_PIECE
        yield min(spoken, total), text[start : start + size]
