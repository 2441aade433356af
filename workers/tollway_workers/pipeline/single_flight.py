"""Single flight: a job follows the identical call that is under way, instead of making another."""

from collections import defaultdict

from tollway_workers.cache.entry import suits
from tollway_workers.clock import Clock
from tollway_workers.job.accepted import may_ask_cache
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.exact_cache import ExactCache
from tollway_workers.pipeline.lookup import FOLLOWS, EndJob, Following, FollowingJobs
from tollway_workers.pipeline.publish import Written


class SingleFlight:
    """A `Lookup`: what is asked of a route's first lane at this moment.

    State, by key: `_leaders`, the jobs called at this moment whose answers others may be given, and
    `_followers`, the jobs that wait for them in the order in which they came. A leader stays here
    until its answer is written, so that there is no moment at which neither it nor the cache knows
    it.
    """

    def __init__(
        self, cache: ExactCache, following: FollowingJobs, clock: Clock, *, end: EndJob
    ) -> None:
        """`end` begins to write the outcome of a job that was not called."""
        self._cache = cache
        self._following = following
        self._clock = clock
        self._end = end
        self._leaders: dict[bytes, JobProgress] = {}
        self._followers: defaultdict[bytes, dict[JobProgress, None]] = defaultdict(dict)

    def find(self, job: JobProgress) -> Following | None:
        """A job follows another that asks the same, if the answer could be one that it takes."""
        key = _key(job)
        if key is None or self._leaders.get(key, job) is job:
            return None
        # A worker whose copy is away does not hear what is forgotten meanwhile.
        if not self._cache.serves or not may_ask_cache(job):
            return None
        self._followers[key][job] = None
        return FOLLOWS

    def begin(self, job: JobProgress) -> None:
        """A job is called: others that ask the same may follow it."""
        key = _key(job)
        if key is None or job.job.no_store or job.lane != job.route.lanes[0]:
            return
        self._leaders.setdefault(key, job)

    def land(self, job: JobProgress) -> None:
        """A job's call has ended without an answer: each that followed is called itself."""
        for follower in self._landed(job):
            self._following.resume(follower)

    def learn(self, job: JobProgress, written: Written) -> None:
        """What a job was told is told to those that followed it, if it is for them."""
        followers, outcome = self._landed(job), written.outcome
        if not followers:
            return
        told = None
        if isinstance(outcome, Completed) and self._cache.serves:
            # Not by the cache: what is too large to be kept is given to those that wait for it.
            told = self._cache.told_others(job, outcome)
        entry, now = None if told is None else told.cached, self._clock.now()
        for follower in followers:
            if told is None or entry is None or not suits(entry, follower, now):
                self._following.resume(follower)
            elif self._following.take_following(follower):
                self._end(follower, told)

    def forget(self, job: JobProgress) -> None:
        """A job went elsewhere, and nobody here learns its answer."""
        self.land(job)

    def _landed(self, job: JobProgress) -> list[JobProgress]:
        """The jobs that followed it. One that followed another itself does so no longer."""
        key = _key(job)
        if key is None:
            return []
        if self._leaders.get(key) is job:
            del self._leaders[key]
            return list(self._followers.pop(key, ()))
        if key in self._followers:
            self._followers[key].pop(job, None)
        return []


def _key(job: JobProgress) -> bytes | None:
    return job.keyed.key if job.keyed is not None else None
