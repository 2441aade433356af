"""The judge of the chaos runs: a judge that lets everything pass would make them worthless."""

from typing import Any

import judge
import pytest
from judge import Blow, Call, Ending, Ownership


def call(job_id: str, started: float, ended: float | None = None, **fields: str) -> Call:
    given: dict[str, Any] = {"worker": "w0", "model": "alpha", "ending": "ok"}
    return Call(job_id=job_id, started=started, ended=ended, **{**given, **fields})


def reply(
    job_id: str, at: float, *, worker: str = "w0", status: str = "completed", calls: int = 1
) -> Ending:
    return Ending(job_id=job_id, worker=worker, status=status, at=at, calls=calls)


def blow(at: float, *, committed: float = 0.0, born: float = 0.0) -> Blow:
    return Blow(worker="w0", kind="kill", at=at, born=born, committed=committed)


def test_a_job_without_a_completed_reply_is_lost() -> None:
    replies = [reply("a", 1), reply("b", 1, status="failed")]

    assert judge.lost(["a", "b", "c"], replies) == {"b", "c"}


def test_calls_that_no_ending_tells_of_are_counted_by_job() -> None:
    calls = [call("a", 1), call("b", 1), call("a", 2, worker="w1"), call("a", 3), call("b", 4)]

    assert judge.extra_calls(calls, [reply("a", 4), reply("b", 5, calls=2)]) == {"a": 2}
    assert judge.extra_calls(calls, []) == {"a": 2, "b": 1}


def test_a_kill_excuses_what_was_in_flight_at_its_worker_alone() -> None:
    calls = [
        call("running", 9.0, 11.0),
        call("endless", 9.0, None),
        call("on its way", 10.05, 12.0),
        call("later", 10.5, 11.0),
        call("elsewhere", 9.0, 11.0, worker="w1"),
    ]

    (excuse,) = judge.exposed([blow(10.0, committed=9.9)], calls, [])

    assert excuse.in_flight == {"running", "endless", "on its way"}
    assert excuse.uncommitted == set()


def test_a_kill_excuses_what_was_answered_and_written_after_the_last_commit_or_never() -> None:
    calls = [call("early", 1, 2), call("late", 1, 9.7), call("unwritten", 1, 9.9)]
    replies = [reply("early", 2.1), reply("late", 9.8)]

    (excuse,) = judge.exposed([blow(10.0, committed=9.5)], calls, replies)

    assert excuse.in_flight == set()
    assert excuse.uncommitted == {"late", "unwritten"}


def test_what_was_written_while_the_commit_was_being_made_may_have_missed_it() -> None:
    calls, replies = [call("a", 1, 9.4)], [reply("a", 9.45)]

    (excuse,) = judge.exposed([blow(10.0, committed=9.5)], calls, replies)

    assert excuse.uncommitted == {"a"}


def test_a_blow_does_not_excuse_what_an_earlier_process_of_that_name_called() -> None:
    calls = [call("of the one before", 1, 4.9), call("of this one", 6, 12)]

    (excuse,) = judge.exposed([blow(10.0, born=5.0, committed=9.0)], calls, [])

    assert excuse.in_flight | excuse.uncommitted == {"of this one"}


def test_each_blow_explains_one_call_more_of_a_job() -> None:
    extra = {"a": 2, "b": 1}

    assert judge.unexplained(extra, [{"a"}, {"c"}]) == {"a": 1, "b": 1}
    assert judge.unexplained(extra, [{"a"}, {"a", "b"}]) == {}


def test_only_calls_given_up_after_the_bound_by_a_living_worker_were_aborted_in_a_release() -> None:
    calls = [
        call("long", 0, 20.5, ending="client_gone"),
        call("short", 0, 5, ending="client_gone"),
        call("killed", 0, 30.1, ending="client_gone"),
        call("answered", 0, 25),
    ]

    aborted = judge.aborted_in_release(calls, [blow(30.0)], 20.0)

    assert [each.job_id for each in aborted] == ["long"]


def test_an_answer_without_a_reply_was_thrown_away() -> None:
    calls = [call("a", 1, 2), call("a", 3, 4), call("b", 1, 2), call("c", 1, 2, ending="500")]

    assert judge.thrown_away(calls, [reply("a", 4), reply("b", 2)]) == {"a": 1}


def test_full_speed_is_when_a_whole_window_is_fast_enough() -> None:
    slow = [float(second) for second in range(10)]
    fast = [10 + number / 10 for number in range(50)]

    seconds = judge.seconds_to_full_speed(slow + fast, 0.0, 9.0)

    assert seconds == pytest.approx(12.0)
    assert judge.seconds_to_full_speed(slow, 0.0, 9.0) is None


def test_the_longest_pause_counts_the_edges() -> None:
    assert judge.longest_pause([1, 2, 3, 9], 0, 10) == 6
    assert judge.longest_pause([1, 2, 3], 0, 10) == 7
    assert judge.longest_pause([], 4, 10) == 6


def test_a_call_without_a_shard_is_one_that_no_look_beside_it_can_explain() -> None:
    def look(at: float, *lanes: str) -> Ownership:
        return Ownership(worker="w0", at=at, lanes=frozenset(lanes))

    looks = [look(1, "alpha"), look(2), look(3), look(4, "beta")]
    calls = [call("moving", 1.5), call("stray", 2.5), call("wrong lane", 3.5), call("last", 4.5)]

    strays = judge.calls_without_shard(calls, looks)

    assert [each.job_id for each in strays] == ["stray", "wrong lane"]
