"""Damaged JSON is read where that can be done in one way only, and never where it is cut."""

from typing import Any

import pytest
from scripted_provider import completion
from unconfined import Unconfined

from tollway_schemas.reply import Answer
from tollway_schemas.request import OutputSchema
from tollway_workers.errors import InvalidResult
from tollway_workers.providers.base import Finish
from tollway_workers.validation.extract import read
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.repair.lenient import read_all
from tollway_workers.validation.repair.lenient_string import Unreadable
from tollway_workers.validation.repair.mend import MendRules, mended
from tollway_workers.validation.validator import EVERYTHING, ResultValidator

VALIDATOR = ResultValidator(Judge(Unconfined()))
ANY = OutputSchema(json_schema={"type": "object", "required": ["a"]})


async def _answer(text: str, output: OutputSchema = ANY, rules: MendRules = EVERYTHING) -> Answer:
    return await VALIDATOR.validate(output, completion(text), rules=rules)


@pytest.mark.parametrize(
    ("text", "value", "repair"),
    [
        ('{"a": [1, 2,],}', {"a": [1, 2]}, "trailing_comma"),
        ("{'a': 'it\\'s', 'b': \"it's\"}", {"a": "it's", "b": "it's"}, "single_quotes"),
        ("{\u201ca\u201d: \u201cx\u201d}", {"a": "x"}, "smart_quotes"),
        ('{"a": None, "b": True}', {"a": None, "b": True}, "foreign_word"),
        ('{a: 1, b_2: "x"}', {"a": 1, "b_2": "x"}, "unquoted_key"),
        ('{"a": open}', {"a": "open"}, "unquoted_text"),
        ('{"a": 1 // one\n, "b": 2}', {"a": 1, "b": 2}, "comment"),
        ('{"a": 1\n"b": 2}', {"a": 1, "b": 2}, "missing_comma"),
        ('{"a": [{"b": 1} {"b": 2}]}', {"a": [{"b": 1}, {"b": 2}]}, "missing_comma"),
        ('{"a": +5, "b": .5}', {"a": 5, "b": 0.5}, "number_form"),
        (r'{"a": "\d+ \w"}', {"a": r"\d+ \w"}, "escape"),
        ('{"a": "they said "no" twice"}', {"a": 'they said "no" twice'}, "inner_quotes"),
        ('{"a": "two\nlines",}', {"a": "two\nlines"}, "control_character"),
        ('```json\n{"a": 1,}\n```', {"a": 1}, "trailing_comma"),
        ('It\'s this: {"a": "http://x/[1]",} "really"', {"a": "http://x/[1]"}, "trailing_comma"),
    ],
)
async def test_damaged_punctuation_is_mended_and_said(text: str, value: Any, repair: str) -> None:
    answer = await _answer(text)

    assert answer.parsed == value
    assert repair in answer.repairs


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": [1, 2',
        '{"a": "x',
        "{'a': 1",
        '{"a": [1, 2}',
        '{"a": 1, "b": {"c": 2}, "d": "hel',
        '```json\n{"a": 1,\n```',
        '{"a": 1} Wait, better: {"a": 2, "b": [',
        "{'a': 1} Wait, better: {'a': 2, 'b': [",
        # Left out, on purpose.
        '{"a": [1, 2, ...]}',
        '{"a": [1, 2 /* and so on */]}',
        '{"a": [1, 2] // the rest is the same\n}',
        # More than one meaning.
        '{"a": "x" "b": "y"}',
        '{"a": "see "b": 1", "c": 2}',
        '{"a": "one "two", three"}',
        '{"a": ""x""}',
        '{"a": 1,, "b": 2}',
        '{"a": [1 2]}',
        '{"a": 1, "a": 2,}',
        '{"a": undefined}',
        '{"a": 007}',
        r'{"a": "C:\Users\name"}',
        '{"a" 2, "b": 3}',
        # Not all of it.
        '{"a": 1, }"b": 2}',
        '{"a": 1}, {"a": 2}',
        "{'a': 1}\n{'a': 2}",
        '"b": {"a": 1}}',
        # What was meant is broken, what stands before it is an example.
        '{"a": "example"} and now {"a": [1, 2, ...]}',
        "",
    ],
)
async def test_what_is_cut_elided_or_ambiguous_is_asked_for_again(text: str) -> None:
    with pytest.raises(InvalidResult):
        await _answer(text or "no JSON")


async def test_a_cut_answer_is_told_from_one_that_is_none() -> None:
    with pytest.raises(InvalidResult) as raised:
        await _answer('{"a": 1, "b": [1, 2')

    assert "not complete" in raised.value.problems[0]


async def test_every_beginning_of_an_answer_is_refused() -> None:
    whole = '{"a": "it\'s \\"x\\"", "b": [1, {"c": "d"}, [], null], "e": {"f": {}, "g": 1.5}}'

    for length in range(len(whole)):
        for text in (whole[:length], whole[:length].replace('\\"', "").replace('"', "'")):
            with pytest.raises(InvalidResult):
                await _answer(text or " x ")
    assert (await _answer(whole)).repairs == ()


async def test_an_answer_that_is_no_json_for_readers_is_said_to_be_repaired() -> None:
    answer = await _answer('{"a": NaN}')

    assert (answer.parsed, answer.text) == ({"a": None}, '{"a": null}')
    assert answer.repairs == ("unreadable /",)


async def test_what_was_found_beside_prose_came_as_it_had_to() -> None:
    for text in ('```json\n{"a": 1}\n```', 'Sure: {"a": 1}.', '<think>{"a": 0}</think>{"a": 1}'):
        assert (await _answer(text)).repairs == ()


async def test_a_route_may_forbid_repairs_and_coercions() -> None:
    output = OutputSchema(json_schema={"properties": {"a": {"type": "integer"}}})
    no_repair = MendRules(repair=False, coercions=EVERYTHING.coercions)

    assert (await _answer('{"a": "1"}', output, no_repair)).parsed == {"a": 1}
    with pytest.raises(InvalidResult):
        await _answer('{"a": 1,}', output, no_repair)
    with pytest.raises(InvalidResult):
        await _answer('{"a": "1"}', output, MendRules())


async def test_an_answer_without_a_reason_to_stop_is_mended_only_where_it_is_whole() -> None:
    whole, cut = (completion(text, finish=Finish.NOT_SAID) for text in ('{"a": 1,}', '{"a": 1,'))

    assert (await VALIDATOR.validate(ANY, whole)).parsed == {"a": 1}
    with pytest.raises(InvalidResult):
        await VALIDATOR.validate(ANY, cut)


async def test_what_the_library_guesses_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json_repair.repair_json", lambda *_, **__: {"a": 2})

    with pytest.raises(InvalidResult):
        await _answer('{"a": 1,}')


@pytest.mark.parametrize(
    "piece", ['{"a":', "{'", "[", '{"', "{a:", "[[1,", "//", '{"a": "', "{/*", '"x" ', "{'a':'b',"]
)
def test_no_damage_makes_the_reading_slow(piece: str) -> None:
    try:
        read_all(piece * (200_000 // len(piece)))
    except (Unreadable, RecursionError) as error:
        assert not isinstance(error, RecursionError)


async def test_a_hostile_answer_holds_up_the_child_and_not_the_worker() -> None:
    # The library needs seconds for it; the child that reads it is ended.
    text = '{"a": [' + "'x\"y' " * 30_000 + "]}"

    with pytest.raises(InvalidResult):
        await ResultValidator().validate(ANY, completion(text))


async def test_a_no_break_space_ends_the_answer_and_not_the_process_that_reads_it() -> None:
    reading = read('{"a":\u00a01}')

    assert mended('{"a":\u00a01}', reading, ANY.json_schema, EVERYTHING, lambda *_: True) is None
    with pytest.raises(InvalidResult) as raised:
        await _answer('{"a":\u00a01}')
    assert raised.value.problems == (
        "/: the JSON cannot be read near character 6, or is not complete",
    )


async def test_a_byte_order_mark_before_an_answer_is_no_prose() -> None:
    answer = await _answer('\ufeff"{\\"a\\": 1}"')

    assert answer.parsed == {"a": 1}
    assert "json_from_string /" in answer.repairs
