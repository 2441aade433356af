"""The judge of woken workers: who may call is read from Kafka's own log of commits."""

import struct

import pytest
from commit_log import content_of, place_of
from door import Door, Visit
from judge import Call, Commit, Wake, calls_by_right

_MINE, _OTHERS = 7, 8
_WAKE = Wake(worker="w0", owner=_MINE, at=10.0, until=20.0)


def call(started: float, job_id: str = "0", worker: str = "w0") -> Call:
    return Call(worker=worker, job_id=job_id, model="m", started=started, ended=None, ending="ok")


def commit(at: float, owner: int = _MINE, partition: int = 0) -> Commit:
    return Commit(partition=partition, owner=owner, at=at, final=False)


def counted(commits: list[Commit], *calls: Call) -> tuple[list[float], list[float]]:
    """When calls by right and calls without started."""
    right, without = calls_by_right(_WAKE, calls, commits, int)
    return [each.started for each in right], [each.started for each in without]


def test_a_call_after_a_commit_of_its_worker_s_own_is_by_right_and_one_before_it_is_not() -> None:
    commits = [commit(1.0), commit(8.0, _OTHERS), commit(15.0)]

    assert counted(commits, call(10.0), call(14.9), call(15.1)) == ([15.1], [10.0, 14.9])


def test_a_commit_from_before_the_freeze_gives_no_right() -> None:
    assert counted([commit(1.0)], call(10.5)) == ([], [10.5])


@pytest.mark.parametrize(
    "commits",
    [
        [commit(12.0), commit(13.0, _OTHERS)],
        [commit(12.0, partition=1)],
        [],
    ],
    ids=["others' came after it", "another partition's", "none"],
)
def test_a_commit_of_that_partition_must_be_the_last_and_its_own(commits: list[Commit]) -> None:
    assert counted(commits, call(14.0)) == ([], [14.0])


def test_calls_of_others_before_waking_and_after_the_next_freeze_are_not_counted() -> None:
    assert counted([], call(11.0, worker="w1"), call(9.9), call(20.0)) == ([], [])


@pytest.mark.parametrize(
    ("version", "before", "text"),
    [
        (1, b"", b"\0\5notes"),
        (3, struct.pack(">i", -1), b"\0\5notes"),
        (4, struct.pack(">i", -1), b"\6notes"),
    ],
)
def test_commits_are_read_in_each_form_that_kafka_writes(
    version: int, before: bytes, text: bytes
) -> None:
    value = struct.pack(">hq", version, 42) + before + text + bytes(9)

    assert content_of(value) == (42, "notes")


def test_a_long_note_s_length_takes_two_bytes() -> None:
    value = struct.pack(">hqi", 4, 42, -1) + bytes([0xAD, 0x02]) + b"x" * 300 + bytes(9)

    assert content_of(value) == (42, "x" * 300)


def test_a_form_of_commits_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="version 9"):
        content_of(struct.pack(">hq", 9, 42) + bytes(20))


def test_keys_name_group_topic_and_partition_and_those_about_groups_nothing() -> None:
    key = struct.pack(">h", 1) + b"\0\1g\0\1t" + struct.pack(">i", 3)

    assert place_of(key) == ("g", "t", 3)
    assert place_of(struct.pack(">h", 2) + b"\0\1g") is None


def test_a_connection_that_stood_at_waking_and_was_silent_is_counted() -> None:
    door = Door()
    door.visits = [Visit(1.0, 1.1), Visit(2.0, 12.0), Visit(3.0), Visit(9.9)]

    assert door.silent(9.0, 10.0) == 2
