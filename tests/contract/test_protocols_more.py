"""Gemini's generateContent and OpenAI's Responses pass the published suite for protocols."""

from pathlib import Path

from tollway_workers.testing import ProtocolContract

_FIXTURES = Path(__file__).parent / "fixtures"


class TestGemini(ProtocolContract):
    protocol = "gemini"
    fixtures = _FIXTURES / "gemini"
    #: Gemini's models refuse in words alone, or are stopped by a filter.
    without = frozenset({"refusal"})


class TestResponses(ProtocolContract):
    protocol = "responses"
    fixtures = _FIXTURES / "responses"
