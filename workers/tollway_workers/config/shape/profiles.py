"""What servers make of the protocols that they speak, one row each. Data.

A provider names its row by `profile`, or is known by its address; what its lanes say for themselves
goes first. Sources: the servers' own API references, as of late 2026. What a row gets wrong is
learned: a field that a server refuses is said in other words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tollway_workers.config.shape.network import split_address

#: What calls the answer's limit, in a request.
LimitField = Literal["max_completion_tokens", "max_tokens"]
#: What the answer's form can be asked for as.
StructuredOutput = Literal["json_schema", "json_object", "tool", "none"]
#: How a provider counts the tokens of a call against its limit.
TokenRule = Literal["openai_max", "sum", "input"]

ProfileName = Literal[
    "openai",
    "azure",
    "vllm",
    "ollama",
    "llama.cpp",
    "groq",
    "together",
    "openrouter",
    "deepseek",
    "mistral",
    "lm-studio",
    "anthropic",
    "gemini",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a server differs from another. The defaults are for one that is not known."""

    #: Ends of the host names at which it answers, where nobody else does.
    hosts: tuple[str, ...] = ()
    #: What it speaks.
    protocols: tuple[str, ...] = ("openai",)
    #: None: as the caller says it, else `max_completion_tokens`.
    limit_field: LimitField | None = None
    structured_output: StructuredOutput = "json_schema"
    #: Whether it knows `json_object` too; else any object is asked for by a schema.
    json_object: bool = True
    token_rule: TokenRule = "openai_max"  # noqa: S105 - these tokens are no passwords
    #: The header that shows the key, and what stands before it there.
    key_header: tuple[str, str] = ("Authorization", "Bearer ")
    #: Whether `x-ratelimit-*-requests` are of a day, not of a minute.
    requests_by_day: bool = False
    #: Whether a stream has to be asked for its usage; else it says it in any case.
    asks_for_usage: bool = True
    #: Added to `stream_options`.
    stream_options: tuple[tuple[str, bool], ...] = ()
    #: Whether it knows the role `developer`; else that is `system`.
    developer_role: bool = True
    #: Fields of a request that have another name there.
    renamed: tuple[tuple[str, str], ...] = ()
    #: Whether a part of a prompt may say that it is to be cached (Anthropic's `cache_control`).
    cache_marks: bool = True
    #: Whether prompt tokens read from its cache count in its limits.
    counts_cached: bool = True


UNKNOWN = Profile()

PROFILES: Mapping[ProfileName, Profile] = {
    "openai": Profile(
        hosts=("api.openai.com",),
        cache_marks=False,
        protocols=("openai", "responses", "embeddings"),
        limit_field="max_completion_tokens",
        # Padding that hides lengths from who watches the line; it costs a fifth of the bytes.
        stream_options=(("include_obfuscation", False),),
    ),
    "azure": Profile(
        hosts=("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
        cache_marks=False,
        protocols=("openai", "responses", "embeddings"),
        limit_field="max_completion_tokens",
        token_rule="sum",  # noqa: S106 - as above
        key_header=("api-key", ""),
    ),
    "vllm": Profile(
        protocols=("openai", "responses", "anthropic", "embeddings"),
        limit_field="max_tokens",
        developer_role=False,
    ),
    "ollama": Profile(
        hosts=("ollama.com",),
        protocols=("openai", "responses", "anthropic", "embeddings"),
        limit_field="max_tokens",
        developer_role=False,
    ),
    "llama.cpp": Profile(
        protocols=("openai", "responses", "anthropic", "embeddings"),
        limit_field="max_tokens",
        developer_role=False,
    ),
    "groq": Profile(
        hosts=("api.groq.com",),
        cache_marks=False,
        limit_field="max_completion_tokens",
        token_rule="sum",  # noqa: S106 - as above
        requests_by_day=True,
        developer_role=False,
    ),
    "together": Profile(
        hosts=("api.together.xyz", "api.together.ai"),
        protocols=("openai", "embeddings"),
        cache_marks=False,
        limit_field="max_tokens",
        developer_role=False,
    ),
    "openrouter": Profile(
        hosts=("openrouter.ai",),
        protocols=("openai", "responses", "anthropic", "embeddings"),
        limit_field="max_tokens",
        developer_role=False,
    ),
    "deepseek": Profile(
        hosts=("api.deepseek.com",),
        cache_marks=False,
        limit_field="max_tokens",
        structured_output="json_object",
        developer_role=False,
    ),
    "mistral": Profile(
        hosts=("api.mistral.ai",),
        protocols=("openai", "embeddings"),
        cache_marks=False,
        limit_field="max_tokens",
        # It refuses fields that it does not know.
        asks_for_usage=False,
        developer_role=False,
        renamed=(("seed", "random_seed"),),
    ),
    "lm-studio": Profile(
        protocols=("openai", "responses", "embeddings"),
        limit_field="max_tokens",
        json_object=False,
        developer_role=False,
    ),
    "anthropic": Profile(
        hosts=("api.anthropic.com",),
        protocols=("anthropic",),
        token_rule="input",  # noqa: S106 - as above
        key_header=("x-api-key", ""),
        counts_cached=False,
    ),
    "gemini": Profile(
        hosts=("generativelanguage.googleapis.com",),
        protocols=("gemini",),
        token_rule="input",  # noqa: S106 - as above
        key_header=("x-goog-api-key", ""),
    ),
}

#: Rows of servers that are not known, where their protocol's own server says more than `UNKNOWN`.
_UNKNOWN_OF: Mapping[str, Profile] = {
    "anthropic": PROFILES["anthropic"],
    "gemini": PROFILES["gemini"],
}


def profile_of(name: ProfileName | None, base_url: str, protocol: str = "openai") -> Profile:
    """The row of a provider: by its name, else by its address, else by its protocol."""
    if name is not None:
        return PROFILES[name]
    parts = split_address(base_url)
    host = "" if parts is None else (parts.hostname or "").lower()
    speaking = (each for each in PROFILES.values() if protocol in each.protocols)
    unknown = _UNKNOWN_OF.get(protocol, UNKNOWN)
    return next((each for each in speaking if _answers_at(each, host)), unknown)


def _answers_at(profile: Profile, host: str) -> bool:
    return any(host == end or host.endswith(f".{end}") for end in profile.hosts)
