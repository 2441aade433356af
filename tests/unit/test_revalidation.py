"""Redriven jobs with stored answers: what passes is the reply, and nobody is called."""

import asyncio
from typing import Any

import pytest
from memory_fleet import NAMES, MemoryFleet
from samples import attempt, job, lane, progress
from scripted_provider import ScriptedProvider, completion

from tollway_schemas.codec import decode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import LetterName, Redrive, StoredAnswer
from tollway_schemas.request import OutputSchema, Tool, ToolCall
from tollway_schemas.usage import Usage
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.validation.checks import THREADS, RouteCheck, RouteChecks

OF = LetterName(route="extract", tenant=None, job_id="job-1", generation=1)
TOTAL = OutputSchema(
    json_schema={
        "type": "object",
        "properties": {"total": {"type": "number"}},
        "required": ["total"],
    }
)
_AUTH = ProviderFailure(failure_class=FailureClass.AUTH, message="no", status=401)


def stored(text: str = '{"total": 1}', **fields: Any) -> StoredAnswer:
    given: dict[str, Any] = {
        "attempt": 1,
        "finish": "stop",
        "provenance": Provenance.LIVE,
        "lane": "main",
        "model": "served",
        "usage": Usage(input_total=7),
        "cost": 5,
    }
    return StoredAnswer(text=text, **{**given, **fields})


def redriven(*answers: StoredAnswer, only: bool = False, **fields: Any) -> Job:
    redrive = Redrive(
        of=OF, answers=answers, only_revalidate=only, failure_class="bad_output", by="me@here"
    )
    given: dict[str, Any] = {"generation": 2, "output": TOTAL, "redrive": redrive}
    return job(**{**given, **fields})


class Desk:
    """A fleet whose provider answers `{"total": 99}`."""

    def __init__(self, *lanes: str, **route: Any) -> None:
        self.provider = ScriptedProvider([completion('{"total": 99}')])
        names = lanes or ("main",)
        self.fleet = MemoryFleet(
            {lane(name): self.provider for name in names},
            {"extract": RouteSettings(lanes=names, **route)},
        )

    @property
    def calls(self) -> int:
        return len(self.provider.calls)

    async def answer(self, *jobs: Job) -> None:
        async with self.fleet as fleet:
            await fleet.publish(*jobs)
            await fleet.until(lambda: fleet.lag == 0)

    def letter(self) -> DeadLetter:
        (record,) = self.fleet.dead_letters
        return decode(DeadLetter, record.value)


async def test_a_stored_answer_that_satisfies_the_schema_is_the_reply_without_a_call() -> None:
    desk = Desk()

    await desk.answer(redriven(stored()))

    reply = desk.fleet.replies["job-1"]
    assert desk.calls == 0
    assert reply.answer is not None
    assert reply.answer.parsed == {"total": 1}
    assert (reply.provenance, reply.lane, reply.model) == (Provenance.LIVE, "main", "served")
    assert (reply.revalidated, reply.cost, reply.generation, reply.attempts) == (True, 0, 2, ())
    (line,) = desk.fleet.journal
    assert (line.revalidated, line.provenance, line.attempt) == (True, Provenance.LIVE, None)
    assert line.response == {"total": 1}


async def test_where_none_satisfies_it_the_job_is_called() -> None:
    desk = Desk()

    await desk.answer(redriven(stored("no JSON"), stored('{"sum": 1}')))

    reply = desk.fleet.replies["job-1"]
    assert (desk.calls, reply.revalidated) == (1, False)
    assert reply.answer is not None
    assert reply.answer.parsed == {"total": 99}


async def test_the_latest_answer_that_satisfies_it_is_taken() -> None:
    desk = Desk()

    await desk.answer(
        redriven(stored('{"total": 1}'), stored('{"total": 2}'), stored('{"total": "x"}'))
    )

    answer = desk.fleet.replies["job-1"].answer
    assert answer is not None
    assert answer.parsed == {"total": 2}


@pytest.mark.parametrize(
    ("answer", "provenance"),
    [
        (stored(provenance=Provenance.REASKED), Provenance.REASKED),
        (stored('{"total": "1"}', provenance=Provenance.REASKED), Provenance.REPAIRED),
        (stored('{"total": "1"}', provenance=Provenance.FALLBACK), Provenance.FALLBACK),
        (stored(provenance=None, lane="other"), Provenance.FALLBACK),
        (stored(provenance=None, lane=None), Provenance.LIVE),
    ],
)
async def test_an_answer_stands_on_the_rung_that_it_had_or_a_weaker_one_if_it_is_repaired(
    answer: StoredAnswer, provenance: Provenance
) -> None:
    desk = Desk("main", "other", coercions=("number_from_string",))

    await desk.answer(redriven(answer))

    assert (desk.calls, desk.fleet.replies["job-1"].provenance) == (0, provenance)


@pytest.mark.parametrize(
    "answer",
    [
        stored("{", finish="length"),
        stored(finish="refusal"),
        stored(finish="content_filter"),
        stored(finish="a word of a newer release"),
        stored(""),
    ],
)
async def test_what_was_cut_or_refused_answers_no_job_even_without_a_schema(
    answer: StoredAnswer,
) -> None:
    desk = Desk()

    await desk.answer(redriven(answer, output=None))

    assert desk.calls == 1


async def test_an_answer_on_a_rung_that_the_job_does_not_accept_is_no_use() -> None:
    desk = Desk()

    await desk.answer(redriven(stored(provenance=Provenance.FALLBACK), accept=(Provenance.LIVE,)))

    assert (desk.calls, desk.fleet.replies["job-1"].provenance) == (1, Provenance.LIVE)


async def test_an_answer_of_a_simulator_stays_one() -> None:
    desk = Desk()

    await desk.answer(redriven(stored(scripted=True)))

    assert desk.fleet.replies["job-1"].scripted


async def test_calls_of_tools_are_held_to_their_tools_again() -> None:
    desk = Desk()
    tool = {"name": "add", "parameters": {"type": "object", "required": ["n"]}}
    call = ToolCall.model_validate(
        {"id": "c1", "function": {"name": "add", "arguments": '{"n": 1}'}}
    )
    request = job().request.model_copy(update={"tools": (Tool.model_validate({"function": tool}),)})

    await desk.answer(redriven(stored("", tool_calls=(call,), finish="tool"), request=request))

    answer = desk.fleet.replies["job-1"].answer
    assert desk.calls == 0
    assert answer is not None
    assert answer.tool_calls == (call,)


async def test_what_the_route_checks_besides_is_checked_again() -> None:
    class Checked(MemoryFleet):
        answer_checks = RouteChecks(
            {"extract": RouteCheck(lambda value, _: value["total"] > 10 or "/total: small", 5.0)}
        )

    desk = Desk()
    desk.fleet = Checked({lane(): desk.provider}, {"extract": RouteSettings(lanes=("main",))})

    await desk.answer(redriven(stored()))

    assert desk.calls == 1


async def test_only_revalidated_and_not_passed_it_is_given_up_as_what_it_was() -> None:
    desk = Desk()
    answers = (stored('{"sum": 1}', attempt=1), stored('{"total": "x"}', attempt=2))

    await desk.answer(redriven(*answers, only=True))

    letter = desk.letter()
    assert desk.calls == 0
    assert (letter.generation, letter.failure.failure_class) == (2, FailureClass.BAD_OUTPUT)
    assert letter.failure.problems
    assert letter.failure.problems == letter.bad_answers[-1].problems
    assert [each.stored() for each in letter.bad_answers] == list(answers)
    assert letter.stored_answers() == answers
    assert desk.fleet.replies["job-1"].dead_letter


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("reply_too_large", FailureClass.REPLY_TOO_LARGE),
        ("of_a_newer_release", FailureClass.BAD_OUTPUT),
        (None, FailureClass.BAD_OUTPUT),
    ],
)
async def test_without_any_stored_answer_it_is_only_given_up(
    said: str | None, kept: FailureClass
) -> None:
    desk = Desk()
    redrive = Redrive(of=OF, only_revalidate=True, failure_class=said)

    await desk.answer(job(generation=2, redrive=redrive))

    assert (desk.calls, desk.letter().failure.failure_class) == (0, kept)


async def test_stored_answers_wait_for_no_lane_that_is_parked() -> None:
    desk = Desk()
    desk.provider = ScriptedProvider([_AUTH])
    desk.fleet = MemoryFleet({lane(): desk.provider}, {"extract": RouteSettings(lanes=("main",))})
    async with desk.fleet as fleet:
        await fleet.publish(job("first"))
        await fleet.until(lambda: desk.calls == 1)
        await fleet.publish(*(redriven(stored(), job_id=f"r-{n}") for n in range(20)))
        await fleet.until(lambda: len(fleet.replies) == 20)

    assert fleet.lag == 1
    assert all(reply.revalidated for reply in fleet.replies.values())


async def test_a_job_that_was_called_is_not_revalidated_again() -> None:
    desk = Desk()
    desk.provider = ScriptedProvider(
        [ProviderFailure(failure_class=FailureClass.TRANSIENT, message="no", status=500)] * 2
        + [completion('{"total": 99}')]
    )
    desk.fleet = MemoryFleet({lane(): desk.provider}, {"extract": RouteSettings(lanes=("main",))})

    await desk.answer(redriven(stored("no")))

    counted = {"route": "extract", "ending": "failed"}
    registry = desk.fleet.metrics.registry
    assert registry.get_sample_value("tollway_revalidations_total", counted) == 1
    assert desk.calls == 3


async def test_a_job_that_was_called_elsewhere_is_called_on() -> None:
    desk = Desk()
    called = progress(redriven(stored()))
    called.note(attempt(1, FailureClass.TRANSIENT))
    async with desk.fleet as fleet:
        await fleet.send_on(called, "main")
        await fleet.until(lambda: fleet.lag == 0)

    assert (desk.calls, desk.fleet.replies["job-1"].calls) == (1, 2)


async def test_what_one_job_carries_answers_no_other_of_its_id() -> None:
    desk = Desk()

    await desk.answer(
        redriven(stored(), tenant="acme"),
        redriven(tenant="other"),
        job(generation=2, output=TOTAL, tenant="acme"),
    )

    values = [record.value for record in desk.fleet.broker.records(NAMES.replies)]
    assert desk.calls == 2
    assert sum(b'"revalidated":true' in value for value in values) == 1


async def test_a_copy_of_a_revalidated_job_gets_its_reply() -> None:
    desk = Desk()

    await desk.answer(redriven(stored()), redriven(stored()))

    values = [record.value for record in desk.fleet.broker.records(NAMES.replies)]
    assert desk.calls == 0
    assert len(values) == 2
    assert len(set(values)) == 1


async def test_metrics_count_redriven_jobs_and_their_revalidation() -> None:
    desk = Desk()

    await desk.answer(redriven(stored()), redriven(stored("no"), job_id="job-2"), job("plain"))

    sample = desk.fleet.metrics.registry.get_sample_value
    for ending in ("passed", "failed"):
        assert sample("tollway_revalidations_total", {"route": "extract", "ending": ending}) == 1
    ended = {"route": "extract", "outcome": "completed"}
    assert sample("tollway_redriven_jobs_total", ended) == 2


async def test_while_answers_are_held_to_a_job_its_worker_may_drain() -> None:
    desk = Desk()
    held = asyncio.Event()
    validate = desk.fleet.validator.validate

    async def slowly(*args: Any, **options: Any) -> Any:
        await held.wait()
        return await validate(*args, **options)

    desk.fleet.validator.validate = slowly  # type: ignore[method-assign] # a slow judge
    async with desk.fleet as fleet:
        await fleet.publish(redriven(stored()))
        await fleet.settle()
        fleet.worker.drain()
        await fleet.settle()
        held.set()

    assert desk.calls == 0
    assert len(desk.fleet.replies) in (0, 1)
    assert (desk.fleet.lag == 0) == (len(desk.fleet.replies) == 1)


async def test_an_answer_larger_than_the_loop_may_read_is_revalidated_too() -> None:
    desk = Desk()
    long = '{"total": 1, "words": "' + "x" * 70_000 + '"}'

    await desk.answer(redriven(stored(long)))

    assert desk.calls == 0
    assert desk.fleet.replies["job-1"].revalidated


async def test_as_many_are_held_at_once_as_the_check_of_a_route_has_threads() -> None:
    desk = Desk()
    held, most = 0, 0
    validate = desk.fleet.validator.validate

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal held, most
        held += 1
        most = max(most, held)
        await asyncio.sleep(0)
        held -= 1
        return await validate(*args, **options)

    desk.fleet.validator.validate = counted  # type: ignore[method-assign] # how many are at work
    async with desk.fleet as fleet:
        await fleet.publish(*(redriven(stored(), job_id=f"job-{n}") for n in range(30)))
        await fleet.until(lambda: fleet.lag == 0)

    assert most == THREADS
    assert desk.calls == 0
    assert sum(reply.revalidated for reply in desk.fleet.replies.values()) == 30


@pytest.mark.parametrize("forged", ["cancelled", "worker_crashed"])
async def test_a_job_says_of_no_operator_and_no_worker_that_they_ended_it(forged: str) -> None:
    desk = Desk()
    said = redriven(stored('{"sum": 1}'), only=True)
    assert said.redrive is not None
    redrive = said.redrive.model_copy(update={"failure_class": forged})

    await desk.answer(said.model_copy(update={"redrive": redrive}))

    (record,) = desk.fleet.dead_letters
    letter = decode(DeadLetter, record.value)
    assert letter.failure.failure_class is FailureClass.BAD_OUTPUT
