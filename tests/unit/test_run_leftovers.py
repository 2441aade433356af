"""Topics of interrupted runs: whose jobs they hold, how to go on, and when they may go."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tollway_schemas import ChatRequest, Job, Message, TopicNames
from tollway_schemas.command import Action, Command
from tollway_workers.topics.run_leftovers import Left, RunLeftover, of_topics, own_topics, remarks
from tollway_workers.topics.run_names import is_run_name, run_name

NAMES = TopicNames("p")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = run_name(["Org/Model:1"], "who")
JOBS, LANE = f"p.jobs.{NAME}.bulk", f"p.lanes.{NAME}.bulk"


def job(run: str | None = "r1", **fields: Any) -> Job:
    known: dict[str, Any] = {
        "id": "r1:a",
        "route": NAME,
        "run": run,
        "created_at": NOW,
        "deadline": NOW + timedelta(hours=1),
    }
    request = ChatRequest(messages=(Message(role="user", content="hi"),))
    return Job(request=request, **(known | fields))


def cancel(**target: Any) -> Command:
    known: dict[str, Any] = {
        "issued_at": NOW + timedelta(seconds=1),
        "expires_at": NOW + timedelta(hours=1),
    }
    return Command(action=Action.CANCEL, **(known | target))


def leftover(*jobs: Job | None, commands: tuple[Command, ...] = (), **more: Any) -> RunLeftover:
    left = [Left(JOBS, each) for each in jobs]
    known: dict[str, Any] = {"in_use": (), "now": NOW.timestamp() + 2}
    (found,) = of_topics(NAMES, [JOBS, LANE], left, commands, **(known | more))
    return found


def test_a_name_reads_like_the_model_and_is_known_as_a_runs() -> None:
    assert NAME.startswith("run-org-model-1-")
    assert is_run_name(NAME)
    assert run_name(["m"], "a") != run_name(["m"], "b")
    assert is_run_name(run_name(["", "???"], "a"))
    assert len(run_name(["x" * 200, "y" * 200], "a")) < 64
    assert not any(map(is_run_name, ("run", "extract", "run-extract", "run-deadbee", "deadbeef")))


def test_topics_of_configured_routes_are_not_a_runs() -> None:
    topics = [JOBS, LANE, "p.jobs.extract.bulk", f"q.jobs.{NAME}.bulk", f"p.jobs.{NAME}.other"]

    assert own_topics(NAMES, topics) == {JOBS: NAME, LANE: NAME}


def test_what_a_run_left_says_how_to_go_on_and_how_to_give_up() -> None:
    found = leftover(job(), job("r2"), job())

    (said,) = remarks([found])

    assert not found.may_go
    assert "holds 3 unfinished job(s) of run r1, r2: give" in said
    assert "`tollway cancel --run r1`" in said


@pytest.mark.parametrize("left", [(), (None,), (job(),)])
def test_topics_go_only_where_nobody_waits_for_what_they_hold(left: tuple[Job | None, ...]) -> None:
    assert leftover(*left).may_go == (not left)
    assert not leftover(*left, in_use=(NAME,)).may_go


@pytest.mark.parametrize(
    ("command", "covered"),
    [
        (cancel(run="r1"), True),
        (cancel(run="r2"), False),
        (cancel(jobs=("r1:a",)), True),
        (cancel(jobs=("r1:b",)), False),
        (cancel(run="r1", issued_at=NOW), False),
        (cancel(run="r1", expires_at=NOW + timedelta(seconds=1)), False),
        (cancel(tenant="t"), False),
    ],
)
def test_jobs_that_were_cancelled_hold_no_topic(command: Command, covered: bool) -> None:
    assert leftover(job(), commands=(command,)).may_go == covered
    assert not leftover(job(), job("other"), commands=(cancel(run="r1"),)).may_go
