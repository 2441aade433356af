"""True lag: what is done behind a running job is no work any more."""

import pytest

from tollway_workers.ownership import offset_map
from tollway_workers.ownership.remaining import span


@pytest.mark.parametrize(
    ("begin", "end", "committed", "done", "expected"),
    [
        (0, 0, None, (), 0),
        (5, 25, None, (), 20),
        (0, 100, 40, (), 60),
        (0, 100, 40, range(41, 100), 1),
        # Retention has taken what was not read.
        (50, 100, 40, (41, 60), 49),
        (100, 100, 40, (41,), 0),
        # The topic was made again: what was committed is of another one.
        (0, 10, 40, (41, 45), 0),
    ],
)
def test_what_is_complete_is_not_counted(
    begin: int, end: int, committed: int | None, done: tuple[int, ...], expected: int
) -> None:
    metadata = None if committed is None else offset_map.encode(committed, set(done))

    assert span(begin, end, committed, metadata).count == expected


def test_metadata_of_another_program_means_that_nothing_above_is_done() -> None:
    assert span(0, 100, 40, "somebody's note").count == 60


def test_a_partition_without_a_commit_is_all_to_do() -> None:
    assert span(0, 7, -1, "").count == 7
