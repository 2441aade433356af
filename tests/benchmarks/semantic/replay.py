"""One run: requests one after another through guards, rule and records as a worker has them.

Here an answer is its label, so that wrong ones are counted however few of them a fleet would check.
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from traffic import Request

from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic.guards import refusal
from tollway_workers.cache.semantic.merged import merged
from tollway_workers.cache.semantic.observing import Asked, Mode, with_asked
from tollway_workers.cache.semantic.rule import FLOOR, Learned

Vectors = NDArray[np.float32]

#: Prompts that the guards look at for one request, the most similar first.
CANDIDATES = 8
ROUTE, WORKER, EMBEDDER = "judged", "judge", "judged"
#: The first day of every run, and the days that it lasts.
_BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
DAYS = 10


class Places(Protocol):
    """Where texts lie."""

    def __getitem__(self, text: str, /) -> Vectors: ...


@dataclass(slots=True)
class Kept:
    """A stored answer with what was observed of it."""

    text: str
    answer: str
    observations: Observations
    learned: Learned = Learned()


@dataclass(slots=True)
class Counts:
    """What became of the requests."""

    asked: int = 0
    #: Requests with a candidate: similar enough, and refused by no guard.
    candidates: int = 0
    served: int = 0
    wrong: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong_by_kind: Counter[str] = field(default_factory=Counter)
    #: The same of each of `DAYS`.
    served_by_day: Counter[int] = field(default_factory=Counter)
    wrong_by_day: Counter[int] = field(default_factory=Counter)

    @property
    def wrong_of_all(self) -> float:
        """The share that `error_bound` bounds."""
        return self.wrong / max(self.asked, 1)

    @property
    def wrong_of_served(self) -> float:
        """The share of the served ones."""
        return self.wrong / max(self.served, 1)

    @property
    def served_share(self) -> float:
        """Of all requests."""
        return self.served / max(self.asked, 1)


class Prompts:
    """Vectors of the prompts that were answered; exact search.

    State: the vectors.
    """

    def __init__(self, most: int, dimensions: int) -> None:
        self._vectors: Vectors = np.empty((most, dimensions), np.float32)
        self._filled = 0

    def add(self, vector: Vectors) -> None:
        """One more, with the next number."""
        self._vectors[self._filled] = vector
        self._filled += 1

    def nearest(self, vector: Vectors, most: int, floor: float) -> list[tuple[int, float]]:
        """Numbers and similarities of the most similar ones, from a similarity on."""
        similarities = self._vectors[: self._filled] @ vector
        if self._filled > most:
            found = np.argpartition(similarities, -most)[-most:]
        else:
            found = np.arange(self._filled)
        found = found[np.argsort(-similarities[found])]
        return [(int(at), float(similarities[at])) for at in found if similarities[at] >= floor]


class Replay:
    """A semantic cache that starts empty.

    State: prompts and what was observed of their answers; `counts`.
    """

    def __init__(self, places: Places, most: int, *, error_bound: float, seed: int) -> None:
        """`most`: requests that it is asked at most."""
        self._places = places
        self._most = most
        self._error_bound = error_bound
        self._rng = random.Random(f"semantic replay {seed}")
        self._kept: list[Kept] = []
        self._prompts: Prompts | None = None
        self.recheck = 0.0
        self.counts = Counts()

    def run(self, requests: Iterable[Request], mode: Mode) -> Counts:
        """Ask them all. What was learned before stays; counts begin anew."""
        self.counts = Counts()
        for request in requests:
            self._ask(request, mode)
        return self.counts

    def observations(self) -> list[Observations]:
        """The records that a worker would have written."""
        return [kept.observations for kept in self._kept]

    def _ask(self, request: Request, mode: Mode) -> None:
        day = self.counts.asked * DAYS // self._most
        self.counts.asked += 1
        vector = self._places[request.text]
        found = self._candidate(request.text, vector)
        if found is None:
            self._keep(request, vector)
            return
        kept, similarity = found
        self.counts.candidates += 1
        chance = kept.learned.chance_to_explore(similarity, self._error_bound)
        explored = self._rng.random() < chance or self._rng.random() < self.recheck
        agreed = kept.answer == request.answer
        if not explored:
            self._count_served(request, agreed, day)
        called = explored or mode == "shadow"
        asked = Asked(
            mode=mode,
            similarity=min(similarity, 1.0),
            served=not explored,
            agreed=agreed if called else None,
            teaches=explored,
            at=_BEGAN + timedelta(days=day, microseconds=self.counts.asked),
        )
        kept.observations = with_asked(kept.observations, asked)
        if explored:
            kept.learned = merged([kept.observations], kept.observations.answer, EMBEDDER)
            if not agreed:
                self._keep(request, vector)

    def _candidate(self, text: str, vector: Vectors) -> tuple[Kept, float] | None:
        if self._prompts is None:
            return None
        for number, similarity in self._prompts.nearest(vector, CANDIDATES, FLOOR):
            kept = self._kept[number]
            refused = refusal(text, kept.text)
            if refused is None:
                return kept, similarity
            self.counts.refused[refused] += 1
        return None

    def _count_served(self, request: Request, agreed: bool, day: int) -> None:
        self.counts.served += 1
        self.counts.served_by_day[day] += 1
        if not agreed:
            self.counts.wrong += 1
            self.counts.wrong_by_day[day] += 1
            self.counts.wrong_by_kind[request.kind] += 1

    def _keep(self, request: Request, vector: Vectors) -> None:
        if self._prompts is None:
            self._prompts = Prompts(2 * self._most, len(vector))
        self._prompts.add(vector)
        observations = Observations(
            key=_digest(request.text),
            worker=WORKER,
            route=ROUTE,
            answer=_digest(request.answer),
            embedder=EMBEDDER,
            written_at=_BEGAN,
        )
        self._kept.append(Kept(request.text, request.answer, observations))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
