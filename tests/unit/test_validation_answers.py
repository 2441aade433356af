"""What passes for an answer, and what does not."""

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_provider import completion
from unconfined import Unconfined

from tollway_schemas.codec import decode, encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.reply import Answer
from tollway_schemas.request import ChatRequest, Message, OutputSchema, ToolCall, ToolCallFunction
from tollway_schemas.usage import Usage
from tollway_workers.errors import InvalidResult, InvalidSchema, ProviderError
from tollway_workers.providers.base import Finish
from tollway_workers.validation.extract import read
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.reask import reask
from tollway_workers.validation.reasoning import without_reasoning
from tollway_workers.validation.validator import ResultValidator

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"price": {"type": "number"}}},
        }
    },
    "required": ["items"],
}
OUTPUT = OutputSchema(json_schema=SCHEMA)
GOOD = {"items": [{"price": 1}]}


#: Without a process for each test: none of these texts is hostile.
VALIDATOR = ResultValidator(Judge(Unconfined()))


async def _parsed(text: str, output: OutputSchema = OUTPUT) -> Any:
    return (await VALIDATOR.validate(output, completion(text))).parsed


@pytest.mark.parametrize(
    "text",
    [
        '{"items": [{"price": 1}]}',
        '\ufeff  {"items": [{"price": 1}]}\n',
        '```json\n{"items": [{"price": 1}]}\n```',
        'Sure! Here it is:\n```\n{"items": [{"price": 1}]}\n```\nAnything else?',
        'The answer is {"items": [{"price": 1}]}, I think.',
        '<think>maybe {"items": []}?</think>{"items": [{"price": 1}]}',
        'maybe {"a": 1}</think>\n{"items": [{"price": 1}]}',
        'First {"items": 3}, no: {"items": [{"price": 1}]} (not {"x": "}"})',
        'A brace } and a bracket [] and {"items": [{"price": 1}]}',
    ],
)
async def test_the_answer_is_found_in_what_the_model_said(text: str) -> None:
    assert await _parsed(text) == GOOD


_NOTED: dict[str, Any] = SCHEMA | {"properties": {"note": {"type": "string"}}}
_STRICT = OutputSchema(json_schema=_NOTED, strict=True)


async def _meant(text: str, output: OutputSchema) -> object:
    try:
        answer = await VALIDATOR.validate(output, completion(text))
    except InvalidResult as error:
        return error.problems
    return answer.parsed, answer.text, answer.repairs


@pytest.mark.parametrize("output", [OUTPUT, _STRICT], ids=["loose", "strict"])
@pytest.mark.parametrize(
    "text",
    [
        '{"items": [{"price": 1}]}',
        '{"items": [{"price": 123456789012345678901234567890}]}',
        '{"items": [{"price": 1}], "note": null}',
        '{"items": [{"price": NaN}], "note": "\\ud83d"}',
        '{"items": 3}',
        '{"items": [], "deep": %s}' % ("[" * 181 + "]" * 181),
        "{}",
    ],
)
async def test_an_answer_means_the_same_with_space_around_it(
    text: str, output: OutputSchema
) -> None:
    assert await _meant(text, output) == await _meant(f"\ufeff {text}\n", output)


async def test_of_several_good_answers_the_last_one_counts() -> None:
    assert await _parsed('{"items": []} or rather {"items": [{"price": 1}]}') == GOOD


@pytest.mark.parametrize(
    "text",
    ["no JSON here", '{"items": [{"price": 1}', '{"a": {"items": []}', "{'items': [}", "tru"],
)
async def test_nothing_is_made_up_and_nothing_cut_is_taken(text: str) -> None:
    with pytest.raises(InvalidResult) as raised:
        await _parsed(text)

    assert raised.value.answer == text


async def test_a_string_with_brackets_in_it_is_one_string() -> None:
    (found,) = read(r'x {"a": "}\"]"} y').values

    assert (found.value, found.text) == ({"a": '}"]'}, r'{"a": "}\"]"}')


async def test_a_bad_answer_says_where_and_never_what() -> None:
    bad = {"items": [{"price": 1}, {"price": "a secret price"}]}

    with pytest.raises(InvalidResult) as raised:
        await _parsed(orjson.dumps(bad).decode())

    assert raised.value.problems == ('/items/1/price: the value is not of type "number"',)
    assert "secret" not in str(raised.value)


async def test_problems_are_few_and_short() -> None:
    bad = {"items": [{"price": "x"}] * 50, "k" * 500: 1}
    output = OutputSchema(json_schema=SCHEMA | {"additionalProperties": False})

    with pytest.raises(InvalidResult) as raised:
        await _parsed(orjson.dumps(bad).decode(), output)

    assert len(raised.value.problems) == 10
    assert max(map(len, raised.value.problems)) <= 200


@pytest.mark.parametrize("size", [100_000, 1_000_000])
async def test_a_large_answer_is_judged_elsewhere_and_quickly(size: int) -> None:
    good = {"items": [{"price": 1}] * (size // 12)}

    bad = orjson.dumps(good | {"items": ["x"] * (size // 4)}).decode()
    validator = ResultValidator()

    answer = await validator.validate(OUTPUT, completion(orjson.dumps(good).decode()))
    with pytest.raises(InvalidResult) as raised:
        await validator.validate(OUTPUT, completion(bad))

    assert answer.parsed == good

    assert 1 <= len(raised.value.problems) <= 10


async def test_json_object_wants_an_object() -> None:
    output = OutputSchema(mode="json_object")

    assert await _parsed('[1] {"a": 1}', output) == {"a": 1}
    with pytest.raises(InvalidResult):
        await _parsed("[1]", output)


@pytest.mark.parametrize("said", ["\n\n42", " a ", "\ufeffx\n", '```json\n{"a": 1}\n```'])
async def test_without_a_schema_the_text_is_what_was_said(said: str) -> None:
    assert (await ResultValidator().validate(None, completion(said))).text == said


async def test_without_a_schema_any_text_will_do() -> None:
    answer = await ResultValidator().validate(None, completion("<think>hm</think>\nhello"))

    assert (answer.text, answer.parsed, answer.finish_reason) == ("hello", None, "stop")


@pytest.mark.parametrize(
    ("finish", "text", "expected"),
    [
        (Finish.LENGTH, '{"items": []}', FailureClass.TRUNCATED),
        (Finish.CONTEXT, '{"items": []}', FailureClass.CONTEXT_LENGTH),
        (Finish.CONTENT_FILTER, "x", FailureClass.CONTENT_POLICY),
        (Finish.REFUSAL, None, FailureClass.CONTENT_POLICY),
        (Finish.STOP, None, FailureClass.TRANSIENT),
        (Finish.STOP, " \n", FailureClass.TRANSIENT),
        (Finish.STOP, "<think>and nothing more", FailureClass.TRANSIENT),
        (Finish.UNKNOWN, "", FailureClass.TRANSIENT),
    ],
)
async def test_a_completion_that_is_no_answer_never_passes(
    finish: Finish, text: str | None, expected: FailureClass
) -> None:
    given = completion(text, finish=finish)._replace(usage=Usage(input_total=3))

    with pytest.raises(ProviderError) as raised:
        await ResultValidator().validate(OUTPUT, given)

    assert raised.value.failure.failure_class is expected
    assert raised.value.failure.usage == Usage(input_total=3)


async def test_an_answer_without_a_reason_to_stop_is_taken() -> None:
    given = completion('{"items": []}', finish=Finish.NOT_SAID)

    assert (await ResultValidator().validate(OUTPUT, given)).parsed == {"items": []}


@pytest.mark.parametrize(
    ("reason", "shown"),
    [("abort", "'abort'"), ("a whole sentence, perhaps of the answer", "no word"), (None, "no")],
)
async def test_an_unknown_reason_to_stop_means_that_nobody_knows_whether_it_is_whole(
    reason: str | None, shown: str
) -> None:
    call = ToolCall(id="c", function=ToolCallFunction(name="f", arguments="{}"))
    given = completion('{"items": []}', finish=Finish.UNKNOWN)._replace(finish_reason=reason)

    for each in (given, given._replace(tool_calls=(call,))):
        with pytest.raises(ProviderError, match="not known to be whole") as raised:
            await ResultValidator().validate(OUTPUT, each)

        assert raised.value.failure.failure_class is FailureClass.TRANSIENT
        assert shown in raised.value.failure.message
        assert raised.value.failure.provider_code == ("abort" if reason == "abort" else None)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ('Here:\n```json\n{"items": []}\n```\nDone.', '{"items": []}'),
        ('<think>{"items": 1}</think>\n\n{"items": []}', '{"items": []}'),
        ('\ufeff {"items": [1.50, 1e2]}\n', '{"items": [1.50, 1e2]}'),
        ('{"items": [123456789012345678901234567890]}',) * 2,
        (r'{"items": ["cut \ud83d here"]}', r'{"items": ["cut \ufffd here"]}'),
        ('{"items": ["two\nlines"]}', r'{"items": ["two\u000alines"]}'),
        ('{"items": [NaN]}', '{"items": [null]}'),
    ],
)
async def test_the_text_of_a_validated_answer_is_the_json_that_was_validated(
    said: str, text: str
) -> None:
    output = OutputSchema(json_schema={"required": ["items"]})

    answer = await ResultValidator().validate(output, completion(said))

    assert answer.text == text
    assert json.loads(answer.text or "") == answer.parsed
    assert decode(Answer, encode(answer)) == answer


async def test_an_answer_that_no_reader_could_read_breaks_its_schema() -> None:
    deep = '{"a":' * 181 + "1" + "}" * 181

    with pytest.raises(InvalidResult) as raised:
        await _parsed(deep, OutputSchema(mode="json_object"))

    assert raised.value.problems == ("/: is nested deeper than 180 levels",)


async def test_an_answer_in_a_form_that_is_no_text_passes_only_where_no_schema_is() -> None:
    picture = completion(None)._replace(other=True)

    assert (await ResultValidator().validate(None, picture)).text is None
    with pytest.raises(InvalidResult, match="breaks its schema"):
        await ResultValidator().validate(OUTPUT, picture)


async def test_arguments_are_given_on_as_json_that_every_reader_takes() -> None:
    call = ToolCall(id="c", function=ToolCallFunction(name="f", arguments=r'{"a": "\udcaf"}'))
    given = completion(None, finish=Finish.TOOL)._replace(tool_calls=(call,))

    (found,) = (await ResultValidator().validate(None, given)).tool_calls

    assert (found.id, found.function.arguments) == ("c", r'{"a": "\ufffd"}')


@pytest.mark.parametrize(("arguments", "good"), [('{"a":1}', True), ("", True), ('{"a":', False)])
async def test_the_arguments_of_a_tool_call_are_json(arguments: str, good: bool) -> None:
    call = ToolCall(id="c", function=ToolCallFunction(name="f", arguments=arguments))
    given = completion(None, finish=Finish.TOOL)._replace(tool_calls=(call,))

    if good:
        assert (await ResultValidator().validate(OUTPUT, given)).tool_calls == (call,)
    else:
        with pytest.raises(InvalidResult):
            await ResultValidator().validate(OUTPUT, given)


def test_a_useless_schema_is_refused_at_intake() -> None:
    validator = ResultValidator()

    validator.check(None)
    validator.check(OUTPUT)
    with pytest.raises(InvalidSchema):
        validator.check(OutputSchema(json_schema={"$ref": "file:///etc/passwd"}))


def test_a_re_ask_shows_the_answer_and_what_is_wrong_with_it() -> None:
    request = ChatRequest(messages=(Message(role="user", content="hi"),), temperature=0.5)

    again = reask(request, "é" * 9_000, ("/a: is missing",))

    assert again.messages[:1] == request.messages
    assert again.temperature == 0
    assert again.messages[1].role == "assistant"
    assert len(str(again.messages[1].content).encode()) == 4_096
    assert "- /a: is missing" in str(again.messages[2].content)
    assert str(again.messages[2].content).endswith("Return only the corrected JSON.")


@pytest.mark.parametrize("piece", ["{", "[", '"', "```\n", "{}", "<think>", '{"a":', "\\", "{]"])
def test_no_text_makes_the_search_slow(piece: str) -> None:
    text = piece * (200_000 // len(piece))

    assert len(read(without_reasoning(text)).values) <= 32


@given(text=st.text(alphabet='{}[]",:\\`<>/think\n 1a'), finish=st.sampled_from(Finish))
async def test_any_text_is_an_answer_or_one_of_our_errors(text: str, finish: Finish) -> None:
    with suppress(ProviderError, InvalidResult):
        answer = await VALIDATOR.validate(OUTPUT, completion(text, finish=finish))
        assert isinstance(answer.parsed, dict)
