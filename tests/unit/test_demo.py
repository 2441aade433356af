"""The demo's judge: each row of its table is counted from the books, and says nothing else.

And its villain: what it kills is a worker.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from examples.demo.__main__ import ACTS
from examples.demo.act import Act, Ended
from examples.demo.acts.dead_letters import DeadLetters
from examples.demo.acts.looping_agent import LoopingAgent
from examples.demo.acts.outage import (
    by_the_second,
    into_the_outage,
    longest_without_an_answer,
)
from examples.demo.acts.outcome import before_the_first_call, usd, without_an_answer
from examples.demo.acts.repeats import ask_again, first_asked, paid_for_repeats
from examples.demo.acts.restarts import Restarts, paid_again
from examples.demo.acts.shared_limit import ALLOWED, WINDOW, busiest_window, refused
from examples.demo.acts.wrong_answers import invalid_answers
from examples.demo.provider import FIRST, SECOND, Call
from examples.demo.service import wrong_schema
from examples.demo.sides import signal_oldest_worker
from examples.docstring_jobs import SCHEMA
from tollway_workers.cli.worker import waiting
from tollway_workers.local.fleet.early import SimulatorProcess, WaitingWorker
from tollway_workers.local.simulator import load_script

ANSWER: dict[str, Any] = {"purpose": "It adds.", "parameters": [], "returns": None, "raises": []}


class Fleet:
    """A side that remembers what befell it."""

    name = "fleet"
    called = 1.0

    def __init__(self) -> None:
        self.befell: list[str] = []

    def running(self) -> bool:
        return True

    def crash(self) -> None:
        self.befell.append("crash")

    def deploy(self) -> None:
        self.befell.append("deploy")

    def serve_another(self) -> None:
        self.befell.append("another service")

    def loop(self) -> None:
        self.befell.append("an agent loops")

    def answers(self) -> dict[str, Any]:
        return {}


def call(job: str = "a", *, at: float = 0.0, ending: str = "ok", **fields: Any) -> Call:
    billed = ending not in ("429", "500", "503")
    plain: dict[str, Any] = {
        "model": FIRST,
        "fault": None,
        "billed": billed,
        "usd": Decimal("0.25") if billed else Decimal(0),
    }
    return Call(job=job, started=at, ended=at + 1, ending=ending, **plain | fields)


def ended(*calls: Call, answers: dict[str, Any] | None = None) -> Ended:
    found = {"a": ANSWER} if answers is None else answers
    return Ended(jobs=frozenset({"a", "b"}), calls=calls, answers=found, began=0.0, seconds=9.0)


def test_a_call_over_the_limit_is_counted_as_refused() -> None:
    assert refused(ended(call(), call(ending="429"), call(ending="500"))) == 1


def test_the_busiest_window_counts_refused_calls_too() -> None:
    spread = [call(at=WINDOW * number / 2) for number in range(6)]
    burst = [call(at=100 + number / 100, ending="429") for number in range(30)]

    assert busiest_window(ended(*spread, *burst)) == pytest.approx(30 / ALLOWED)


def test_a_call_for_what_another_job_was_answered_is_a_repeat() -> None:
    again = call("a-again", at=5)
    side = ended(
        *(call("a"), call("a"), call("a", ending="500", fault="500"), again, call("b")),
        call("b-again", ending="500", fault="500"),
        call("b-again", ending="429"),
    )

    assert paid_for_repeats(side) == [again]


def test_a_third_of_the_jobs_repeat_others_and_have_their_answers(tmp_path: Path) -> None:
    files = tmp_path / "jobs", tmp_path / "answers"
    for file in files:
        file.write_text("".join(f'{{"custom_id": "{n}", "body": {n}}}\n' for n in range(6)))

    ask_again(*files, 9)

    assert first_asked(9) == 6
    for file in files:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert len(lines) == len({line["custom_id"] for line in lines}) == 9
        assert sorted(line["body"] for line in lines) == [0, 0, 1, 1, 2, 2, 3, 4, 5]


def test_a_window_ends_after_its_seconds() -> None:
    assert busiest_window(ended(call(at=0), call(at=WINDOW))) == pytest.approx(1 / ALLOWED)


def test_each_model_has_the_limit_for_itself() -> None:
    both = [call(at=number / 100, model=model) for number in range(30) for model in (FIRST, SECOND)]

    assert busiest_window(ended(*both)) == pytest.approx(30 / ALLOWED)


def test_a_call_into_the_outage_is_one_that_met_it_and_the_second_model_is_counted_by_jobs() -> (
    None
):
    side = ended(
        call("a", ending="503", fault="503"),
        call("a", ending="503", fault="503"),
        call("b", ending="500", fault="500"),
        call("a", model=SECOND),
        call("a", model=SECOND),
        call("b", model=SECOND, ending="cut", fault="cut"),
    )

    assert into_the_outage(side) == 2
    assert by_the_second(side) == 1


def test_the_longest_wait_is_between_two_whole_answers() -> None:
    side = ended(call(at=1), call(at=14), call(at=8, ending="503"), call(at=16))

    assert longest_without_an_answer(side) == 13
    assert longest_without_an_answer(ended()) == 0


def test_what_a_client_forgot_is_paid_for_twice_and_what_the_provider_spoilt_is_not() -> None:
    forgotten = [call("a", ending="client_gone"), call("a"), call("a")]
    spoilt = [call("b", ending="cut", fault="cut"), call("b", ending="429"), call("b")]

    assert paid_again(ended(*forgotten, *spoilt)) == 2


def test_an_answer_that_breaks_its_schema_is_invalid_and_none_is_no_answer() -> None:
    lacking = {name: value for name, value in ANSWER.items() if name != "raises"}

    assert invalid_answers(ended(answers={"a": ANSWER, "b": lacking})) == 1
    assert without_an_answer(ended()) == 1


def test_every_billed_call_is_in_the_bill() -> None:
    assert usd(ended(call(), call(ending="429"), call(ending="hang", fault="hang"))) == 0.5


def test_what_a_side_takes_to_start_is_told_apart() -> None:
    assert before_the_first_call(ended(call(at=4.0), call(at=3.0))) == 3.0
    assert before_the_first_call(ended()) == 9.0


def test_each_process_is_restarted_once() -> None:
    fleet, act = Fleet(), Restarts()

    for answered in (0.0, 0.4, 0.5, 0.7, 0.9):
        act.meanwhile(fleet, answered)

    assert fleet.befell == ["crash", "deploy"]


def test_the_other_service_comes_once_and_when_the_fleet_is_at_work() -> None:
    fleet, act = Fleet(), DeadLetters()

    for answered in (0.0, 0.01, 0.5):
        act.meanwhile(fleet, answered)

    assert fleet.befell == ["another service"]


def test_what_the_other_service_counted_is_said_and_that_it_was_not_through_too() -> None:
    counted = {"jobs": 50, "failed": 50, "groups": 1, "why": "bad_output"}
    through = replace(ended(), service=counted | {"answered": 50, "calls": 0})

    assert "50 of its 50 jobs became dead letters, of one likely cause" in DeadLetters().told(
        through
    )
    assert "had 50 of them answered" in DeadLetters().told(through)
    assert DeadLetters().told(through).endswith(": 0 calls")
    assert "had no answers when the fleet ended" in DeadLetters().told(ended())


def test_no_answer_of_the_demo_has_what_the_wrong_schema_asks_for() -> None:
    assert jsonschema_rs.is_valid(SCHEMA, ANSWER)
    assert not jsonschema_rs.is_valid(wrong_schema(), ANSWER)


@pytest.mark.parametrize("act", ACTS)
def test_the_simulator_can_play_every_act(act: Callable[[], Act], tmp_path: Path) -> None:
    played = act()
    script = tmp_path / "faults.toml"
    script.write_text(played.faults)

    assert len(load_script(script).faults) == played.faults.count("[[fault]]")
    assert played.rows or played.told(ended())


@pytest.fixture
def workers() -> Iterator[list[WaitingWorker]]:
    """Two of this process, which has a simulator too, older than both."""
    simulator = SimulatorProcess(None, None)
    started = [WaitingWorker(waiting.__name__) for _ in range(2)]
    yield started
    for worker in started:
        worker.end()
    simulator.end()


def test_each_signal_goes_to_the_worker_that_has_lived_longest(
    workers: list[WaitingWorker],
) -> None:
    signal_oldest_worker(os.getpid(), signal.SIGKILL)
    assert workers[0].process.wait(timeout=10) == -signal.SIGKILL

    workers.append(WaitingWorker(waiting.__name__))
    signal_oldest_worker(os.getpid(), signal.SIGTERM)

    assert workers[1].process.wait(timeout=10) == -signal.SIGTERM
    assert workers[2].process.poll() is None


def test_a_demo_without_a_worker_to_signal_fails_in_one_sentence() -> None:
    with pytest.raises(SystemExit, match=r"^`tollway run` has no worker .* could be sent SIGKILL$"):
        signal_oldest_worker(os.getpid(), signal.SIGKILL)


def test_the_agent_loops_once_and_beside_the_others() -> None:
    fleet, act = Fleet(), LoopingAgent()

    for answered in (0.0, 0.4, 0.6, 0.9):
        act.meanwhile(fleet, answered)

    assert fleet.befell == ["an agent loops"]


def test_what_the_agent_was_billed_is_said_beside_the_bill_of_a_script() -> None:
    counted = {"calls": 80, "usd": "0.000990", "script_usd": "0.0024"}

    said = LoopingAgent().told(replace(ended(), loop=counted))

    assert "stopped it after 80 calls and $0.000990 of its $0.0004" in said
    assert said.endswith("a plain script that loops 120 times was billed $0.0024")
    assert "had not come to its budget" in LoopingAgent().told(ended())
