"""Every protocol passes the published suite, by cases from its provider's documentation."""

from pathlib import Path

from tollway_workers.testing import ProtocolContract

_FIXTURES = Path(__file__).parent / "fixtures"


class TestOpenAI(ProtocolContract):
    protocol = "openai"
    fixtures = _FIXTURES / "openai"


class TestAnthropic(ProtocolContract):
    protocol = "anthropic"
    fixtures = _FIXTURES / "anthropic"


class TestGemini(ProtocolContract):
    protocol = "gemini"
    fixtures = _FIXTURES / "gemini"
    #: Its models refuse in words alone, or are stopped by a filter.
    without = frozenset({"refusal"})


class TestResponses(ProtocolContract):
    protocol = "responses"
    fixtures = _FIXTURES / "responses"


class TestEmbeddings(ProtocolContract):
    protocol = "embeddings"
    fixtures = _FIXTURES / "embeddings"
    #: Vectors come whole, and hold no words.
    without = frozenset({"stream", "tools", "schema", "refusal", "truncation"})
