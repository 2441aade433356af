"""Lines of a batch file: each is a job, or says in one sentence why not."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas import InvalidValue
from tollway_workers.cli.batch.forms.chat_body import read_body
from tollway_workers.cli.batch.line import BadLine, BatchJob, read_line
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.provider import LimitSettings
from tollway_workers.providers.openai.request import build

MESSAGES = [{"role": "user", "content": "hi"}]
GOOD: dict[str, Any] = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "extract", "messages": MESSAGES},
}


def line(**changes: Any) -> bytes:
    return orjson.dumps({**GOOD, **changes})


def body(**fields: Any) -> bytes:
    return line(body={"model": "m", "messages": MESSAGES, **fields})


def test_a_good_line_is_a_job() -> None:
    job = read_line(7, line())

    assert isinstance(job, BatchJob)
    assert (job.line, job.custom_id, job.model) == (7, "a", "extract")
    assert job.request.messages[0].content == "hi"


BAD_LINES: dict[str, tuple[bytes, str]] = {
    "broken JSON": (b'{"custom_id": ', "is not JSON"),
    "text": (b"hello", "is not JSON"),
    "an array": (b"[]", "is not a JSON object"),
    "a number": (b"7", "is not a JSON object"),
    "wrong UTF-8": (b'{"custom_id": "\xff"}', "is not UTF-8: byte 16"),
    "raw NUL": (b'{"custom_id": "\x00"}', "is not JSON"),
    "lone surrogate": (b'{"custom_id": "\\ud800"}', "is not JSON"),
    "infinite number": (b'{"custom_id": 1e999}', "is not JSON"),
    "deep nesting": (b"[" * 100_000, "is not JSON"),
    "no custom_id": (orjson.dumps({**GOOD, "custom_id": None}), "lacks custom_id"),
    "no keys at all": (b"{}", "lacks custom_id, method, url, body"),
    "numeric custom_id": (line(custom_id=7), "custom_id"),
    "empty custom_id": (line(custom_id=""), "custom_id"),
    "other method": (line(method="GET"), "method: must be POST"),
    "other url": (line(url="/v1/images"), "url: must be /v1/chat/completions"),
    "other key": (line(priority="high"), "'priority'"),
    "body is text": (line(body="x"), "body: must be an object"),
    "no messages": (line(body={"model": "m"}), "body.messages"),
    "empty messages": (body(messages=[]), "body.messages"),
    "messages are text": (body(messages="hi"), "body.messages"),
    "unknown role": (body(messages=[{"role": "wizard", "content": "x"}]), "body.messages[0].role"),
    "content is a number": (
        body(messages=[{"role": "user", "content": 7}]),
        "body.messages[0].content: must be text or a list, not a number",
    ),
    "model is a number": (body(model=7), "body.model"),
    "n of two": (body(n=2), "body.n"),
    "n is true": (body(n=True), "body.n"),
    "stream": (body(stream=True), "body.stream"),
    "stream options": (body(stream_options={}), "body.stream_options"),
    "audio": (body(modalities=["text", "audio"]), "body.modalities"),
    "negative limit": (body(max_tokens=-5), "body.max_tokens: must be more than 0"),
    "limit of zero": (body(max_completion_tokens=0), "body.max_completion_tokens: must be more"),
    "limit is text": (body(max_tokens="5"), "body.max_tokens: must be a whole number, not text"),
    "limit with decimals": (
        body(max_tokens=100.0),
        "body.max_tokens: must be a whole number, not a number with decimals",
    ),
    "two limits": (body(max_tokens=5, max_completion_tokens=6), "contradicts"),
    "too hot": (body(temperature=9), "body.temperature"),
    "stop of numbers": (body(stop=[7]), "body.stop"),
    "unknown tool kind": (
        body(tools=[{"type": "custom", "function": {"name": "f"}}]),
        "body.tools[0].type: must be 'function'",
    ),
    "unknown tool choice": (
        body(tool_choice="any"),
        "body.tool_choice: must be 'none', 'auto' or 'required', or an object",
    ),
    "half a tool choice": (
        body(tool_choice={"type": "function"}),
        "body.tool_choice.function: is missing",
    ),
    "half a part": (
        body(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
        "body.messages[0].content[0].image_url: is missing",
    ),
    "schema as text": (
        body(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": "{}"}}),
        "body.response_format.json_schema.schema: must be an object, or true or false, not text",
    ),
    "format is text": (body(response_format="json"), "body.response_format"),
    "unknown format": (body(response_format={"type": "grammar"}), "body.response_format.type"),
    "unknown format field": (
        body(response_format={"type": "text", "x": 1}),
        "body.response_format: has unknown fields ('x')",
    ),
    "schema without schema": (
        body(response_format={"type": "json_schema", "json_schema": {"name": "a"}}),
        "body.response_format.json_schema: must be an object with name and schema",
    ),
    "schema with a bad name": (
        body(
            response_format={"type": "json_schema", "json_schema": {"name": "a b", "schema": True}}
        ),
        "body.response_format.json_schema.name",
    ),
    "deep body": (
        b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":'
        + orjson.dumps(MESSAGES)
        + b',"metadata":'
        + b"[" * 300
        + b"]" * 300
        + b"}}",
        "nested too deep",
    ),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_says_what_is_wrong_with_it(name: str) -> None:
    raw, said = BAD_LINES[name]

    bad = read_line(3, raw)

    assert isinstance(bad, BadLine)
    assert said in bad.message
    assert "\n" not in bad.message
    # One fault, one complaint.
    assert ";" not in bad.message


@pytest.mark.parametrize(
    "url",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "chat/completions",
        "/v1/chat/completions/",
        "/openai/deployments/d/chat/completions?api-version=2024-10-21",
        "https://api.openai.com/v1/chat/completions",
        "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
    ],
)
def test_any_form_of_the_address_of_a_chat_completion_is_taken(url: str) -> None:
    assert isinstance(read_line(1, line(url=url)), BatchJob)


@pytest.mark.parametrize(
    "url",
    ["/v1/completions", "/v1/notchat/xchat/completions", "/v1/messages", "http://[", 7, "", []],
)
def test_no_other_address_is(url: object) -> None:
    bad = read_line(1, line(url=url))

    assert isinstance(bad, BadLine)
    assert bad.message.startswith("url: must be /v1/chat/completions")


def test_a_bad_line_keeps_its_custom_id_and_quotes_no_prompt() -> None:
    bad = read_line(3, body(messages=[{"role": "user", "content": {"secret": "prompt"}}]))

    assert isinstance(bad, BadLine)
    assert bad.custom_id == "a"
    assert "secret" not in bad.message


def test_an_escaped_nul_is_a_character_like_any_other() -> None:
    job = read_line(1, body(messages=[{"role": "user", "content": "a\0b"}]))

    assert isinstance(job, BatchJob)
    assert job.request.messages[0].content == "a\0b"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_job_or_a_bad_line(raw: bytes) -> None:
    assert isinstance(read_line(1, raw), BatchJob | BadLine)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_FIELDS = ["messages", "temperature", "stop", "tools", "response_format", "n", "max_tokens", "seed"]


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4))
def test_any_value_of_any_field_is_taken_or_refused(fields: dict[str, Any]) -> None:
    assert isinstance(read_line(1, body(**fields)), BatchJob | BadLine)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


_WORD = st.text(min_size=1, max_size=8)
_SCHEMA = {"type": "object", "properties": {"a": {"const": None}}}
_BODIES = st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text()},
                optional={"name": _WORD, "unheard_of": _WORD},
            ),
            min_size=1,
            max_size=3,
        )
    },
    optional={
        "temperature": _maybe(st.floats(0, 2)),
        "top_p": _maybe(st.floats(0, 1)),
        "seed": _maybe(st.integers(-(2**31), 2**31)),
        "max_completion_tokens": _maybe(st.integers(1, 10**6)),
        "stop": _maybe(_WORD | st.lists(_WORD, min_size=1, max_size=4)),
        "reasoning_effort": _maybe(_WORD),
        "parallel_tool_calls": _maybe(st.booleans()),
        "n": st.sampled_from([None, 1]),
        "stream": st.sampled_from([None, False]),
        "user": _WORD,
        "logit_bias": st.dictionaries(_WORD, st.integers(-100, 100), max_size=2),
        "metadata": st.dictionaries(_WORD, _maybe(_WORD), max_size=2),
        "tools": st.just(
            [{"type": "function", "function": {"name": "f", "parameters": _SCHEMA, "strict": True}}]
        ),
        "tool_choice": st.sampled_from(
            ["auto", "required", {"type": "function", "function": {"name": "f"}}]
        ),
        "response_format": st.sampled_from(
            [
                None,
                {"type": "text"},
                {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": _SCHEMA, "strict": True},
                },
            ]
        ),
    },
)


def _expected(given_body: dict[str, Any]) -> dict[str, Any]:
    """What means the same to the server: defaults left out, one stop as a list."""
    wanted = {k: v for k, v in given_body.items() if v is not None and k not in ("n", "stream")}
    if wanted.get("response_format") == {"type": "text"}:
        del wanted["response_format"]
    if isinstance(wanted.get("stop"), str):
        wanted["stop"] = [wanted["stop"]]
    return wanted


@given(_BODIES, st.booleans())
def test_what_reaches_the_server_is_what_the_line_asked_for(
    given_body: dict[str, Any], by_its_old_name: bool
) -> None:
    if by_its_old_name and "max_completion_tokens" in given_body:
        given_body["max_tokens"] = given_body.pop("max_completion_tokens")

    read = read_body({"model": "route", **given_body})

    sent = orjson.loads(build(read.request, read.output, LANE))

    assert sent.pop("model") == "lane-model"
    assert sent == orjson.loads(orjson.dumps(_expected(given_body)))


LANE = LaneConfig(
    name="lane",
    provider_name="provider",
    model="lane-model",
    limits=LimitSettings(),
    token_rule="openai_max",
    call_timeout=60,
    connect_timeout=5,
    max_tokens_field=None,
    structured_output="json_schema",
    stream="never",
)


def test_max_tokens_of_either_name_is_the_answers_limit() -> None:
    assert read_body({"messages": MESSAGES, "max_tokens": 9}).request.max_output_tokens == 9
    assert (
        read_body({"messages": MESSAGES, "max_completion_tokens": 9}).request.max_output_tokens == 9
    )


def test_json_object_wants_any_object() -> None:
    read = read_body({"messages": MESSAGES, "response_format": {"type": "json_object"}})

    assert read.output is not None
    assert (read.output.mode, read.output.json_schema) == ("json_object", {"type": "object"})


def test_an_unknown_fields_name_is_cut_short() -> None:
    with pytest.raises(InvalidValue) as caught:
        read_body({"messages": MESSAGES, "response_format": {"type": "text", "p" * 9999: 1}})

    assert len(str(caught.value)) < 200
