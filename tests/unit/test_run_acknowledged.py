"""A re-run that starts where the snapshot says finds every record, whatever the crash."""

from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.cli.batch.acknowledged import Acknowledged
from tollway_workers.ownership.partition import Partition

A: Partition = ("jobs", 0)
B: Partition = ("jobs", 1)


def test_nothing_is_counted_before_the_lines_in_front_of_it() -> None:
    acknowledged = Acknowledged(0, {A: 5, B: 7}, {})
    for line in (1, 2, 3):
        assert acknowledged.begin(line)

    acknowledged.acknowledge(2, (B, 7))
    acknowledged.acknowledge(3, (A, 6))
    assert acknowledged.snapshot() == (0, {A: 5, B: 7})

    acknowledged.acknowledge(1, (A, 5))
    assert acknowledged.snapshot() == (3, {A: 7, B: 8})


def test_a_line_that_a_former_run_wrote_is_not_sent_again() -> None:
    acknowledged = Acknowledged(0, {A: 5}, {2: (A, 9)})

    assert acknowledged.begin(1)
    assert not acknowledged.begin(2)

    assert acknowledged.snapshot() == (0, {A: 5})
    acknowledged.acknowledge(1, (A, 12))
    assert acknowledged.snapshot() == (2, {A: 13})


def test_a_line_that_needs_no_record_counts_too() -> None:
    acknowledged = Acknowledged(0, {A: 5}, {})

    acknowledged.acknowledge(4, None)
    acknowledged.begin(4)

    assert acknowledged.snapshot() == (4, {A: 5})


@given(
    places=st.lists(st.sampled_from([A, B]), min_size=1, max_size=30),
    crashes=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), max_size=4),
)
def test_no_crash_makes_a_line_be_written_twice_or_never(
    places: list[Partition], crashes: list[tuple[int, int]]
) -> None:
    """Each crash comes after so many records written, the last few of them unacknowledged."""
    logs: dict[Partition, list[int]] = {A: [], B: []}
    line, offsets = 0, {A: 0, B: 0}

    for written, unacknowledged in [*crashes, (10**6, 0)]:
        found = {
            each: (place, offset)
            for place, log in logs.items()
            for offset, each in enumerate(log)
            if offset >= offsets[place] and each > line
        }
        acknowledged = Acknowledged(line, offsets, found)
        sent: list[tuple[int, tuple[Partition, int]]] = []
        for number, place in enumerate(places, start=1):
            if number <= line or not acknowledged.begin(number):
                continue
            if len(sent) == written:
                break
            logs[place].append(number)
            sent.append((number, (place, len(logs[place]) - 1)))
        for number, at in sent[: max(len(sent) - unacknowledged, 0)]:
            acknowledged.acknowledge(number, at)
        line, offsets = acknowledged.snapshot()

    assert sorted(logs[A] + logs[B]) == list(range(1, len(places) + 1))
    assert line == len(places)
