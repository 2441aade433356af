"""The judge of answers that are given again, and what is asked."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from again import TENANTS, job_of, questions
from again_judge import Question, Told, cold_figures, judged, repeated, sort_calls
from judge import Blow, Call, Ending

ONE, TWO = Question("acme", 1), Question("bolt", 1)


def call(job_id: str, started: float, ended: float | None = None, ending: str = "ok") -> Call:
    end = started + 0.5 if ended is None else ended
    return Call(worker="fleet", job_id=job_id, model="m", started=started, ended=end, ending=ending)


def blow(at: float, worker: str = "w0") -> Blow:
    return Blow(worker=worker, kind="kill", at=at, born=0.0, committed=0.0)


def wrote(job_id: str, at: float, worker: str = "w0", *, given: bool = False) -> Ending:
    return Ending(job_id=job_id, worker=worker, status="completed", at=at, given=given)


def reply(source: str | None = None, tenant: str | None = "acme") -> dict[str, Any]:
    known = None if source is None else {"job_id": source, "tenant": tenant}
    return {"status": "completed", "cached_from": known}


@pytest.fixture
def told() -> Told:
    """Two questions, one of which was asked twice: as it should be."""
    return Told(
        questions={"a": ONE, "b": TWO, "c": ONE},
        replies={"a": reply(), "b": reply(), "c": reply("a")},
        calls=[call("a", 10.0), call("b", 10.0)],
        endings=[wrote("a", 10.55), wrote("b", 10.55), wrote("c", 12.0, given=True)],
        stored={"a": [10.6], "b": [10.6]},
    )


def broken(told: Told, *, alone: bool = False) -> list[str]:
    return [each.name for each in judged(told, alone=alone) if not each.holds]


def test_a_question_that_is_paid_for_once_is_right(told: Told) -> None:
    assert broken(told) == []
    assert broken(told, alone=True) == []


def test_a_call_whose_answer_was_known_is_one_too_many(told: Told) -> None:
    told.calls = [*told.calls, call("c", 11.6)]

    assert broken(told) == ["calls", "calls whose answer was known"]


def test_what_was_asked_elsewhere_within_a_second_is_excused_but_not_of_one_worker(
    told: Told,
) -> None:
    told.calls = [*told.calls, call("c", 11.4)]

    assert broken(told) == []
    assert broken(told, alone=True) == ["calls", "calls whose answer was known"]


def test_what_waited_long_for_its_reply_was_not_known_before(told: Told) -> None:
    """A worker whose machine is busy is late with what it writes."""
    told.calls = [*told.calls, call("c", 14.9)]
    told.endings = [wrote("a", 14.0), wrote("b", 10.55)]
    told.stored = {"a": [14.1], "b": [10.6]}

    assert broken(told) == []


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(call("a", 5.0, 7.0, "client_gone"), id="broken off"),
        pytest.param(call("a", 5.0, 6.9), id="answered, and never written"),
        pytest.param(call("a", 2.0, 3.0), id="answered seconds before"),
    ],
)
def test_what_was_in_flight_at_a_kill_is_called_again(told: Told, lost: Call) -> None:
    told.calls = [lost, *told.calls]
    assert broken(told) != []

    told.blows = [blow(7.0)]

    assert sort_calls(told).in_flight == 1
    assert broken(told) == []
    assert broken(told, alone=True) == []


def test_a_kill_explains_nothing_that_another_worker_was_doing(told: Told) -> None:
    told.calls = [call("a", 5.0, 6.9), *told.calls]
    told.endings = [wrote("z", 4.9), *told.endings]
    told.blows = [blow(7.0, "w1")]

    assert broken(told) == ["calls", "calls whose answer was known"]


def test_a_kill_explains_nothing_that_comes_after_the_next_sign_of_a_job(told: Told) -> None:
    told.calls = [call("a", 5.0, 6.9), *told.calls]
    told.blows = [blow(10.2)]

    assert broken(told) == ["calls", "calls whose answer was known"]


@pytest.mark.parametrize(
    ("killed", "worker", "last", "excused"),
    [
        (11.4, "w0", None, True),
        (11.4, "w1", None, False),
        (11.7, "w0", 11.65, False),
        pytest.param(20.0, "w0", 10.7, True, id="a worker that stalled until it was killed"),
    ],
)
def test_a_reply_may_be_lost_to_others_where_its_worker_stored_nothing_more(
    told: Told, killed: float, worker: str, last: float | None, *, excused: bool
) -> None:
    told.calls = [*told.calls, call("c", 30.0)]
    told.stored = {"b": [10.6], "c": [30.6]}
    told.endings = [wrote("a", 10.55), wrote("b", 10.55), wrote("c", 30.55)]
    told.blows = [blow(killed, worker)]
    if last is not None:
        told.questions = {**told.questions, "d": Question("crag", 3)}
        told.replies["d"] = reply(tenant="crag")
        told.calls = [*told.calls, call("d", last - 0.6)]
        told.endings = [*told.endings, wrote("d", last - 0.05)]
        told.stored = {**told.stored, "d": [last]}

    assert (broken(told) == []) is excused


def test_a_kill_excuses_no_call_whose_answer_was_stored(told: Told) -> None:
    told.calls = [*told.calls, call("c", 12.0)]
    told.stored = {**told.stored, "c": [12.6]}
    told.blows = [blow(10.6)]

    assert broken(told) == ["calls", "calls whose answer was known"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (reply("a", tenant="bolt"), "of another tenant"),
        (reply("b"), "to another question"),
        (None, "jobs without an answer"),
    ],
)
def test_a_wrong_answer_is_seen(told: Told, given: dict[str, Any] | None, why: str) -> None:
    if given is None:
        del told.replies["c"]
    else:
        told.replies["c"] = given

    assert broken(told) == [why]


def test_a_cold_worker_calls_for_nothing(told: Told) -> None:
    late = replace(told, replies={"a": reply("a"), "b": reply("b", tenant="bolt"), "c": reply("a")})
    assert [each.name for each in cold_figures(late, 0) if not each.holds] == []

    late.replies["c"] = reply()

    assert [each.name for each in cold_figures(late, 1) if not each.holds] == [
        "cold: answers given again",
        "cold: calls",
    ]


def test_three_in_ten_jobs_repeat_and_tenants_ask_the_same() -> None:
    asked = questions(10_000, Random(1))

    assert 2_800 < repeated(asked.values()) < 3_200
    assert {each.tenant for each in asked.values()} == set(TENANTS)
    words = {job_of(name, each).request.messages[0].content for name, each in asked.items()}
    assert len(words) < len(set(asked.values()))
