"""The tracker of one partition, against a model that crashes whenever it likes."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from size import sized

from tollway_workers.ownership.offset_map import OFFSET_WINDOW
from tollway_workers.ownership.offsets import OffsetTracker


class PartitionModel(RuleBasedStateMachine):
    """A log with gaps, a reader that may die at any moment, and what it committed last."""

    @initialize(gaps=st.sets(st.integers(0, 60), max_size=20), first=st.integers(0, 5))
    def begin(self, gaps: set[int], first: int) -> None:
        self.log = [offset for offset in range(first, first + 60) if offset not in gaps]
        self.end = first + 60
        self.tracker = OffsetTracker(first)
        self.committed: tuple[int, str] = (first, "")
        self.safe: set[int] = set()
        self.done: set[int] = set()
        self.written: set[int] = set()
        self.open: set[int] = set()
        self.position = first

    @rule(count=st.integers(1, 8))
    def read(self, count: int) -> None:
        for offset in [each for each in self.log if each >= self.position][:count]:
            self.position = offset + 1
            if offset not in self.open and self.tracker.start(offset):
                assert offset not in self.safe, "a record that was committed as done came again"
                assert offset not in self.open
                self.open.add(offset)
        if not any(each >= self.position for each in self.log):
            self.position = self.end

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.open)))
        self.open.remove(offset)
        self.tracker.finish(offset)
        self.done.add(offset)
        self.written.add(offset)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def unread(self, data: st.DataObject) -> None:
        for offset in data.draw(st.lists(st.sampled_from(sorted(self.open)), unique=True)):
            self.open.remove(offset)
            self.tracker.unread(offset)
        self.position = self.tracker.next_offset

    @rule(idle=st.booleans())
    def commit(self, idle: bool) -> None:
        position = self.position if idle and not self.open else None
        self.committed = self.tracker.committable(position)
        self.safe = set(self.done)

    @rule()
    def crash(self) -> None:
        self.tracker = OffsetTracker(*self.committed)
        self.position = self.tracker.next_offset
        self.done = set(self.safe)
        self.open.clear()

    @rule()
    def lose_position_in_a_rebalance(self) -> None:
        self.position = self.tracker.next_offset

    @rule(offset=st.integers(0, 70))
    def finish_what_was_never_taken(self, offset: int) -> None:
        if offset not in self.open:
            self.tracker.finish(offset)

    @invariant()
    def nothing_is_lost(self) -> None:
        base, _ = self.committed if hasattr(self, "committed") else (0, "")
        left_behind = {o for o in getattr(self, "log", ()) if o < base} - self.written
        assert not left_behind, "an offset was committed whose outcome is not written"

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        while self.position < self.end or self.open:
            self.read(8)
            for offset in sorted(self.open):
                self.open.remove(offset)
                self.tracker.finish(offset)
                self.written.add(offset)
        assert self.written == set(self.log)
        assert self.tracker.committable(self.position) == (self.end, "")


TestPartition = PartitionModel.TestCase
TestPartition.settings = settings(max_examples=sized(20, 60), stateful_step_count=30)


def test_an_idle_partition_commits_its_end_past_what_never_arrives() -> None:
    tracker = OffsetTracker(10)
    tracker.start(10)
    tracker.finish(10)

    assert tracker.committable(position=15) == (15, "")


def test_a_position_is_not_believed_while_a_record_runs() -> None:
    tracker = OffsetTracker(10)
    tracker.start(10)

    assert tracker.committable(position=15) == (10, "")


def test_a_window_that_is_full_takes_nothing_until_its_oldest_is_done() -> None:
    tracker = OffsetTracker(0)
    for offset in range(OFFSET_WINDOW):
        tracker.start(offset)
    for offset in range(1, OFFSET_WINDOW):
        tracker.finish(offset)
    full = tracker.has_room

    tracker.finish(0)

    assert not full
    assert tracker.has_room
    assert tracker.committable() == (OFFSET_WINDOW, "")


@pytest.mark.parametrize("metadata", ["", None, "somebody else's", "o1:damaged"])
def test_foreign_metadata_offers_everything_from_the_committed_offset(metadata: str | None) -> None:
    tracker = OffsetTracker(3, metadata)

    assert [tracker.start(offset) for offset in (2, 3, 4)] == [False, True, True]


def test_the_oldest_record_that_is_not_complete_is_the_lowest() -> None:
    tracker = OffsetTracker(0)
    for offset in range(3):
        tracker.start(offset, since=100.0 - offset)

    tracker.finish(0)

    assert tracker.oldest == 99.0
    tracker.finish(1)
    tracker.finish(2)
    assert tracker.oldest is None


def test_what_is_outstanding_is_the_lag_without_what_is_complete_behind_a_running_record() -> None:
    before = OffsetTracker(10)
    for offset in range(10, 15):
        before.start(offset)
    for offset in (11, 13):
        before.finish(offset)

    after = OffsetTracker(*before.committable())

    assert [tracker.outstanding(end=20) for tracker in (before, after)] == [8, 8]
    assert OffsetTracker(10).outstanding(end=9) == 0


def test_it_shows_its_state_in_a_line() -> None:
    tracker = OffsetTracker(5)
    tracker.start(5)
    tracker.start(6)
    tracker.finish(6)

    assert repr(tracker) == "<OffsetTracker base 5, next 7, 1 incomplete, 1 done above>"
