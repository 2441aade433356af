"""Whatever a body holds, a protocol's reader reads it or refuses it: it never breaks."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.local.simulator.ask import Asked, BadRequest
from tollway_workers.local.simulator.tokens import CHARACTERS
from tollway_workers.local.simulator.wire.embeddings import EMBEDDINGS
from tollway_workers.local.simulator.wire.routes import DIALECTS

_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
_VERSION = {"anthropic-version": "2023-06-01"}
#: Of each protocol a body with all that its reader looks at.
_WHOLE: dict[str, dict[str, Any]] = {
    "embeddings": {
        "model": "m",
        "input": ["a text", [1, 2]],
        "dimensions": 8,
        "encoding_format": "base64",
        "user": "u",
    },
    "openai": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "JSON"},
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "x"},
        ],
        "n": 1,
        "max_tokens": 5,
        "stream": True,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"schema": _SCHEMA}},
        "tools": [{"function": {"name": "f", "description": "d", "parameters": _SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    },
    "responses": {
        "model": "m",
        "instructions": "JSON",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "x"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "x"},
        ],
        "max_output_tokens": 50,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": _SCHEMA}},
        "tools": [{"type": "function", "name": "f", "parameters": _SCHEMA}],
        "tool_choice": {"type": "function", "name": "f"},
    },
    "anthropic": {
        "model": "m",
        "max_tokens": 5000,
        "system": [
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x"},
                    {"type": "image", "source": {"type": "url", "url": "https://x"}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ],
        "temperature": 1,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": _SCHEMA}},
        "tools": [{"name": "f", "input_schema": _SCHEMA, "strict": True}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "cache_control": {"type": "ephemeral"},
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "x"}]},
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "x"}, {"inlineData": {"mimeType": "a", "data": "b"}}],
            },
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
        ],
        "generationConfig": {
            "maxOutputTokens": 50,
            "responseMimeType": "application/json",
            "responseSchema": {
                "type": "OBJECT",
                "properties": {"a": {"type": "STRING", "max_length": "5", "nullable": True}},
            },
            "thinkingConfig": {"thinkingLevel": "LOW"},
        },
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": _SCHEMA}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    },
}
_OTHER: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 1.5, 10**30, "", "x", [], [[]], [None], {}, {"x": 1}, {"type": []}, [{}]]
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each holder in a body with each of its names."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        for name in range(len(holder)) if isinstance(holder, list) else list(holder):
            found.append((holder, name))
            if isinstance(holder[name], dict | list):
                waiting.append(holder[name])
    return found


@pytest.mark.parametrize(
    "dialect", [each for each in DIALECTS if each is not EMBEDDINGS], ids=lambda each: each.name
)
def test_a_whole_body_is_read(dialect: Any) -> None:
    ask = dialect.read(Asked(fields=_WHOLE[dialect.name], headers=_VERSION), CHARACTERS)

    assert ask.has_results
    assert [tool.name for tool in ask.tools] == ["f"]
    assert ask.prompt_tokens > 20
    assert ask.reasoning_tokens > 0


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)
@given(st.data())
def test_a_body_with_anything_in_any_place_is_read_or_refused(
    dialect: Any, data: st.DataObject
) -> None:
    body = copy.deepcopy(_WHOLE[dialect.name])
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(body)
        holder, name = places[data.draw(st.integers(0, len(places) - 1))]
        # A copy: what is drawn once may be changed by the next draw.
        holder[name] = copy.deepcopy(data.draw(_OTHER))

    try:
        ask = dialect.read(Asked(fields=body, headers=_VERSION), CHARACTERS)
    except BadRequest as error:
        refused = dialect.refuse(error.refusal, "req_1")
        assert refused.status == 400
    else:
        assert ask.prompt_tokens >= 0
