"""Requests as services write them: what the SDK takes, and what it says of the rest."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from tollway import ChatRequest, JobFailed, NewJob, ProducerError
from tollway.errors import InvalidAnswer, InvalidNewJob
from tollway.testing import FakeFleet
from tollway_schemas import TollwayError

M = {"role": "user", "content": "hi"}


@pytest.fixture
def fleet() -> FakeFleet:
    fleet = FakeFleet()
    fleet.answer("extract", "fine")
    return fleet


async def enqueue(fleet: FakeFleet, **fields: Any) -> str:
    async with fleet.producer() as producer:
        handle = await producer.enqueue(NewJob(route="extract", **fields))
        return str(await handle.result(timeout=5))


@pytest.mark.parametrize(
    "request_",
    [
        "hi",
        {"messages": [M]},
        {"messages": [M], "temperature": None, "max_tokens": None},
        ChatRequest(messages=[M]),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] what every example of others has
    ],
)
async def test_a_request_may_be_written_as_others_write_it(
    fleet: FakeFleet, request_: object
) -> None:
    assert await enqueue(fleet, request=request_) == "fine"

    assert fleet.jobs[0].request == ChatRequest.model_validate({"messages": [M]})


async def test_none_is_absence_in_every_optional_field_of_a_job(fleet: FakeFleet) -> None:
    optional = (*("output", "id", "deadline", "priority", "tenant", "run", "labels", "headers"),)

    assert await enqueue(fleet, request="hi", **dict.fromkeys(optional)) == "fine"


async def test_what_a_job_may_cost_is_any_amount_of_dollars(fleet: FakeFleet) -> None:
    await enqueue(fleet, request="hi", max_cost_usd=10 / 3, run="r", run_budget_usd="2.50")

    (job,) = fleet.jobs
    assert (job.max_cost_usd, job.run_budget_usd) == (Decimal("3.333333333333"), Decimal("2.50"))


async def test_a_job_says_which_known_answers_it_takes(fleet: FakeFleet) -> None:
    await enqueue(fleet, request="hi", no_cache=True, no_store=True, max_age=timedelta(hours=1))
    await enqueue(fleet, request="hi", max_age=60)

    first, second = fleet.jobs
    assert (first.no_cache, first.no_store, first.max_age) == (True, True, 3600.0)
    # Absent, as in the jobs of services that know no such fields: both are one job.
    assert (second.no_cache, second.no_store, second.max_age) == (None, None, 60.0)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"request": "hi", "max_age": -1}, "the job is not valid: max_age: must be at least 0"),
    (
        {"request": {"messages": [M], "max_tokens": 5}},
        "the job is not valid: request.max_tokens: unknown field; the limit is "
        "request.max_output_tokens",
    ),
    ({"request": "hi", "run": "r", "run_budget_usd": 1e300}, "run_budget_usd: must be at most"),
    ({"request": "hi", "max_cost_usd": "inf"}, "max_cost_usd: must be an amount of US dollars"),
    ({"request": {"messages": []}}, "the job is not valid: request.messages: must not be empty"),
    ({"request": 5}, "the job is not valid: request: must be an object, not a number"),
    ({"request": None}, "the job is not valid: request: is missing"),
    ({"request": {"messages": [{1}]}}, "the job is not valid: request: holds what JSON cannot"),
    ({"request": "hi", "labels": {"a": 1}}, "the job is not valid: labels.a: must be text, not a"),
    (
        {"request": {"messages": [M], "extras": {"openai": {"x": 10**30}}}},
        "the job is not valid: request.extras.openai: is an integer of more than 64 bits",
    ),
    (
        {"request": {"messages": [M], "extras": {"openai": {"x": float("inf")}}}},
        "the job is not valid: request.extras.openai: is an infinite number",
    ),
    (
        {"request": "hi", "output": {"maximum": float("inf")}},
        "the job is not valid: output.json_schema.maximum: is an infinite number",
    ),
    (
        {"request": "hi", "max_cost_usd": 1e16},
        "max_cost_usd: must be at most 1,000,000,000,000,000 US dollars",
    ),
    (
        {"request": "hi", "max_cost_usd": "0.0000000000001"},
        "the job is not valid: max_cost_usd: must have at most 12 decimals",
    ),
    ({"request": "hi", "max_cost_usd": float("nan")}, "max_cost_usd: must be an amount of US"),
    ({"request": "hi", "deadline": "soon"}, "deadline: must be a timedelta, or a datetime with"),
    ({"request": "hi", "output": {"$ref": {1}}}, "output.json_schema: holds what JSON cannot"),
]


@pytest.mark.parametrize(("fields", "said"), WRONG, ids=lambda part: str(part)[:40])
async def test_a_wrong_job_is_an_error_of_the_sdk_in_its_own_words(
    fleet: FakeFleet, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidNewJob) as caught:
        await enqueue(fleet, **fields)

    assert str(caught.value).startswith(said)
    assert isinstance(caught.value, ProducerError)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("max_cost_usd", "must be an amount of US dollars"),
        ("run_budget_usd", "must be an amount of US dollars"),
        ("max_age", "has a number of thousands of digits"),
    ],
)
async def test_a_number_of_thousands_of_digits_is_an_error_of_the_sdk(
    fleet: FakeFleet, field: str, said: str
) -> None:
    # It has no text: Python's own error would be no error of ours.
    with pytest.raises(InvalidNewJob, match=f"{field}: {said}"):
        await enqueue(fleet, request="hi", run="r", **{field: 10**4300})


def test_a_wrong_request_is_an_error_of_tollway_where_it_is_made() -> None:
    wrong: dict[str, Any] = {"messages": [M], "response_format": {"type": "json_object"}}

    with pytest.raises(TollwayError, match="response_format: unknown field; what the answer must"):
        ChatRequest(**wrong)


class _Invoice(BaseModel):
    total: float
    lines: list[int]


async def test_an_answer_that_does_not_fit_says_so_in_the_same_words(fleet: FakeFleet) -> None:
    fleet.answer("extract", {"total": "much", "lines": [1, "x"]})

    with pytest.raises(InvalidAnswer) as caught:
        await enqueue(fleet, request="hi", output=_Invoice)

    assert not isinstance(caught.value, JobFailed)
    assert str(caught.value).endswith(
        "does not fit: total: must be a number; lines[1]: must be a whole number"
    )
