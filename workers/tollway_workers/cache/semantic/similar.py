"""What a worker knows of similar prompts: where they lie, and what was learned of their answers."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from tollway_workers.cache.semantic.experience import Experience
from tollway_workers.cache.semantic.table import Changes, StoredPrompt


class Near(NamedTuple):
    """A prompt near another."""

    #: Of its answer.
    key: bytes
    #: The cosine of both.
    similarity: float


class Places(Protocol):
    """Where prompts lie."""

    def load(self, prompts: Iterable[StoredPrompt], /) -> None:
        """Add these, the oldest first."""
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
    """Follows this worker's copy of stored answers.

    State: `loaded`, whether all of it is here, and `_behind`, what has changed meanwhile. Until
    `catch_up` is called only the thread of the copy touches `places`.
    """

    def __init__(self, places: Places, experience: Experience) -> None:
        self.places = places
        self.experience = experience
        self.loaded = False
        self._behind: deque[Changes] = deque()

    def stop(self) -> None:
        """Nothing is known any more, until all is loaded anew."""
        self.loaded = False
        self._behind.clear()
        self.experience.clear()

    def apply(self, changes: Changes) -> None:
        """Follow what became of stored answers."""
        if self.loaded:
            self._follow(changes)
        else:
            self._behind.append(changes)

    def catch_up(self) -> Iterator[None]:
        """All that was there is loaded: follow what has changed meanwhile, a change at a time.

        Thousands at once would hold up the event loop. At its end all is here.
        """
        while self._behind:
            self._follow(self._behind.popleft())
            yield
        self.loaded = True

    def _follow(self, changes: Changes) -> None:
        for key in changes.gone:
            self.experience.gone(key)
        for each in changes.observed:
            self.experience.changed(each)
        self.places.apply(changes)
