"""One run: requests one after another through index, guards, rule and records of a worker.

Here an answer is its label, so that every wrong one is counted, also those that a fleet would never
compare. One scope, one worker; nothing expires.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from similar_traffic import Request

from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic.guards import refusal
from tollway_workers.cache.semantic.index import PromptIndex, packed
from tollway_workers.cache.semantic.merged import merged
from tollway_workers.cache.semantic.observing import Asked, Mode, with_asked
from tollway_workers.cache.semantic.prior import Prior
from tollway_workers.cache.semantic.rule import FLOOR, Learned, Observation
from tollway_workers.cache.semantic.table import Changes, StoredPrompt

Vectors = NDArray[np.float32]

#: Prompts that are looked at for one request, as a worker does, the most similar first.
NEAREST, GUARDED = 16, 8
ROUTE, WORKER, EMBEDDER, SCOPE = "judged", "judge", "judged", b"judged"
_BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


class Places(Protocol):
    """Where texts lie."""

    def __getitem__(self, text: str, /) -> Vectors: ...


@dataclass(slots=True)
class Counts:
    """What became of the requests."""

    asked: int = 0
    #: Requests with a candidate: similar enough, and refused by no guard.
    candidates: int = 0
    #: Those that the rule gives the candidate's answer, and of these the wrong ones.
    given: int = 0
    given_wrong: int = 0
    #: Those that got it: not those that were called all the same, to compare.
    served: int = 0
    wrong: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong_by_kind: Counter[str] = field(default_factory=Counter)

    @property
    def served_share(self) -> float:
        """Of all requests."""
        return self.served / max(self.asked, 1)

    @property
    def wrong_share(self) -> float:
        """Of all requests: what `error_bound` bounds."""
        return self.wrong / max(self.asked, 1)

    @property
    def wrong_of_served(self) -> float:
        """Of those that were served."""
        return self.wrong / max(self.served, 1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored answer to a similar prompt."""

    number: int
    similarity: float


class Prompts:
    """Requests that were answered, and their vectors. State: both."""

    def __init__(self) -> None:
        self._index = PromptIndex([EMBEDDER])
        self.kept: list[Request] = []

    def add(self, request: Request, vector: Vectors) -> None:
        """One more, with the next number."""
        key = len(self.kept).to_bytes(8)
        stored = StoredPrompt(key, SCOPE, EMBEDDER, packed(vector))
        self._index.apply(Changes(prompts=(stored,)))
        self.kept.append(request)

    def nearest(self, vector: Vectors, most: int, floor: float) -> list[Candidate]:
        """The most similar ones, from a similarity on."""
        return [
            Candidate(int.from_bytes(near.key), near.similarity)
            for near in self._index.nearest(SCOPE, packed(vector), most)
            if near.similarity >= floor
        ]


class Replay:
    """A semantic cache that starts empty.

    State: prompts, and what was learned of their answers; `counts` since `run`.
    """

    def __init__(self, places: Places, *, error_bound: float, recheck: float, seed: int) -> None:
        self._places = places
        self._error_bound = error_bound
        self._recheck = recheck
        self._rng = random.Random(f"semantic replay {seed}")
        self._prompts = Prompts()
        self._learned: list[Learned] = []
        self._prior = Prior()
        self.observations: list[Observations] = []
        self.counts = Counts()
        self._day = -1

    def run(self, requests: Iterable[Request], mode: Mode) -> Counts:
        """Ask them all on one day. What was learned before stays; counts begin anew."""
        self.counts = Counts()
        self._day += 1
        for request in requests:
            self._ask(request, mode)
        return self.counts

    @property
    def today(self) -> date:
        """The day of the last run."""
        return (_BEGAN + timedelta(days=self._day)).date()

    def _ask(self, request: Request, mode: Mode) -> None:
        self.counts.asked += 1
        vector = self._places[request.text]
        near = self._prompts.nearest(vector, NEAREST, FLOOR)
        candidate = self._candidate(request.text, near)
        if candidate is None:
            self._keep(request, vector)
            return
        learned = self._learned_among(candidate, near)
        expected = self._prior.expected_wrong(learned, candidate.similarity)
        chance = learned.chance_to_explore(candidate.similarity, self._error_bound, expected)
        given = self._rng.random() >= chance
        explored = not given or self._rng.random() < self._recheck
        agreed = self._prompts.kept[candidate.number].answer == request.answer
        self._count(request, given=given, explored=explored, agreed=agreed)
        asked = Asked(
            mode=mode,
            similarity=candidate.similarity,
            served=given,
            agreed=agreed if explored or mode == "shadow" else None,
            teaches=explored,
            at=_BEGAN + timedelta(days=self._day, milliseconds=self.counts.asked),
        )
        self._observe(candidate.number, asked)
        if explored and not agreed:
            self._keep(request, vector)

    def _learned_among(self, candidate: Candidate, near: Sequence[Candidate]) -> Learned:
        """What is known of its answer: of all prompts nearby that have it."""
        answer = self._prompts.kept[candidate.number].answer
        same = (each.number for each in near if self._prompts.kept[each.number].answer == answer)
        return Learned.together(self._learned[number] for number in same)

    def _candidate(self, text: str, nearest: Sequence[Candidate]) -> Candidate | None:
        for near in nearest[:GUARDED]:
            refused = refusal(text, self._prompts.kept[near.number].text)
            if refused is None:
                return near
            self.counts.refused[refused] += 1
        return None

    def _count(self, request: Request, *, given: bool, explored: bool, agreed: bool) -> None:
        counts = self.counts
        counts.candidates += 1
        counts.given += given
        counts.given_wrong += given and not agreed
        if not explored:
            counts.served += 1
            if not agreed:
                counts.wrong += 1
                counts.wrong_by_kind[request.kind] += 1

    def _observe(self, number: int, asked: Asked) -> None:
        record = self.observations[number] = with_asked(self.observations[number], asked)
        if asked.teaches and asked.agreed is not None:
            observation = Observation(asked.similarity, asked.agreed)
            self._prior.add(self._learned[number], observation)
            self._learned[number] = merged([record], record.answer, EMBEDDER)

    def _keep(self, request: Request, vector: Vectors) -> None:
        self._prompts.add(request, vector)
        self._learned.append(Learned())
        self.observations.append(
            Observations(
                key=_digest(request.text),
                worker=WORKER,
                route=ROUTE,
                answer=_digest(request.answer),
                embedder=EMBEDDER,
                written_at=_BEGAN,
            )
        )


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
