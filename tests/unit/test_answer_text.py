"""What a model said, out of the journal's bodies: as the provider that is called reads them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.dead_letters.reading.answer_text import text_of
from tollway_workers.job.readable_json import encoded
from tollway_workers.providers.anthropic import response as anthropic
from tollway_workers.providers.gemini import response as gemini
from tollway_workers.providers.openai import response as openai
from tollway_workers.providers.responses import response as responses

_SAID = ('{"n": ', "1}")
_PARTS = [{"type": "text", "text": piece} for piece in _SAID]
_HIDDEN = {"type": "thinking", "thinking": "hm", "signature": "s"}
_SPOKEN = {"type": "message", "role": "assistant"}
_PIECES = [part | {"type": "output_text"} for part in _PARTS]

ANSWERS: dict[str, Any] = {
    "openai": {"choices": [{"message": {"content": "".join(_SAID)}, "finish_reason": "stop"}]},
    "anthropic": {
        "type": "message",
        "role": "assistant",
        "content": [_HIDDEN, *_PARTS],
        "stop_reason": "end_turn",
    },
    "gemini": {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "hm", "thought": True},
                        *({"text": piece} for piece in _SAID),
                    ]
                },
                "finishReason": "STOP",
            }
        ]
    },
    "responses": {
        "object": "response",
        "status": "completed",
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {**_SPOKEN, "phase": "commentary", "content": [{**_PIECES[0], "text": "first"}]},
            {**_SPOKEN, "content": _PIECES},
        ],
    },
}
_READERS: dict[str, Any] = {
    "openai": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "responses": responses,
}


@pytest.mark.parametrize("protocol", ANSWERS)
def test_the_text_of_an_answer_is_the_one_that_its_call_came_to(protocol: str) -> None:
    body = encoded(ANSWERS[protocol])
    read = _READERS[protocol].parse(200, {"content-type": "application/json"}, body)

    assert text_of(ANSWERS[protocol]) == "".join(_SAID) == read.text


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "message",
                        "content",
                        "candidates",
                        "parts",
                        "output",
                        "type",
                        "text",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_what_has_no_such_form_has_no_text(body: Any) -> None:
    found = text_of(body)

    assert found is None or found
