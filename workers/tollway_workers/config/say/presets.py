"""What `tollway config init --provider` knows of each provider: where it is, and how it counts.

Amounts are examples, as of late 2026: an account's own stand in its provider's console, prices in
its price list. Data.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tollway_workers.config.shape.profiles import ProfileName

Amounts = tuple[tuple[str, str], ...]

_TOKENS: Amounts = (("requests_per_minute", "500"), ("tokens_per_minute", "200_000"))
_PRICE: Amounts = (("input", "0.15"), ("output", "0.60"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What a lane of one provider begins with."""

    #: What the account is, in a comment.
    account: str
    base_url: str
    model: str
    #: None: the server asks for no key.
    key_env: str | None
    protocol: str = "openai"
    #: Where its address does not say whose server it is.
    profile: ProfileName | None = None
    #: The limits that it counts by, and the prices that it has.
    limits: Amounts = _TOKENS
    price: Amounts = _PRICE


def _api(
    whose: str, base_url: str, model: str, key_env: str, *, limits: Amounts = _TOKENS
) -> Preset:
    """An API that speaks OpenAI's protocol, at whose address stands its name."""
    return Preset(
        account=f"An account at {whose}.",
        base_url=base_url,
        model=model,
        key_env=key_env,
        limits=limits,
    )


def _local(what: str, port: int, model: str, profile: ProfileName) -> Preset:
    """A server on this machine, which costs nothing and counts nothing."""
    return Preset(
        account=f"{what} on this machine.",
        base_url=f"http://127.0.0.1:{port}/v1",
        model=model,
        key_env=None,
        profile=profile,
        limits=(),
        price=(("input", "0"), ("output", "0")),
    )


PRESETS: Mapping[str, Preset] = {
    "openai": Preset(
        account="An account at an OpenAI-compatible API.",
        base_url="https://api.openai.com/v1",
        model="gpt-4o-mini",
        key_env="OPENAI_API_KEY",
    ),
    "responses": Preset(
        account="An account at OpenAI, asked by its Responses API.",
        base_url="https://api.openai.com/v1",
        model="gpt-5-mini",
        key_env="OPENAI_API_KEY",
        protocol="responses",
        price=(("input", "0.25"), ("cached_input", "0.025"), ("output", "2.00")),
    ),
    "anthropic": Preset(
        account="An account at Anthropic.",
        base_url="https://api.anthropic.com/v1",
        model="claude-sonnet-5",
        key_env="ANTHROPIC_API_KEY",
        protocol="anthropic",
        # Prompt tokens that are read from its cache do not count.
        limits=(
            ("requests_per_minute", "50"),
            ("input_tokens_per_minute", "30_000"),
            ("output_tokens_per_minute", "8_000"),
        ),
        price=(
            ("input", "3.00"),
            ("cached_input", "0.30"),
            ("cache_write_5m", "3.75"),
            ("cache_write_1h", "6.00"),
            ("output", "15.00"),
        ),
    ),
    "gemini": Preset(
        account="A project at Google's Gemini API.",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        model="gemini-2.5-flash",
        key_env="GEMINI_API_KEY",
        protocol="gemini",
        limits=(
            ("requests_per_minute", "1_000"),
            ("tokens_per_minute", "1_000_000"),
            ("requests_per_day", "10_000"),
        ),
        price=(("input", "0.30"), ("cached_input", "0.03"), ("output", "2.50")),
    ),
    "groq": _api(
        "Groq",
        "https://api.groq.com/openai/v1",
        "llama-3.3-70b-versatile",
        "GROQ_API_KEY",
        limits=(*_TOKENS, ("requests_per_day", "14_400")),
    ),
    "openrouter": _api(
        "OpenRouter", "https://openrouter.ai/api/v1", "openai/gpt-4o-mini", "OPENROUTER_API_KEY"
    ),
    "together": _api(
        "Together",
        "https://api.together.xyz/v1",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "TOGETHER_API_KEY",
    ),
    "deepseek": _api(
        "DeepSeek", "https://api.deepseek.com/v1", "deepseek-chat", "DEEPSEEK_API_KEY", limits=()
    ),
    "mistral": _api(
        "Mistral", "https://api.mistral.ai/v1", "mistral-small-latest", "MISTRAL_API_KEY"
    ),
    "vllm": _local("A vLLM server", 8000, "served-model-name", "vllm"),
    "ollama": _local("Ollama", 11434, "llama3.2", "ollama"),
    "llama.cpp": _local("A llama.cpp server", 8080, "default", "llama.cpp"),
}
DEFAULT_PRESET = PRESETS["openai"]
