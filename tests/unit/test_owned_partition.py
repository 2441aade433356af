"""One partition over the lives of its owners: what opens when, what begins, what is a killer."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.ownership import commit_note
from tollway_workers.ownership.commit_note import CommitNote
from tollway_workers.ownership.owned_partition import LEASE, OwnedPartition, Terms
from tollway_workers.ownership.record import ReceivedRecord

_NOW = 1_000.0


class Partition:
    """A log of `count` records, what was committed last, and the owners that come and go."""

    def __init__(self, count: int, committed: tuple[int, str] | None = None) -> None:
        self.count = count
        self.committed = committed
        self.owners = 0
        self.owned = self.take_over()

    def take_over(self, *, shards: int = 4, generation: int = 7) -> OwnedPartition:
        """A new owner, that has made its own commit."""
        self.owners += 1
        self.owned = OwnedPartition(
            self.committed or (0, ""),
            Terms(self.owners, shards, generation),
            fresh=self.committed is None,
            now=_NOW,
        )
        self.commit()
        return self.owned

    def read(self, most: int = 500) -> None:
        tracker = self.owned.tracker
        end = min(self.count, tracker.next_offset + most)
        for offset in range(tracker.next_offset, end):
            self.owned.take(ReceivedRecord("t", 0, offset, None, None, (), 0.0, self.owned.tracker))

    def commit(self, *, final: bool = False) -> CommitNote:
        note = self.owned.note(final=final)
        self.committed = self.owned.tracker.committable(None, note)
        read_back = commit_note.read(*self.committed)
        assert read_back is not None
        self.owned.written(read_back)
        return read_back

    def begin(self, *, alone_elsewhere: bool = False) -> list[int]:
        return [r.offset for r in self.owned.begin(alone_elsewhere=alone_elsewhere)]

    def begin_after_a_commit(self) -> list[int]:
        begun = self.begin()
        self.commit()
        return begun + self.begin()

    def finish(self, *offsets: int) -> None:
        for offset in offsets:
            self.owned.tracker.finish(offset)


def partition(count: int = 100) -> Partition:
    return Partition(count)


def die(part: Partition, *, times: int = 1) -> None:
    """Owners that read, begin what they may, say so, and end."""
    for _ in range(times):
        part.read()
        part.begin_after_a_commit()
        part.take_over()


def test_a_partition_that_nobody_ever_had_opens_at_once() -> None:
    part = partition()

    assert part.owned.is_open(_NOW)


def test_it_does_not_open_before_our_own_commit_stands() -> None:
    owned = OwnedPartition((0, ""), Terms(1, 4, 7), fresh=True, now=_NOW)

    assert not owned.is_open(_NOW)
    owned.written(owned.note())
    assert owned.is_open(_NOW)


def test_what_was_left_without_a_last_word_opens_one_lease_later() -> None:
    part = partition()
    part.take_over()

    assert not part.owned.is_open(_NOW + LEASE - 0.001)
    assert part.owned.is_open(_NOW + LEASE)


def test_what_was_left_with_one_opens_at_once() -> None:
    part = partition()
    part.commit(final=True)
    part.take_over()

    assert part.owned.is_open(_NOW)


@pytest.mark.parametrize(("shards", "generation"), [(2, 7), (4, 8)])
def test_a_last_word_counts_for_the_same_shards_and_limits_only(
    shards: int, generation: int
) -> None:
    part = partition()
    part.commit(final=True)
    part.take_over(shards=shards, generation=generation)

    assert not part.owned.is_open(_NOW)
    assert part.owned.is_open(_NOW + LEASE)


def test_a_broken_off_call_makes_no_last_word() -> None:
    part = partition()
    part.owned.tracker.aborted = True

    assert not part.commit(final=True).final


@pytest.mark.parametrize("metadata", ["", "o1:AAAA", "somebody else's"])
def test_metadata_of_others_is_a_crash(metadata: str) -> None:
    owned = OwnedPartition((5, metadata), Terms(1, 4, 7), fresh=False, now=_NOW)

    assert owned.opens_at == _NOW + LEASE
    assert owned.note().takeovers == 1


def test_while_it_is_released_it_is_not_open() -> None:
    part = partition()
    part.owned.tracker.releasing = True

    assert not part.owned.is_open(_NOW)


def test_everything_begins_at_once_where_nobody_died() -> None:
    part = partition()
    part.read()

    assert part.begin() == list(range(100))


def test_after_a_death_few_begin_and_only_once_a_commit_says_so() -> None:
    part = partition()
    part.take_over()
    part.read()

    before, note = part.begin(), part.commit()

    assert (before, note.takeovers, note.started) == ([], 1, 64)
    assert part.begin() == list(range(64))
    assert part.begin_after_a_commit() == []


def test_the_first_completion_ends_all_caution() -> None:
    part = partition()
    die(part)
    part.read()
    part.begin_after_a_commit()
    part.finish(3)

    assert part.begin() == list(range(64, 100))
    assert part.commit().takeovers == 0


def test_after_two_deaths_with_nothing_complete_jobs_run_one_at_a_time() -> None:
    part = partition()
    die(part, times=2)
    part.read()

    order = []
    for _ in range(80):
        if begun := part.begin_after_a_commit():
            order.append(begun)
            assert part.commit().named == begun[0] if len(begun) == 1 else True
            part.finish(*begun)

    assert order == [*([n] for n in range(64)), list(range(64, 100))]


def test_two_that_might_be_killers_never_run_at_the_same_time() -> None:
    part = partition()
    die(part, times=2)
    part.read()

    assert part.begin(alone_elsewhere=True) == []
    assert part.commit().named is None
    assert not part.owned.alone
    assert part.begin_after_a_commit() == [0]
    assert part.owned.alone


def _deaths_until_known(part: Partition, killer: int, *, slots: int = 8) -> tuple[int, set[int]]:
    """Owners with some slots; each ends as soon as `killer` is in one."""
    answered: set[int] = set()
    for deaths in range(20):
        queue: list[ReceivedRecord] = []
        while True:
            part.read()
            part.commit()
            queue += part.owned.begin()
            running = queue[:slots]
            known = [record.offset for record in running if record.kills]
            assert set(known) <= {killer}, "a neighbour was taken along"
            if known:
                return deaths, answered
            if killer in [record.offset for record in running]:
                break
            if not running:
                # What may begin was announced: the next commit says so.
                continue
            # One ends, the next takes its slot.
            part.finish(running[0].offset)
            answered.add(queue.pop(0).offset)
        part.commit()
        part.take_over()
    raise AssertionError("it was never known")


@given(killer=st.integers(0, 99), slots=st.integers(1, 60))
def test_a_killer_is_known_after_four_deaths_and_takes_nobody_along(
    killer: int, slots: int
) -> None:
    deaths, _ = _deaths_until_known(partition(), killer, slots=slots)

    assert deaths <= 4


def test_a_killer_that_lets_others_finish_is_known_too() -> None:
    part = partition(count=1_000)
    for _ in range(8):
        part.read(100)
        part.commit()
        for _ in range(3):
            begun = part.owned.begin()
            if any(record.kills for record in begun):
                assert [record.offset for record in begun] == [7]
                return
            part.finish(*(record.offset for record in begun if record.offset != 7))
            part.commit()
        part.take_over()
    raise AssertionError("it was never known")


def test_once_the_killer_is_dealt_with_everything_else_goes_on() -> None:
    part = partition(count=40)
    _, done = _deaths_until_known(part, killer=5)
    part.finish(5)

    for _ in range(60):
        begun = part.begin_after_a_commit()
        part.finish(*begun)
        done.update(begun)

    assert done == set(range(40)) - {5}


def test_an_owner_that_dies_before_it_begins_anything_accuses_nobody() -> None:
    part = partition()

    for _ in range(6):
        part.take_over()

    assert part.owned.note().takeovers == 1
    part.read()
    assert len(part.begin_after_a_commit()) > 1


def test_a_death_that_no_job_of_it_can_have_caused_is_forgotten_with_the_next_last_word() -> None:
    partition = Partition(0)
    partition.take_over()
    partition.commit(final=True)

    # Much later jobs come, wait in memory for their turn, and their owner dies of something else.
    partition.take_over()
    partition.count = 50
    partition.read()
    assert partition.begin() == list(range(50))
    partition.commit()
    partition.take_over()

    assert not partition.owned.suspicious


def test_a_death_with_jobs_begun_outlives_a_last_word() -> None:
    partition = Partition(3)
    partition.read()
    partition.begin()
    partition.commit()
    partition.take_over()
    partition.commit(final=True)

    partition.take_over()
    partition.read()
    partition.begin_after_a_commit()
    partition.take_over()

    assert partition.owned.suspicious


def test_planned_moves_add_nothing_to_what_is_held_against_a_job() -> None:
    part = partition()
    die(part, times=3)

    for _ in range(5):
        part.owned.unread()
        part.commit(final=True)
        part.take_over()

    part.read()
    part.begin()
    part.commit()
    (first,) = part.owned.begin()
    assert (first.offset, first.deaths) == (0, 0)


def test_suspects_that_never_arrive_hold_nobody_up() -> None:
    part = partition()
    die(part, times=2)
    tracker = part.owned.tracker
    for offset in (3, 4, 50):
        part.owned.take(ReceivedRecord("t", 0, offset, None, None, (), 0.0, tracker))

    order: list[int] = []
    for _ in range(6):
        begun = part.begin_after_a_commit()
        part.finish(*begun)
        order += begun

    assert order == [3, 4, 50]


def test_what_was_given_back_is_read_again_and_committed_by_nobody() -> None:
    part = partition()
    part.read(10)
    part.begin()
    part.read(10)
    part.finish(*range(10))

    part.owned.unread()

    assert part.commit(final=True).final
    assert part.committed is not None
    assert part.committed[0] == 10
    part.read()
    assert part.begin() == list(range(10, 100))


def test_more_is_read_only_when_what_was_read_has_begun() -> None:
    part = partition()
    part.take_over()
    part.read(70)

    assert not part.owned.wanted
    part.begin_after_a_commit()
    assert not part.owned.wanted
    part.finish(0)
    part.begin()
    assert part.owned.wanted


def test_a_named_suspect_that_is_not_read_yet_is_read() -> None:
    part = partition(count=100)
    die(part, times=2)
    part.read(10)

    assert part.owned.wanted


_LIVES = st.lists(
    st.tuples(st.integers(1, 40), st.lists(st.integers(0, 59)), st.booleans()), max_size=12
)


@given(_LIVES)
def test_whoever_comes_and_goes_each_record_is_answered_and_none_after_its_commit_again(
    lives: Sequence[tuple[int, Iterable[int], bool]],
) -> None:
    part = partition(count=60)
    running: set[int] = set()
    safe: set[int] = set()
    done: set[int] = set()
    for read, finished, final in lives:
        part.read(read)
        for offset in part.begin_after_a_commit():
            assert offset not in safe, "a record that was committed as done came again"
            assert offset not in running
            running.add(offset)
        part.finish(*(now := running & set(finished)))
        done |= now
        running -= now
        if final:
            part.owned.unread()
            part.owned.tracker.aborted = bool(running)
        part.commit(final=final)
        safe = set(done)
        running.clear()
        part.take_over()

    for _ in range(300):
        part.read()
        begun = part.begin_after_a_commit()
        part.finish(*begun)
        done.update(begun)
    # The property test of killers has its own: here an owner may die at any record.
    assert done == set(range(60))
