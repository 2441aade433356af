"""Tracebacks in logs: enough to find a bug by, and nothing of what was worked on."""

import orjson
import pytest
from aiokafka.errors import KafkaConnectionError
from memory_fleet import MemoryFleet
from pydantic import BaseModel, ValidationError
from samples import job, lane
from scripted_provider import ScriptedProvider
from structlog.testing import capture_logs

from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.safe_traceback import error_fields, safe_traceback

SECRET = "the patient's name is Ada"


class Asked(BaseModel):
    age: int


def raised(act: object) -> Exception:
    with pytest.raises(Exception) as caught:
        act()  # type: ignore[operator]  # a function
    return caught.value


def quote_in_text() -> None:
    raise RuntimeError(SECRET)


def quote_by_pydantic() -> None:
    Asked.model_validate({"age": SECRET})


def quote_by_orjson() -> None:
    orjson.loads(f'{{"a": {SECRET}')


def quote_in_cause() -> None:
    try:
        quote_by_pydantic()
    except ValidationError as error:
        raise KeyError(SECRET) from error


def quote_in_context() -> None:
    try:
        quote_in_text()
    except RuntimeError:
        orjson.loads(SECRET)


def quote_in_group() -> None:
    raise ExceptionGroup(SECRET, [raised(quote_in_cause), ValueError(SECRET)])


def quote_in_note() -> None:
    error = RuntimeError()
    error.add_note(SECRET)
    raise error


@pytest.mark.parametrize(
    "act",
    [
        quote_in_text,
        quote_by_pydantic,
        quote_by_orjson,
        quote_in_cause,
        quote_in_context,
        quote_in_group,
        quote_in_note,
    ],
)
def test_a_traceback_names_types_and_frames_and_quotes_nothing(act: object) -> None:
    error = raised(act)

    said = safe_traceback(error)

    assert type(error).__name__ in said.splitlines()[0]
    assert f" in {act.__name__}" in said  # type: ignore[attr-defined]  # a function
    assert "test_safe_traceback.py:" in said
    assert "Ada" not in said


def test_causes_contexts_and_members_of_groups_have_their_frames_too() -> None:
    assert " in quote_by_pydantic" in safe_traceback(raised(quote_in_cause))
    assert "while handling RuntimeError" in safe_traceback(raised(quote_in_context))
    assert "with ValueError" in safe_traceback(raised(quote_in_group))


def test_an_endless_recursion_is_a_short_traceback() -> None:
    def again() -> None:
        again()

    said = safe_traceback(raised(again))

    assert len(said.splitlines()) < 40
    assert "more frames" in said


def test_what_kafka_and_the_network_are_known_to_raise_is_named_by_its_type() -> None:
    assert error_fields(KafkaConnectionError(SECRET)) == {"error": "KafkaConnectionError"}
    assert error_fields(ConnectionResetError(SECRET)) == {"error": "ConnectionResetError"}
    assert error_fields(TimeoutError()) == {"error": "TimeoutError"}


async def test_a_bug_that_a_job_meets_is_logged_with_the_way_to_it() -> None:
    def break_down(*_: object, **__: object) -> None:
        quote_in_cause()

    provider = ScriptedProvider()
    provider.complete = break_down  # type: ignore[method-assign, assignment]  # a bug
    routes = {"extract": RouteSettings(lanes=("main",))}

    with capture_logs() as lines:
        async with MemoryFleet({lane(): provider}, routes) as fleet:
            await fleet.publish(job("broken"))
            await fleet.until(lambda: bool(fleet.dead_letters))

    (line,) = [each for each in lines if each["log_level"] == "error"]
    assert (line["error"], line["job"]) == ("KeyError", "broken")
    assert "tollway_workers/worker/worker.py:" in line["exception"]
    assert " in quote_by_pydantic" in line["exception"]
    assert "Ada" not in str(line)
