"""Where calls to Gemini go, what shows their key, and what a model's name tells."""

from dataclasses import replace

import pytest
from samples import lane

from tollway_workers.providers.gemini.model import is_before_3, thinking
from tollway_workers.providers.gemini.wire_format import WIRE_FORMAT


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3-flash", "/models/gemini-3-flash"),
        ("models/gemini-3-flash", "/models/gemini-3-flash"),
        ("tunedModels/mine", "/tunedModels/mine"),
        ("publishers/google/models/gemini-3-pro", "/publishers/google/models/gemini-3-pro"),
        # Nothing of a name is a query, a fragment or another address.
        ("a?b#c d\u00e9", "/models/a%3Fb%23c%20d%C3%A9"),
    ],
)
def test_a_model_is_a_part_of_the_address(model: str, path: str) -> None:
    config = replace(lane(), model=model)

    assert WIRE_FORMAT.path(config, stream=False) == f"{path}:generateContent"
    assert WIRE_FORMAT.path(config, stream=True) == f"{path}:streamGenerateContent?alt=sse"


def test_a_key_has_a_header_of_its_own_and_an_account_s_token_is_a_bearer() -> None:
    assert WIRE_FORMAT.auth("AIzaSy-1", lane()) == ((b"x-goog-api-key", b"AIzaSy-1"),)
    assert WIRE_FORMAT.auth("ya29.a0", lane()) == ((b"Authorization", b"Bearer ya29.a0"),)


@pytest.mark.parametrize(
    ("model", "before"),
    [
        ("gemini-1.5-pro", True),
        ("models/gemini-2.5-flash-lite", True),
        ("gemini-3-pro", False),
        ("publishers/google/models/gemini-10-pro", False),
        ("gemini-flash-latest", False),
        ("tunedModels/gemini", False),
    ],
)
def test_a_model_s_name_tells_its_generation(model: str, before: bool) -> None:
    assert is_before_3(model) is before
    assert thinking("medium", model) == (
        {"thinkingBudget": 8192} if before else {"thinkingLevel": "MEDIUM"}
    )
    assert thinking("ultra", model) is None
