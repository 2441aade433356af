"""What we send is what the providers' own clients have types for."""

from pathlib import Path
from typing import Any

import pytest
from google.genai import types as gemini
from openai.types.responses import ResponseCreateParams
from pydantic import TypeAdapter

from tollway_workers.testing import ProtocolCase, load_cases

_FIXTURES = Path(__file__).parent / "fixtures"


def _sent(protocol: str) -> list[Any]:
    return [
        pytest.param(sends.body, id=f"{case}-{number}")
        for case in load_cases(_FIXTURES / protocol)
        for number, sends in enumerate((case.sends, case.then_sends))
        if sends is not None and sends.body is not None and not _is_ours(case)
    ]


def _is_ours(case: ProtocolCase) -> bool:
    """A part that is passed on as the job has it."""
    return "Gemini's own parts" in case.name


_OF_GEMINI: dict[str, Any] = {
    "contents": list[gemini.Content],
    "systemInstruction": gemini.Content,
    "tools": list[gemini.Tool],
    "toolConfig": gemini.ToolConfig,
    "generationConfig": gemini.GenerationConfig,
    "safetySettings": list[gemini.SafetySetting],
}


@pytest.mark.parametrize("body", _sent("gemini"))
def test_a_request_to_gemini_is_of_its_client_s_types(body: dict[str, Any]) -> None:
    for name, value in body.items():
        read = TypeAdapter(_OF_GEMINI[name]).validate_python(value)
        again = TypeAdapter(_OF_GEMINI[name]).dump_python(
            read, mode="json", by_alias=True, exclude_none=True
        )
        assert _names(again) >= _names(value)


@pytest.mark.parametrize("body", _sent("responses"))
def test_a_request_for_a_response_is_of_its_client_s_types(body: dict[str, Any]) -> None:
    TypeAdapter(ResponseCreateParams).validate_python(body)


def _names(value: Any) -> set[str]:
    """All names of fields, at any depth."""
    if isinstance(value, list):
        return {name for each in value for name in _names(each)}
    if isinstance(value, dict):
        return set(value) | {name for each in value.values() for name in _names(each)}
    return set()
