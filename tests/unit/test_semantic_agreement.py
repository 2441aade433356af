"""When two answers say the same."""

import pytest

from tollway_schemas import Answer, ToolCall
from tollway_workers.cache.semantic.agreement import agree, answer_digest, value_of


def answer(text: str | None = None, *calls: tuple[str, str]) -> Answer:
    return Answer.model_validate(
        {
            "text": text,
            "tool_calls": [
                {"id": f"call-{number}", "function": {"name": name, "arguments": arguments}}
                for number, (name, arguments) in enumerate(calls)
            ],
        }
    )


SAME = [
    (answer('{"a": 1, "b": [1, 2]}'), answer('{ "b":[1,2.0], "a":1.0 }')),
    (answer('{"name": "Zo\\u00eb"}'), answer('{"name": "Zoe\u0308"}')),
    (answer('{"a": 123456789012345678901234567890}'),) * 2,
    (answer("Paris is\n the capital. "), answer("Paris is the capital.")),
    (answer(None, ("f", '{"a":1,"b":2}')), answer(None, ("f", '{"b": 2, "a": 1}'))),
    (answer('{"a": NaN}'), answer('{"a": NaN}')),
    (answer("[" * 600 + "]" * 600),) * 2,
    (answer(), answer()),
]
DIFFERENT = [
    (answer('{"a": 1}'), answer('{"a": 2}')),
    (answer('{"a": [1, 2]}'), answer('{"a": [2, 1]}')),
    (answer('{"a": 1}'), answer('{"a": "1"}')),
    (answer('{"a": true}'), answer('{"a": 1}')),
    (answer('{"a": null}'), answer("{}")),
    (answer('{"a": 123456789012345678901}'), answer('{"a": 123456789012345678902}')),
    (answer("Paris"), answer("paris")),
    (answer("safe"), answer("unsafe")),
    (answer(None, ("f", "{}")), answer(None, ("g", "{}"))),
    (answer(None, ("f", "{}"), ("g", "{}")), answer(None, ("g", "{}"), ("f", "{}"))),
    (answer("x", ("f", "{}")), answer("x")),
    (answer(""), answer()),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_how_an_answer_is_written_does_not_matter(one: Answer, other: Answer) -> None:
    assert agree(one, other)
    assert answer_digest(one) == answer_digest(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_it_says_does(one: Answer, other: Answer) -> None:
    assert not agree(one, other)
    assert answer_digest(one) != answer_digest(other)


def test_ids_of_tool_calls_and_what_was_repaired_say_nothing() -> None:
    one = Answer(tool_calls=(ToolCall.model_validate({"id": "a", "function": F}),), repairs=("x",))
    other = Answer(tool_calls=(ToolCall.model_validate({"id": "b", "function": F}),))

    assert agree(one, other)


F = {"name": "f", "arguments": "{}"}


def test_a_callable_is_given_the_json_of_an_answer_that_has_some_and_its_own_copy() -> None:
    parsed = Answer(text='{"a": [1]}', parsed={"a": [1]})

    value = value_of(parsed)
    value["a"].append(2)

    assert value_of(parsed) == {"a": [1]}
    assert value_of(Answer(text='{"a": 1}')) == '{"a": 1}'
    assert value_of(answer(None, ("f", "{}"))) is None
