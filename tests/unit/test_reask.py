"""What the model is asked once its answer was a bad one."""

from typing import Any

import pytest
from scripted_provider import completion
from unconfined import Unconfined

from tollway_schemas.request import ChatRequest, ImagePart, ImageUrl, Message, OutputSchema
from tollway_workers.config.shape.route import Reask
from tollway_workers.errors import InvalidResult
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.reask import reask
from tollway_workers.validation.validator import ResultValidator

DOCUMENT = ImagePart(image_url=ImageUrl(url="https://host/scan.png"))
REQUEST = ChatRequest(
    messages=(
        Message(role="system", content="Extract."),
        Message(role="user", content=(DOCUMENT,)),
    ),
    temperature=0.7,
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "number"}, "kind": {"enum": ["a", "b"]}},
    "required": ["n"],
    "additionalProperties": False,
}


async def _problems(text: str) -> tuple[str, ...]:
    validator = ResultValidator(Judge(Unconfined()))
    with pytest.raises(InvalidResult) as raised:
        await validator.validate(OutputSchema(json_schema=SCHEMA), completion(text))
    return raised.value.problems


def _is_patch(text: str, problems: tuple[str, ...], how: Reask = "auto") -> bool:
    again = reask(REQUEST, text, problems, how)
    assert text[:4_096] in str([message.content for message in again.messages])
    assert problems[0] in str(again.messages[-1].content)
    return again.messages[:2] != REQUEST.messages


@pytest.mark.parametrize(
    ("text", "patch"),
    [
        ('{"n": "12,5"}', True),
        # What is missing, or what was meant, may be in the document alone.
        ('{"n": 1, "kind": "a', False),
        ('{"n": 1 "kind" "a"}', False),
        ('{"n": 1, "knd": "a"}', False),
        ("{}", False),
        ('{"n": 1, "kind": "c"}', False),
        ("I cannot say.", False),
        ('{"n": "x' + "y" * 5_000 + '"}', False),
    ],
)
async def test_errors_of_form_cost_no_document_again(text: str, patch: bool) -> None:
    assert _is_patch(text, await _problems(text)) is patch


def test_a_route_may_say_how() -> None:
    assert _is_patch("{}", ("/: x",), "patch")
    assert not _is_patch('{"n": "x"}', ('/n: the value is not of type "number"',), "full")


def test_a_re_ask_is_cold_where_the_request_has_a_temperature() -> None:
    assert reask(REQUEST, "{}", ("/: x",)).temperature == 0
    plain = REQUEST.model_copy(update={"temperature": None})
    assert reask(plain, "{}", ("/: x",)).temperature is None
