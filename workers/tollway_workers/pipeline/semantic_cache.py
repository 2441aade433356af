"""The semantic cache: a job whose prompt is similar to one that was answered may be given that
answer, as often as its route's `error_bound` allows; else its own answer is compared with it.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Any, Protocol

import structlog

from tollway_schemas.cache import CacheEntry
from tollway_schemas.provenance import Provenance
from tollway_schemas.semantic import Observations
from tollway_workers.cache.entry import given, is_of_the_first_lane
from tollway_workers.cache.semantic.agreement import agree
from tollway_workers.cache.semantic.guards import refusal
from tollway_workers.cache.semantic.observing import Asked, Mode
from tollway_workers.cache.semantic.rule import FLOOR
from tollway_workers.cache.semantic.scope import scope_of
from tollway_workers.cache.semantic.similar import SimilarPrompts
from tollway_workers.clock import Clock
from tollway_workers.job.accepted import may_ask_similar
from tollway_workers.job.envelopes import instant
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.similar import Candidate, Similar
from tollway_workers.pipeline.agreements import Agreements
from tollway_workers.pipeline.exact_cache import ExactCache
from tollway_workers.pipeline.lookup import FOLLOWS, EndJob, Following, FollowingJobs
from tollway_workers.pipeline.publish import Written
from tollway_workers.pipeline.text_vectors import NamedEmbedder, Pack, TextVectors
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Prompts that are looked at, the nearest first, and those of them that guards read. An answer is
#: learned of with all that have it.
_NEAREST, _MOST_GUARDED = 16, 8
#: Answers that wait to be compared; those that come then teach nothing.
_MOST_COMPARED = 1_000
#: Seconds within which a job has been read just now, and nobody was passed over for it.
_JUST_READ = 1.0


Go = Callable[[Coroutine[Any, Any, None]], object]


class SemanticEvents(Protocol):
    """Called synchronously; must be quick and must not raise."""

    def similar_looked(self, route: str, found: str) -> None:
        """What was found of a job, or why nothing was looked for."""
        ...

    def similar_compared(self, route: str, *, agreed: bool | None) -> None:
        """The answer of a job was compared with that of a similar prompt."""
        ...


class AllObservations(Protocol):
    """What all workers observe; see `AnswerCache`."""

    def observe(self, record: Observations, /) -> None:
        """Publish it; dropped where that is not possible at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticParts:
    """What a semantic cache is put together from."""

    prompts: SimilarPrompts
    observations: AllObservations
    #: By the names of the configuration; what cannot be used is not among them.
    embedders: Mapping[str, NamedEmbedder]
    pack: Pack
    #: The `lane_identity` of each lane.
    lanes: Mapping[str, str]
    events: SemanticEvents
    agreements: Agreements = field(default_factory=Agreements)
    dice: Random = field(default_factory=SystemRandom)


class SemanticCache:
    """A `Lookup`. It fails open: whatever is wrong with it, a job is called as if it were not.

    State: `_vectors` that are waited for, by embedder, the jobs that wait for one (`_waiting`), and
    how many answers are being compared.
    """

    def __init__(self, cache: ExactCache, parts: SemanticParts, clock: Clock) -> None:
        """`attach` comes next, before any job."""
        self._cache = cache
        self._parts = parts
        self._events = parts.events
        self._clock = clock
        self._vectors: dict[str, TextVectors] = {}
        self._following: FollowingJobs | None = None
        self._waiting: dict[JobProgress, Similar] = {}
        self._comparing = 0

    def attach(self, following: FollowingJobs, *, go: Go, end: EndJob) -> None:
        """The worker whose jobs these are; `go` runs a task, `end` begins to write the outcome of a
        job that was not called.
        """
        parts, self._following, self._go, self._end = self._parts, following, go, end
        self._vectors = {
            name: TextVectors(named, parts.pack, self._clock, go=go)
            for name, named in parts.embedders.items()
        }

    def find(self, job: JobProgress) -> Completed | Following | None:
        """A similar prompt's answer where the rule gives it; the job follows until its own prompt
        has a vector.
        """
        if not job.route.cache.is_semantic:
            return None
        try:
            return self._find(job)
        except Exception as error:  # noqa: BLE001 a bug of the cache must not touch a job
            self._waiting.pop(job, None)
            self._said("unexpected exception while looking for similar prompts", job, error)
            return None

    def learn(self, job: JobProgress, written: Written) -> None:
        """Compare what a job was told with what it might have been given."""
        similar = job.similar
        if similar is None:
            return
        self._waiting.pop(job, None)
        outcome, candidate = written.outcome, similar.candidate
        if candidate is None or not isinstance(outcome, Completed):
            return
        try:
            if outcome.provenance is Provenance.SEMANTIC:
                self._note(job, candidate, None)
            elif is_of_the_first_lane(job, outcome):
                self._compare(job, similar, candidate, outcome)
        except Exception as error:  # noqa: BLE001 a bug of the cache must not touch a job
            self._said("unexpected exception while comparing answers", job, error)

    def forget(self, job: JobProgress) -> None:
        """Nobody waits for its vector here."""
        self._waiting.pop(job, None)

    def _find(self, job: JobProgress) -> Completed | Following | None:
        similar = job.similar
        if similar is None:
            return self._begin(job)
        if job in self._waiting:
            return FOLLOWS
        return self._look(job, similar) if similar.vector is not None else None

    async def answer(self, job: JobProgress) -> Completed | None:
        """The same for a job that nothing else answers: it is waited for here. It may be cancelled,
        and raises nothing else.
        """
        if not job.route.cache.serves_similar:
            return None
        try:
            similar = job.similar
            if similar is None and (begun := self._scoped(job)) is not None:
                vectors, similar = begun
                similar.vector = await vectors.of(similar.text)
            if similar is None or similar.vector is None or not may_ask_similar(job):
                return None
            return self._look(job, similar) or self._spared(job, similar)
        except Exception as error:  # noqa: BLE001 a bug of the cache must not touch a job
            self._said("unexpected exception while looking for similar prompts", job, error)
            return None

    def _begin(self, job: JobProgress) -> Following | None:
        """Ask for the vector of a job's prompt."""
        if job.not_before > self._clock.now() or (begun := self._scoped(job)) is None:
            return None
        vectors, similar = begun
        # Its place among others, while it has not been passed over for them.
        came = self._clock.monotonic() - job.came
        behind = came < _JUST_READ and not job.attempts and not job.not_before
        self._waiting[job] = similar
        vectors.ask(similar.text, lambda vector: self._placed(job, vector, behind=behind))
        return FOLLOWS

    def _scoped(self, job: JobProgress) -> tuple[TextVectors, Similar] | None:
        """Where a job's prompt is to be looked for; None where it is not."""
        keyed = job.keyed
        if keyed is None or keyed.key is None or not may_ask_similar(job):
            return None
        vectors, lane = self._vectors.get(job.route.cache.embedder or ""), job.route.lanes[0]
        if vectors is None or not self._cache.serves:
            return None
        scoped = scope_of(job.job, self._parts.lanes[lane], job.route, vectors.id)
        dice = self._parts.dice
        job.similar = similar = Similar(
            *(scoped or (b"", "")), vectors.id, draw=dice.random(), recheck_draw=dice.random()
        )
        if scoped is None or not vectors.fits(scoped.text):
            self._events.similar_looked(job.job.route, "unfit")
            return None
        return vectors, similar

    def _placed(self, job: JobProgress, vector: bytes | None, *, behind: bool) -> None:
        """A job's prompt has a vector, or will have none."""
        similar, following = self._waiting.pop(job, None), self._following
        if similar is None or following is None:
            return
        similar.vector = vector
        if vector is None:
            self._events.similar_looked(job.job.route, "no_vector")
        # At once: where its lane is full, nobody looks at who waits there.
        found = self.find(job)
        if not isinstance(found, Completed):
            following.resume(job, behind=behind)
        elif following.take_following(job):
            self._end(job, found)

    def _look(self, job: JobProgress, similar: Similar) -> Completed | None:
        """Look for the nearest prompt whose answer may be given, where more is known since."""
        if not self._cache.serves or not self._parts.prompts.loaded:
            return None
        changes = self._parts.prompts.places.changes(similar.scope)
        if changes == similar.looked_at:
            return None
        first, similar.looked_at = similar.looked_at < 0, changes
        similar.candidate, refused = self._candidate(job, similar)
        candidate = similar.candidate
        mode, route = job.route.cache.semantic, job.job.route
        if candidate is None:
            if first:
                self._events.similar_looked(route, refused or "none")
            return None
        if candidate.given and not candidate.rechecked and mode == "serve":
            self._events.similar_looked(route, "served")
            now = self._clock.now()
            return given(candidate.entry, Provenance.SEMANTIC, now, candidate.similarity)
        if first:
            self._events.similar_looked(route, "rechecked" if candidate.given else "explored")
        return None

    def _spared(self, job: JobProgress, similar: Similar) -> Completed | None:
        """What the job was not given so that its own answer could be compared: it has none."""
        candidate = similar.candidate
        if candidate is None or not candidate.given:
            return None
        # It may be forgotten since.
        entry = self._cache.entry_at(bytes.fromhex(candidate.entry.key), job)
        if entry is None or entry.answered_at != candidate.entry.answered_at:
            return None
        return given(entry, Provenance.SEMANTIC, self._clock.now(), candidate.similarity)

    def _candidate(self, job: JobProgress, similar: Similar) -> tuple[Candidate | None, str | None]:
        """The nearest that may be; else the guard that refused the nearest one of all."""
        refused: str | None = None
        near = self._near(job, similar)
        for entry, similarity in near[:_MOST_GUARDED]:
            assert entry.prompt is not None  # noqa: S101 only such are near
            guard = refusal(similar.text, entry.prompt.text)
            if guard is None:
                said = [each for each, _ in near]
                return self._judged(job, similar, entry, similarity, said), None
            refused = refused or f"guard_{guard}"
        return None, refused

    def _near(self, job: JobProgress, similar: Similar) -> list[tuple[CacheEntry, float]]:
        """Answers to the nearest prompts, the nearest first."""
        assert similar.vector is not None  # noqa: S101 it is looked for with one only
        own = job.keyed and job.keyed.key
        found: list[tuple[CacheEntry, float]] = []
        for near in self._parts.prompts.places.nearest(similar.scope, similar.vector, _NEAREST):
            if near.similarity < FLOOR:
                break
            # What stands under its own key is past its time, or not for it.
            entry = None if near.key == own else self._cache.entry_at(near.key, job)
            if entry is not None and entry.prompt is not None:
                found.append((entry, near.similarity))
        return found

    def _judged(
        self,
        job: JobProgress,
        similar: Similar,
        entry: CacheEntry,
        similarity: float,
        near: Sequence[CacheEntry],
    ) -> Candidate:
        """What the rule says of an answer."""
        cache = job.route.cache
        chance = self._parts.prompts.experience.chance_to_explore(
            entry, near, similarity, cache.error_bound
        )
        gives = similar.draw >= chance
        return Candidate(entry, similarity, gives, gives and similar.recheck_draw < cache.recheck)

    def _compare(
        self, job: JobProgress, similar: Similar, candidate: Candidate, outcome: Completed
    ) -> None:
        route, kept, fresh = job.job.route, candidate.entry.answer, outcome.answer
        if self._parts.agreements.at_once(route, kept, fresh):
            self._compared(job, similar, outcome, agree(kept, fresh))
        elif self._comparing < _MOST_COMPARED:
            self._comparing += 1
            self._go(self._compare_aside(job, similar, candidate, outcome))

    async def _compare_aside(
        self, job: JobProgress, similar: Similar, candidate: Candidate, outcome: Completed
    ) -> None:
        kept, fresh = candidate.entry.answer, outcome.answer
        try:
            agreed = await self._parts.agreements.agree(job.job.route, kept, fresh)
            self._compared(job, similar, outcome, agreed)
        except Exception as error:  # noqa: BLE001 a bug of the cache must not touch a job
            self._said("unexpected exception while comparing answers", job, error)
        finally:
            self._comparing -= 1

    def _compared(
        self, job: JobProgress, similar: Similar, outcome: Completed, agreed: bool | None
    ) -> None:
        candidate = similar.candidate
        if candidate is None:
            return
        self._events.similar_compared(job.job.route, agreed=agreed)
        self._note(job, candidate, agreed)
        if agreed is False:
            # The next prompt like this one may be given its answer instead.
            similar.differs = True
            self._cache.remember(job, outcome)

    def _note(self, job: JobProgress, candidate: Candidate, agreed: bool | None) -> None:
        entry, mode = candidate.entry, job.route.cache.semantic
        if entry.prompt is None or mode == "off":
            return
        record = self._parts.prompts.experience.note(
            entry, entry.prompt, self._asked(mode, candidate, agreed)
        )
        self._parts.observations.observe(record)

    def _asked(self, mode: Mode, candidate: Candidate, agreed: bool | None) -> Asked:
        usage = candidate.entry.usage
        return Asked(
            mode=mode,
            similarity=candidate.similarity,
            served=candidate.given,
            agreed=agreed,
            # What `serve` would not have called teaches `shadow` nothing.
            teaches=not candidate.given or candidate.rechecked,
            tokens=0 if usage is None else usage.input_total + usage.output_total,
            cost=candidate.entry.cost or 0,
            at=instant(self._clock.now()),
        )

    def _said(self, what: str, job: JobProgress, error: Exception) -> None:
        log.error(f"{what}: the job goes on without", job=job.job.id, **error_fields(error))
