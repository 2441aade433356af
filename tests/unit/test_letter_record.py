"""A dead letter holds all that it takes to decide about it, and to repeat its job."""

from typing import Any

import orjson
import pytest
from memory_fleet import MemoryFleet
from samples import NOW, job, lane, progress, record
from scripted_provider import ScriptedProvider, completion

from tollway_schemas.codec import decode
from tollway_schemas.dead_letter import BadAnswer, DeadLetter
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import Redrive
from tollway_schemas.request import OutputSchema, Tool, ToolCall
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.outcome import DeadLettered
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.validation.checks import RouteCheck, RouteChecks

_WRONG = OutputSchema(json_schema={"type": "object", "required": ["sum"]})
_RIGHT = OutputSchema(json_schema={"type": "object", "required": ["total"]})
_TOOL = Tool.model_validate({"function": {"name": "add", "parameters": {"required": ["n"]}}})


def fleet_of(*turns: Completion, kind: type[MemoryFleet] = MemoryFleet) -> MemoryFleet:
    return kind({lane(): ScriptedProvider(turns)}, {"extract": RouteSettings(lanes=("main",))})


async def letter_of(subject: MemoryFleet, the_job: Job) -> DeadLetter:
    async with subject as fleet:
        await fleet.publish(the_job)
        await fleet.until(lambda: fleet.lag == 0)
    return decode(DeadLetter, subject.dead_letters[-1].value)


def again(letter: DeadLetter, **fields: Any) -> Job:
    """The next generation, as a redrive publishes it."""
    assert isinstance(letter.job, dict)
    redrive = Redrive(
        of=letter.name,
        answers=letter.stored_answers(),
        failure_class=letter.failure.failure_class.value,
    )
    return Job.model_validate_json(orjson.dumps(letter.job)).model_copy(
        update={"generation": letter.generation + 1, "redrive": redrive, **fields}
    )


async def test_what_a_wrong_schema_refused_is_answered_once_it_is_right_without_a_call() -> None:
    letter = await letter_of(fleet_of(completion('{"total": 7}')), job(output=_WRONG))
    corrected = fleet_of()

    async with corrected as fleet:
        await fleet.publish(again(letter, output=_RIGHT))
        await fleet.until(lambda: fleet.lag == 0)

    reply = corrected.replies["job-1"]
    assert reply.answer is not None
    assert (reply.answer.parsed, reply.calls) == ({"total": 7}, 0)
    assert (reply.provenance, reply.scripted) == (Provenance.REASKED, True)


async def test_each_bad_answer_says_where_it_came_from_and_how_it_ended() -> None:
    letter = await letter_of(fleet_of(completion("no JSON")), job(output=_WRONG))

    first, second = letter.bad_answers
    assert (first.lane, first.model, first.finish) == ("main", "scripted", "stop")
    assert (first.provenance, second.provenance) == (Provenance.LIVE, Provenance.REASKED)
    assert first.usage == letter.attempts[0].usage
    assert (first.cut, first.revalidatable) == (False, True)
    assert (letter.lane, letter.name.route) == ("main", "extract")


async def test_calls_of_tools_are_kept_as_they_came() -> None:
    bad = ToolCall.model_validate({"id": "c", "function": {"name": "add", "arguments": "{}"}})
    said = completion("beside")._replace(tool_calls=(bad,), finish=Finish.TOOL)
    request = job().request.model_copy(update={"tools": (_TOOL,)})

    letter = await letter_of(fleet_of(said), job(request=request))

    assert letter.bad_answers[0].tool_calls == (bad,)
    assert letter.bad_answers[0].text == "beside"
    assert letter.stored_answers()[0].tool_calls == (bad,)


async def test_what_a_routes_check_refused_is_kept_as_the_model_said_it() -> None:
    class Checked(MemoryFleet):
        answer_checks = RouteChecks({"extract": RouteCheck(lambda _value, _job: False, 5.0)})

    said = 'Here you are: {"total": 7}'
    letter = await letter_of(fleet_of(completion(said), kind=Checked), job(output=_RIGHT))

    assert letter.bad_answers[0].text == said


async def test_a_longer_answer_than_is_kept_says_that_it_was_cut() -> None:
    letter = await letter_of(fleet_of(completion("x" * 70_000)), job(output=_RIGHT))

    assert {len(each.text) for each in letter.bad_answers} <= set(range(65_537))
    assert all(each.cut for each in letter.bad_answers)
    assert letter.stored_answers() == ()


def written(*bad: BadAnswer, raw: bytes = b"{}", most_bytes: int = 400_000) -> DeadLetter:
    subject = progress(job())
    subject.record = record(raw)
    subject.bad_answers += bad
    failure = Failure(failure_class=FailureClass.BAD_OUTPUT, message="no")
    by = outgoing.Writer("w", "c0ffee")
    value = outgoing.dead_letter(
        subject, DeadLettered(failure), by=by, now=NOW, most_bytes=most_bytes
    )
    assert len(value) <= most_bytes
    return decode(DeadLetter, value)


def test_answers_are_whole_where_there_is_room_and_cut_where_the_job_needs_it() -> None:
    answer = BadAnswer(attempt=1, text="x" * 60_000, finish="stop")
    job_of_its_size = orjson.dumps({"text": "y" * 350_000})

    assert written(answer).bad_answers == (answer,)
    (shorter,) = written(answer, raw=job_of_its_size).bad_answers
    assert (shorter.cut, len(shorter.text)) == (True, 12_500)


def test_a_letter_says_the_settings_of_its_fleet() -> None:
    assert written().configuration == "c0ffee"


@pytest.mark.parametrize(
    "carried", [[{"attempt": 1, "text": "{}"}], [{"attempt": 0}], "no list", [None], None]
)
def test_answers_that_a_job_carried_are_those_of_its_letter_too(carried: Any) -> None:
    own = BadAnswer(attempt=1, text="own", finish="stop")
    letter = written(own, raw=orjson.dumps({"redrive": {"answers": carried}}))

    texts = [each.text for each in letter.stored_answers()]

    assert texts == (["{}", "own"] if isinstance(carried, list) and _is_one(carried) else ["own"])


def _is_one(carried: list[Any]) -> bool:
    return carried[0] is not None and carried[0]["attempt"] > 0


def test_an_answer_that_a_job_carried_and_that_failed_again_is_named_once() -> None:
    stored = BadAnswer(attempt=1, text="{}", finish="stop", lane="main", problems=("/: no",))
    carried = orjson.dumps(
        {"redrive": {"answers": [stored.stored().model_dump(mode="json", exclude_none=True)]}}
    )

    assert written(stored, raw=carried).stored_answers() == (stored.stored(),)


def test_an_attempt_of_another_generation_says_nothing_of_an_answer() -> None:
    letter = written(BadAnswer(attempt=7, text="{}", problems=("/: no",)))

    assert letter.stored_answers()[0].lane is None
