"""One partition while this worker owns it: when it opens, and which of its jobs may start.

An owner that left no final commit has crashed. Its calls may still run, so the next owner opens the
partition one lease later. One of its jobs may have killed the worker, so until a job of the
partition is complete only a few start, and none before a commit names their offsets. After two such
owners in a row the jobs that the last one had started run one at a time, each named in a commit
before it starts. A job named at two deaths is the killer. Where other jobs complete beside it, the
killer's offset stays the lowest: after several owners that did not get past it, it runs alone.
"""

from dataclasses import dataclass

from tollway_workers.ownership import commit_note
from tollway_workers.ownership.commit_note import CommitNote
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import KILLER_DEATHS, ReceivedRecord

#: Seconds that a worker may start calls after it sent a commit that succeeded.
LEASE = 5.0
#: Jobs of a partition that start before the first one after a crash is complete.
_FEW = 64
#: Takeovers with nothing completed, after which jobs run one at a time.
_SUSPICIOUS = 2
#: Takeovers with the same offset lowest, after which that one runs alone.
_STUCK = 4


@dataclass(frozen=True, slots=True)
class Terms:
    """The rules under which a partition is owned; every commit of it carries them."""

    #: A number of this process.
    owner: int
    shards: int
    generation: int


class OwnedPartition:
    """A partition that this worker owns.

    Mutable state: `terms`, `_waiting` (records read and not handed over, by offset), `_written`
    (the note of our last commit), `_bound` (offsets below it may start while we are cautious),
    `_suspects` (offsets that are to run alone, in order), `_named` (the one that runs alone),
    `levels` (what is left of its slices of the limits while they are not used) and `fresh`.
    """

    def __init__(self, found: tuple[int, str], terms: Terms, *, fresh: bool, now: float) -> None:
        """`found`: offset and metadata of the last commit; `fresh`: it was never committed.

        `now`: seconds on the clock that counts suspend.
        """
        #: Offset and metadata of the previous owner's last commit.
        self.found = found
        offset, metadata = found
        left = commit_note.read(offset, metadata) or CommitNote()
        calm = fresh or left.final
        same = fresh or (left.shards, left.generation) == (terms.shards, terms.generation)
        self.tracker = OffsetTracker(offset, metadata)
        self.terms = terms
        #: When the previous owner's lease is over.
        self.opens_at = now if calm and same else now + LEASE
        self._calm = calm and same
        self.levels = left.levels if left.final and same else ()
        #: Its slices of the limits were never used.
        self.fresh = fresh
        self._waiting: dict[int, ReceivedRecord] = {}
        self._written: CommitNote | None = None
        self._bound = offset
        self._suspects: list[int] = []
        self._named: int | None = None
        self._deaths = 0
        # An owner that had started no job was not killed by one.
        begun = left.takeovers == 0 or left.started > offset
        self._takeovers = left.takeovers + (begun and not calm)
        # All that the dead had begun, as far as a commit says, was complete.
        self._blameless = left.started <= offset
        self._first = self.tracker.lowest
        self._stuck = left.stuck + (left.started > offset and not calm)
        self._suspect(left, died=not calm)

    def _suspect(self, left: CommitNote, *, died: bool) -> None:
        begun = self.tracker.unfinished(left.started)
        named = left.named if left.named in begun else None
        if named is None and self._takeovers < _SUSPICIOUS:
            if self._stuck < _STUCK:
                return
            begun = begun[:1]
        self._bound = max(left.started, self._bound)
        # The offset named before comes first: it completes, or is known as the killer.
        self._suspects = sorted(begun, key=lambda offset: (offset != named, offset))
        if named is not None:
            self._deaths = left.deaths + died

    @property
    def ours(self) -> bool:
        """Whether our own commit has succeeded, and was not the final one."""
        return self._written is not None and not self._written.final

    @property
    def waiting(self) -> bool:
        """Whether records were read that may not start yet."""
        return bool(self._waiting)

    @property
    def suspicious(self) -> bool:
        """Whether jobs of it are to run alone."""
        return bool(self._suspects)

    @property
    def careful(self) -> bool:
        """Whether one of its jobs may have killed the previous owner."""
        return self._cautious or bool(self._suspects)

    @property
    def wanted(self) -> bool:
        """Whether more of its records are to be read."""
        if not self._waiting:
            return self.tracker.has_room
        return bool(self._suspects) and self.tracker.next_offset <= max(self._suspects)

    @property
    def alone(self) -> bool:
        """Whether one of its jobs runs alone, or is about to."""
        self._settle()
        return self._named is not None

    @property
    def untouched(self) -> bool:
        """Whether it is ours for certain, and nothing of it was begun or even read."""
        tracker = self.tracker
        begun = self._waiting or tracker.incomplete or tracker.finished
        return self.ours and not begun and not self.careful and not tracker.releasing

    def is_open(self, now: float) -> bool:
        """Whether its records may be read and started."""
        return self.ours and now >= self.opens_at and not self.tracker.releasing

    def ended(self, now: float) -> bool:
        """Whether no call of it runs: none of ours and, by its lease, none of the last owner's."""
        return now >= self.opens_at and not self.tracker.incomplete

    def withheld(self, seconds: float) -> float:
        """Seconds after it opens until its slots are free: a crashed owner's calls may go on."""
        return 0.0 if self._calm else seconds

    def take(self, record: ReceivedRecord) -> None:
        """Keep a record that was read until it may start; ignore one that is complete or taken."""
        if self.tracker.start(record.offset, record.timestamp):
            self._waiting[record.offset] = record

    def begin(self, *, alone_elsewhere: bool = False) -> list[ReceivedRecord]:
        """Hand over the records that may start now; `alone_elsewhere`: another job runs alone."""
        self._settle()
        if self._suspects:
            chosen = self._one(alone_elsewhere)
        elif self._cautious:
            chosen = self._announced()
        else:
            chosen = list(self._waiting.values())
        for record in chosen:
            del self._waiting[record.offset]
        return chosen

    def unread(self) -> None:
        """Drop records that were read and not started: they are read again by the next owner."""
        for offset in self._waiting:
            self.tracker.unread(offset)
        self._waiting.clear()

    def note(self, *, final: bool = False) -> CommitNote:
        """The note for the next commit. Final: no call of it runs, and none will start."""
        self._settle()
        careful = self.careful
        named = self._named
        if final:
            # The next owner keeps the deaths counted against the suspect, and adds none.
            named = self._suspects[0] if self._deaths and not self.tracker.aborted else None
        return CommitNote(
            final=final and not self.tracker.aborted,
            shards=self.terms.shards,
            generation=self.terms.generation,
            owner=self.terms.owner,
            takeovers=self._takeovers if self._cautious and not (final and self._clean) else 0,
            stuck=self._stuck if self.tracker.lowest == self._first else 0,
            started=self._bound if careful else self.tracker.next_offset,
            named=named,
            deaths=self._deaths,
        )

    def final_commit_sent(self) -> None:
        """A final commit was sent: nothing starts from here on before another commit succeeds."""
        self._written = None

    def written(self, note: CommitNote) -> None:
        """A commit with this note has succeeded."""
        self._written = note

    @property
    def _cautious(self) -> bool:
        """Whether the previous owner died and nothing was completed since."""
        return self._takeovers > 0 and self.tracker.finished == 0

    @property
    def _clean(self) -> bool:
        """Whether neither we nor the owner before us left anything that was begun.

        Else a death beside an idle partition would be held against the jobs that come to it later.
        """
        return self._blameless and self._bound <= self.tracker.lowest

    def _one(self, alone_elsewhere: bool) -> list[ReceivedRecord]:
        first = self._suspects[0]
        if first not in self._waiting:
            # It runs, or has not been read yet.
            return []
        if self._deaths >= KILLER_DEATHS:
            return [self._waiting[first]._replace(deaths=self._deaths)]
        if not alone_elsewhere:
            self._named = first
        written = None if self._written is None else self._written.named
        return [self._waiting[first]] if self._named == first == written else []

    def _announced(self) -> list[ReceivedRecord]:
        begun = len(self.tracker.incomplete) - len(self._waiting)
        few = list(self._waiting)[: max(_FEW - begun, 0)]
        if few:
            self._bound = max(self._bound, few[-1] + 1)
        written = 0 if self._written is None else self._written.started
        return [self._waiting[offset] for offset in few if offset < written]

    def _settle(self) -> None:
        """Drop suspects that are complete, and offsets that hold no record."""
        tracker = self.tracker
        while self._suspects:
            first = self._suspects[0]
            if first >= tracker.next_offset or first in tracker.incomplete:
                return
            del self._suspects[0]
            self._named, self._deaths = None, 0
        self._named = None
