"""What calls to embedders come to, for who counts it. A listener never touches a job."""

from typing import NamedTuple, Protocol


class EmbedderCall(NamedTuple):
    """One call of an endpoint, or the work of a model for one caller."""

    embedder: str
    #: `ok`, or why there are no vectors, in a word.
    ending: str
    seconds: float
    texts: int
    #: As the provider counted them; 0 of a model on this machine.
    tokens: int = 0
    #: Pico-USD; None: unknown.
    cost: int | None = 0


class EmbedderEvents(Protocol):
    """Called from the event loop; must be quick and must not raise."""

    def embedder_called(self, call: EmbedderCall) -> None:
        """A call has ended, well or badly."""
        ...


class Unheard:
    """The events that nobody listens to."""

    def embedder_called(self, call: EmbedderCall) -> None:
        """Nothing."""
        del call
