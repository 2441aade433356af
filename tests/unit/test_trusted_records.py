"""Records made without validation are what validation would have made."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random

import pytest
from manual_clock import ManualClock
from samples import NOW, admission_of, job, lane, progress
from scripted_provider import ScriptedProvider, Turn, completion

import tollway_workers
from tollway_schemas.codec import decode, encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.model import Record
from tollway_schemas.request import OutputSchema
from tollway_schemas.usage import Usage
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.outcome import Completed
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.providers.openai import response as openai_response
from tollway_workers.validation.validator import ResultValidator

BODY = (
    b'{"choices":[{"message":{"content":"{}"},"finish_reason":"stop"}],"service_tier":"flex",'
    b'"usage":{"prompt_tokens":9,"completion_tokens":4,"cost":0.5,'
    b'"prompt_tokens_details":{"cached_tokens":7,"cache_write_tokens":1},'
    b'"completion_tokens_details":{"reasoning_tokens":2}}}'
)


def same_as_validated(record: Record) -> None:
    assert set(vars(record)) == set(type(record).model_fields)
    assert decode(type(record), encode(record)) == type(record).model_validate(
        {name: getattr(record, name) for name in type(record).model_fields}
    )


def uses() -> Iterator[tuple[type[Record], set[str | None]]]:
    """What our code makes without validation, and the fields that it gives."""
    root = Path(tollway_workers.__file__).parent
    for path in root.rglob("*.py"):
        if ".trusted(" not in (source := path.read_text()):
            continue
        module = import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(func=ast.Attribute(ast.Name(name), "trusted"), keywords=given):
                    yield getattr(module, name), {each.arg for each in given}


def test_every_use_gives_every_field_and_no_other() -> None:
    found = [*uses()]

    assert Usage in [record for record, _ in found]
    assert [record for record, given in found if given != set(record.model_fields)] == []


@pytest.mark.parametrize("body", [BODY, BODY.replace(b"7", b"70"), BODY.replace(b"0.5", b"-1")])
def test_usage_is(body: bytes) -> None:
    usage = openai_response.parse(200, {}, body).usage

    assert isinstance(usage, Usage)
    same_as_validated(usage)


def test_more_cached_tokens_than_the_prompt_has_are_not_believed() -> None:
    usage = openai_response.parse(
        200, {}, BODY.replace(b'"cached_tokens":7', b'"cached_tokens":70')
    ).usage

    assert usage is not None
    assert usage.input_cached_read == 9


FAILURE = ProviderFailure(failure_class=FailureClass.TRANSIENT, message="cut", status=500)


@pytest.mark.parametrize(
    "turn",
    [completion('{"a": [1, null]}'), FAILURE, completion("no JSON")],
    ids=["answered", "failed", "invalid"],
)
async def test_attempts_and_answers_are(turn: Turn) -> None:
    clock, config = ManualClock(NOW), lane()
    admission = admission_of(config, clock)
    lanes = {"main": Lane(config, admission, ScriptedProvider([turn]))}
    executor = JobExecutor(lanes, ResultValidator(), RetryPolicy(Random(1)), clock)
    subject = progress(job(output=OutputSchema(json_schema={"type": "object"})))
    permit = admission.admit(subject)
    assert isinstance(permit, Permit)

    outcome, _ = await executor.execute(subject, permit)

    same_as_validated(subject.attempts[0])
    if isinstance(outcome, Completed):
        same_as_validated(outcome.answer)
