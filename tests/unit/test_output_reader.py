"""What the SDK makes of an answer, beside what a fleet in memory shows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from tollway.errors import InvalidAnswer
from tollway.output import OutputReader
from tollway_schemas import Answer, Reply, ToolCall

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALL = ToolCall.model_validate({"id": "c", "function": {"name": "f", "arguments": "{}"}})


class Row(BaseModel):
    id: int


def reply(**answer: Any) -> Reply:
    return Reply(
        job_id="j",
        generation=1,
        status="completed",
        route="r",
        answer=Answer(**answer),
        created_at=NOW,
        finished_at=NOW,
    )


@pytest.mark.parametrize("output", [Row, {"type": "object"}])
def test_tool_calls_are_never_passed_off_as_the_validated_answer(output: Any) -> None:
    with pytest.raises(InvalidAnswer, match="asks for tool calls first"):
        OutputReader.of(output).result(reply(text="let me see", tool_calls=(CALL,)))


def test_an_answer_in_another_form_is_no_text() -> None:
    with pytest.raises(InvalidAnswer, match="it is no text"):
        OutputReader.of(None).result(reply(body={"choices": []}))


def test_a_whole_number_of_any_size_reaches_its_reader() -> None:
    found = OutputReader.of(Row).result(reply(parsed={"id": 2**100}))

    assert found == Row(id=2**100)
