"""What the stages of a job ask of the cache. Nothing here raises, and nothing here waits."""

from typing import NamedTuple, Protocol

from tollway_schemas.cache import CacheEntry
from tollway_workers.cache.arrivals import Arrivals
from tollway_workers.cache.forgotten import Spoken
from tollway_workers.cache.kept import Kept


class Found(NamedTuple):
    """A stored answer."""

    entry: CacheEntry
    #: Whether its time is up, so that it is given in place of a failure alone.
    stale: bool


class AnswerCache(Protocol):
    """Stored answers of all workers. It fails open: where anything is wrong, nothing is found."""

    @property
    def arrivals(self) -> Arrivals:
        """What `get` may find that it did not find before."""
        ...

    def get(self, key: bytes, now: float) -> Found | None:
        """The answer under a key (a digest, not its hex), if it may be given at `now`, in seconds
        since 1970; fresh or stale. Forgotten, damaged or not caught up: None. What was `put` here
        lately is found, too, where it is fresh.
        """
        ...

    def seen(self, key: bytes) -> int:
        """The offset of the key's partition before which everything is applied here.

        Ask when a job is read, and write it as `CacheEntry.seen`: a mark that was not applied then
        speaks of the job's answer, too.
        """
        ...

    def forgotten(self, entry: Spoken) -> bool:
        """Whether a mark that was applied here speaks of an answer that was not read back yet; no
        where none is known.
        """
        ...

    @property
    def serves(self) -> bool:
        """Whether it has caught up. Else nothing is given from it, whatever this worker itself
        remembers: that may be forgotten since.
        """
        ...

    def put(self, kept: Kept) -> None:
        """Publish an answer, for this worker, which finds it at once, and all others; dropped where
        that is not possible at once, or where it is `forgotten`.
        """
        ...


class NoCache:
    """The cache of a worker that has none."""

    #: Nothing comes.
    arrivals = Arrivals()

    def get(self, key: bytes, now: float) -> Found | None:
        """Nothing."""
        del key, now
        return None

    def seen(self, key: bytes) -> int:
        """Nothing was applied."""
        del key
        return 0

    def forgotten(self, entry: Spoken) -> bool:
        """No mark is known."""
        del entry
        return False

    @property
    def serves(self) -> bool:
        """It never does."""
        return False

    def put(self, kept: Kept) -> None:
        """Dropped."""
        del kept
