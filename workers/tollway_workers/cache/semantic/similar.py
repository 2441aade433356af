"""What a worker knows of similar prompts: where they lie, and what was learned of their answers."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from tollway_workers.cache.semantic.fits import Fits
from tollway_workers.cache.semantic.table import Changes, StoredPrompt


class Near(NamedTuple):
    """See `Neighbour` in `index.py`, which only a worker with a semantic route imports."""

    key: bytes
    similarity: float


class Places(Protocol):
    """Where prompts lie."""

    def load(self, prompts: Iterable[StoredPrompt], /) -> None:
        """Begin anew with these."""
        ...

    def clear(self) -> None:
        """Forget all."""
        ...

    def apply(self, changes: Changes, /) -> None:
        """Follow what became of stored answers."""
        ...

    def changes(self, scope: bytes, /) -> int:
        """A number that grows before more is known of a scope; 0: nothing is."""
        ...

    def nearest(self, scope: bytes, vector: bytes, most: int, /) -> Sequence[Near]:
        """The nearest prompts of a scope, the nearest first."""
        ...

    @property
    def bytes(self) -> int:
        """Of the vectors in memory."""
        ...

    def __len__(self) -> int: ...


class SimilarPrompts:
    """Follows this worker's copy of stored answers."""

    def __init__(self, places: Places, fits: Fits) -> None:
        self.places = places
        self.fits = fits

    def load(self, prompts: Iterable[StoredPrompt]) -> None:
        """Begin anew with these, the oldest first; in a thread, while nobody asks."""
        self.places.load(prompts)

    def clear(self) -> None:
        """Nothing is known."""
        self.places.clear()
        self.fits.clear()

    def apply(self, changes: Changes) -> None:
        """Follow what became of stored answers."""
        for key in changes.gone:
            self.fits.gone(key)
        for each in changes.observed:
            self.fits.changed(each)
        self.places.apply(changes)
