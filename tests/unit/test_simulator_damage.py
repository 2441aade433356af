"""The simulator damages answers by script, and its books say so."""

from typing import Any

import orjson
import pytest

from tollway_workers.limits.estimate import text_tokens
from tollway_workers.local.simulator import Fault, FaultKind, SimulatorOptions
from tollway_workers.local.simulator.ask import Body
from tollway_workers.local.simulator.desk import Arrival, Desk, Reply
from tollway_workers.local.simulator.tokens import TOKEN_RULES

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["late"]}, "n": {"type": "integer"}, "who": {"const": "Ada"}},
    "required": ["kind", "n"],
}
TRUTH = {"kind": "late", "n": 7, "who": "Ada"}


def _asked(kind: FaultKind, answer: Any = TRUTH, schema: Any = SCHEMA) -> Reply:
    desk = Desk(SimulatorOptions(answers={"job-1": answer}, faults=(Fault(kind=kind),)))
    named = {"name": "a", "schema": schema}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_schema", "json_schema": named},
    }
    return desk.receive(
        Arrival(
            source="default",
            body=Body(orjson.dumps(body)),
            headers={"x-client-request-id": "job-1/1/1"},
            started=0.0,
            now=0.0,
        )
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (FaultKind.FENCE, '```json\n{"kind":"late","n":7,"who":"Ada"}\n```'),
        (FaultKind.TRAILING_COMMA, '{"kind":"late","n":7,"who":"Ada",}'),
        (FaultKind.ENUM_CASE, '{"kind":"LATE","n":7,"who":"Ada"}'),
        (FaultKind.NUMBER_AS_STRING, '{"kind":"late","n":"7","who":"Ada"}'),
        (FaultKind.MISSING_FIELD, '{"n":7,"who":"Ada"}'),
    ],
)
def test_an_answer_is_damaged_as_the_script_says(kind: FaultKind, said: str) -> None:
    reply = _asked(kind)

    assert reply.completion is not None
    assert reply.completion.answer.content == said
    assert reply.completion.answer.ending == reply.call.fault == kind.value
    assert reply.completion.answer.finish_reason == "stop"


@pytest.mark.parametrize("kind", [FaultKind.PROSE, FaultKind.THINK])
def test_an_answer_has_other_words_around_it(kind: FaultKind) -> None:
    reply = _asked(kind)

    assert reply.completion is not None
    content = reply.completion.answer.content or ""
    assert '{"kind":"late","n":7,"who":"Ada"}' in content
    assert not content.startswith("{")
    assert content.startswith("<think>") is (kind is FaultKind.THINK)


@pytest.mark.parametrize("kind", [FaultKind.ENUM_CASE, FaultKind.NUMBER_AS_STRING])
def test_what_cannot_be_damaged_so_is_answered_well_and_the_books_say_that(
    kind: FaultKind,
) -> None:
    reply = _asked(kind, {"a": "x"}, {"type": "object"})

    assert reply.completion is not None
    assert reply.completion.answer.ending == "ok"
    assert reply.call.fault == kind.value


@pytest.mark.parametrize(
    "text", ["", "a", "Hello, wonderful world 2026!", "x" * 1_000, "日本語" * 9]
)
def test_pieces_are_another_rule_than_our_estimate(text: str) -> None:
    rule = TOKEN_RULES["pieces"]
    tokens = rule.count(text)

    assert rule.cut(text, tokens) == text
    assert all(rule.count(rule.cut(text, most)) == most for most in range(tokens))
    assert len(text) < 20 or tokens != text_tokens(text)
