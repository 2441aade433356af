"""Messages lose keys, what they repeat of the request, and long quotations; nothing else."""

import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.providers.quoted_prompt import texts_of
from tollway_workers.providers.redact import redact

PROMPT = "Translate the diary of Anna Maria Köhler, who wasn't well in May:\n\"I can't sleep.\""

WHOLE = [
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 8306 "
    "tokens. Please reduce the length of the messages.",
    "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) "
    "value is supported.",
    "The model `gpt-4-32k` does not exist or you do not have access to it. Learn more: "
    "https://example.org/help",
    "In context=('properties', 'steps', 'items'), 'additionalProperties' is required to be "
    "supplied and to be false.",
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth",
    "The users' quota isn't enough for 'gpt-4o': it's used up, don't retry before 12:00 o'clock",
    'Unknown name "seed": Cannot find field. Unknown name "top_k": Cannot find field, and no more.',
    "Invalid input: the model accounts/fireworks/models/llama4-Maverick-Instruct-Basic is gone",
    "unexpected end of input: expected ' or \" somewhere in the remaining part of the document",
]


@pytest.mark.parametrize("message", WHOLE)
def test_a_sentence_with_apostrophes_and_short_quotations_stays_whole(message: str) -> None:
    assert redact(message, prompts=[PROMPT]) == message


ECHOES = [
    f"Invalid value: '{PROMPT}'",
    f"Invalid value: {PROMPT} is no number",
    f"cannot parse {orjson.dumps(PROMPT).decode()} here",
    f"cannot parse {PROMPT!r} here",
    "could not read 'Translate the diary of Anna Maria K\\u00f6hler, who wasn' at 3",
    "could not read 'Translate the diary of Anna Maria K\\xc3\\xb6hler, who wasn' at 3",
    f"got `{PROMPT[:30]}...` instead",
    f"got `{PROMPT[5:25]}...{PROMPT[-24:]}` instead",
    "got   Translate\n  the   diary of\n  Anna Maria   Köhler instead",
    "got &quot;Translate the diary of Anna Maria K&#246;hler&quot;",
]


@pytest.mark.parametrize("message", ECHOES)
def test_what_a_message_repeats_of_the_prompt_is_taken_out(message: str) -> None:
    said = redact(message, prompts=[PROMPT])

    assert not any(word in said for word in ("Anna", "diary", "sleep"))
    assert "[prompt]" in said


def test_a_short_prompt_is_taken_out_where_it_stands_in_quotes_or_whole() -> None:
    assert redact("no such thing: 'Bonn'", prompts=["Bonn"]) == "no such thing: '[prompt]'"
    assert redact("is Bonn nice now is no JSON", prompts=["is Bonn nice now"]) == (
        "[prompt] is no JSON"
    )
    assert redact("the model is gone", prompts=["model"]) == "the model is gone"


def test_a_prompt_in_another_script_is_taken_out() -> None:
    message = "Invalid value: 患者の名前は山田です, must be ascii"

    assert redact(message, prompts=["患者の名前は山田です、とても長い文章"]) == (
        "Invalid value: [prompt], must be ascii"
    )


def test_known_secrets_are_taken_out_whatever_they_look_like() -> None:
    assert redact("your key plainword is bad", secrets=["plainword"]) == "your key [key] is bad"


def test_the_texts_of_a_request_are_what_its_caller_wrote() -> None:
    body = {
        "model": "the model",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "what is it?"}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:abc"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "22 degrees"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "weather", "description": "of a town"}}
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "metadata": {"for": "Anna"},
    }

    assert texts_of(orjson.dumps(body)) == [
        "be kind",
        "what is it?",
        "22 degrees",
        "of a town",
        "Anna",
    ]
    assert texts_of(b"no JSON") == []


def test_the_texts_of_a_request_are_found_in_the_words_of_each_protocol() -> None:
    gemini = {
        "systemInstruction": {"parts": [{"text": "be kind"}]},
        "contents": [
            {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "QUJD"}}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "1", "name": "f", "args": {"name": "Anna", "n": 1}},
                 "thoughtSignature": "c2ln"}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "f", "response": {"model": "a bike"}}}]},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"responseMimeType": "application/json"},
    }  # fmt: skip
    responses = {
        "model": "m",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "what is it?"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": "Anna"}'},
            {"type": "function_call_output", "call_id": "c", "output": "a bike"},
        ],
        "reasoning": {"effort": "low"},
    }

    assert texts_of(orjson.dumps(gemini)) == ["be kind", "Anna", "a bike"]
    assert texts_of(orjson.dumps(responses)) == ["what is it?", '{"a": "Anna"}', "a bike"]


ANSWERS = [
    "Failed to parse: '<tool_call>The patient is recovering well and may go home tomorrow, abcd'",
    'cannot read "' + "a long answer abcd " * 10 + '"',
    "1 validation error [type=x, input_value={'role': 'abcd'}, input_type=dict] more",
    "[{'msg': 'no', 'input': {'role': 'abcd'}}]",
    "unknown token Ab1" + "xY9zQ" * 8 + "abcd given",
    "key " + "0123456789abcdef" * 2 + "abcd",
    "Invalid API key: abcd1234efgh",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhYmNkIn0.abcd",
]


@pytest.mark.parametrize("message", ANSWERS)
def test_what_only_the_provider_knows_is_told_by_its_form(message: str) -> None:
    assert "abcd" not in redact(message)


@pytest.mark.parametrize(
    ("message", "prompt"),
    [
        ("a" * 4_000, "a" * 2_000_000),
        ("ab" * 2_000, "ba" * 1_000_000),
        ("'" * 4_000, "'" * 100_000),
        ("(' " * 1_400, "x" * 100),
        ("\\u" * 2_000, "\\u" * 100_000),
        ("input=" * 700, "x" * 100),
    ],
)
def test_no_message_takes_long(message: str, prompt: str) -> None:
    started = time.process_time()

    redact(message, prompts=[prompt])

    assert time.process_time() - started < 2.0


@given(st.text(max_size=300), st.lists(st.text(max_size=300), max_size=3))
def test_any_message_can_be_redacted(message: str, prompts: list[str]) -> None:
    assert len(redact(message, prompts=prompts)) <= 1_000


@given(
    st.text("abcdefgh ÄöüßéЖ", min_size=60, max_size=120).filter(lambda t: len(t.split()) > 3),
    st.integers(0, 20),
    st.integers(30, 60),
)
def test_any_long_piece_of_a_prompt_is_found(prompt: str, start: int, length: int) -> None:
    piece = prompt[start : start + length].strip()

    said = redact(f"it said: {piece} (end)", prompts=[prompt])

    letters = sum(each.isalnum() for each in piece)
    assert letters < 16 or "[prompt]" in said
