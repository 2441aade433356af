"""The judge of redrives, and what is planted for it."""

import json
from typing import Any

import jsonschema_rs
import pytest
from judge import Call
from plants import CAUSES, FILES, RIGHT, ROUTE, WRONG, answer_key, fault_script, jobs_of, planted
from plants import right_answer as right
from redrive import Watch
from redrive_judge import Command, Told, judged
from report import Figure

from tollway_workers.local.simulator import load_script

PLANTS = planted(50)
FENCED = Command(status=2, said="", sentence="another operator works on it")
DONE = Command(status=0, said="", sentence="")


def reply(job_id: str, generation: int, **fields: Any) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "generation": generation,
        "status": "completed",
        "answer": {"parsed": right(job_id)},
        **fields,
    }


@pytest.fixture
def told() -> Told:
    """A run in which everything was as it should be."""
    watch = Watch()
    ids = [name for names in PLANTS.values() for name in names]
    for name in ids:
        watch.take(reply(name, 1, status="failed", answer=None))
        watch.take(reply(name, 2))
    watch.live = [(at / 10, 0.1) for at in range(200)]
    return Told(
        plants=PLANTS,
        watch=watch,
        groups=[{}] * len(CAUSES),
        commands={"canary": Command(status=1, said="", sentence=""), "one": FENCED, "two": DONE},
        kills=3,
        redrives_began=10.0,
        redrives_ended=20.0,
        jobs=[(name, generation) for name in ids for generation in (1, 2)],
        canary_published=2,
    )


def broken(told: Told) -> list[str]:
    return [each.name for each in _figures(told) if not each.holds]


def _figures(told: Told) -> list[Figure]:
    return judged(told, kills=3, canary=2)


def test_a_run_as_it_should_be_breaks_no_bound(told: Told) -> None:
    assert broken(told) == []


def test_a_job_that_was_published_or_answered_twice_is_seen(told: Told) -> None:
    told.jobs = [*told.jobs, ("broken-00000", 2)]
    told.watch.take(reply("broken-00000", 3))

    assert broken(told) == ["jobs answered twice", "generations that were published twice"]


def test_a_job_whose_highest_generation_failed_is_not_answered(told: Told) -> None:
    told.watch.take(reply("expired-00001", 3, status="failed", answer=None))

    assert broken(told) == ["jobs answered"]


def test_an_answer_that_was_revalidated_and_is_wrong_or_paid_for_is_seen(told: Told) -> None:
    told.watch.replies["schema-00000"][-1] = reply("schema-00000", 2, answer={"parsed": {}})
    told.calls = [
        Call(worker="w", job_id="schema-00000", model="m", started=1.0, ended=2.0, ending="ok")
    ]

    assert broken(told) == ["right answers by revalidation", "calls for them"]


def test_two_operators_of_whom_none_or_both_were_fenced_are_seen(told: Told) -> None:
    told.commands["one"] = DONE
    assert "operators that were fenced, of two" in broken(told)

    told.commands |= {"one": FENCED, "two": FENCED}
    assert "operators that were fenced, of two" in broken(told)


def test_live_jobs_that_lose_more_than_a_second_are_seen(told: Told) -> None:
    told.watch.live += [(15.0, 3.0)] * 10

    assert broken(told) == ["live jobs, seconds at p99 meanwhile"]


def test_what_is_planted_is_as_many_as_was_asked_for_and_each_has_one_cause() -> None:
    ids = [name for names in PLANTS.values() for name in names]

    assert len(CAUSES) == 7
    assert len(ids) == len(set(ids)) == 50
    assert {job.id for job in jobs_of(PLANTS)} == set(ids)
    assert {job.route for job in jobs_of(PLANTS)} == {ROUTE}


def test_an_answer_of_the_key_satisfies_the_corrected_schema_alone() -> None:
    line = json.loads(answer_key(PLANTS).splitlines()[3])

    assert line["answer"] == right("schema-00003")
    assert jsonschema_rs.is_valid(RIGHT, line["answer"])
    assert not jsonschema_rs.is_valid(WRONG, line["answer"])


def test_the_simulator_can_play_all_causes_and_every_option_names_a_file(tmp_path: Any) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(fault_script(PLANTS))

    assert len(load_script(script).faults) == sum(bool(cause.fault) for cause in CAUSES)
    named = {word for cause in CAUSES for word in cause.mended_by if word.endswith(".json")}
    assert named < FILES.keys()
