"""`[providers.*]`, `[lanes.*]` and `[limit_groups.*]`: accounts, models, and their limits."""

from typing import Annotated, Literal

from pydantic import Field

from tollway_workers.config.shape.breaker import BreakerSettings
from tollway_workers.config.shape.model import Section
from tollway_workers.config.shape.price import DatedPrice, Price
from tollway_workers.config.shape.profiles import (
    LimitField,
    ProfileName,
    StructuredOutput,
    TokenRule,
)
from tollway_workers.config.shape.secret import SecretReference

#: Prompt tokens that a call may be charged beyond its texts, where a lane does not say.
DEFAULT_IMAGE_TOKENS = 4_000
DEFAULT_TOOL_TOKENS = 1_000

#: Whether calls ask for streams.
StreamMode = Literal["auto", "always", "never"]


class CallSettings(Section):
    """How calls are made: given for a lane, else for its provider, else the defaults below."""

    call_timeout: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Seconds for a whole call (default 120)."""
    connect_timeout: Annotated[float, Field(gt=0, le=120)] | None = None
    """Seconds to connect (default 5)."""
    stream: StreamMode | None = None
    """Whether answers come as streams inside, which lets the two timeouts below exist: `always`,
    `never`, or `auto` (default), where an answer may have more than 512 tokens or is reasoned
    about. Replies are whole in any case."""
    first_token_timeout: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Seconds until the first token of a stream (default: half of `call_timeout`); models that
    reason may be silent for minutes."""
    idle_timeout: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Seconds between the tokens of an answer that has begun (default 30)."""
    slow_after: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Seconds without a first token after which a call counts as slow (default: a quarter of
    `call_timeout`); it goes on."""
    max_tokens_field: LimitField | None = None
    """What the server calls the answer's limit (default: as its profile or the caller does, else
    `max_completion_tokens`; one that the server refuses is said by the other name)."""
    structured_output: StructuredOutput | None = None
    """What the server can be asked for (default: as its profile says, else `json_schema`): `tool`
    is a call that the model is forced to make (Anthropic). Tollway validates in any case."""
    price: Price | None = None
    """What tokens cost; absent means that cost is unknown, never zero."""
    prices: Annotated[tuple[DatedPrice, ...], Field(strict=False)] = ()
    """What they cost from later dates on: each holds until the next, `price` until the first."""


class ProviderSettings(CallSettings):
    """`[providers.<name>]`: an account at an API."""

    protocol: Annotated[str, Field(min_length=1, max_length=64)] = "openai"
    """The wire format it speaks: `openai` (chat completions), `responses`, `anthropic` (messages),
    `gemini` (generateContent), or the name of an entry point in the group `tollway.protocols`."""
    profile: ProfileName | None = None
    """Whose server it is, which sets what differs between them (default: by its address)."""
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    """Address that the protocol's paths are added to, such as `https://host/v1`."""
    api_key: SecretReference | None = None
    """Its key, by reference; none for a server that asks for none."""
    headers: dict[str, str] = Field(default_factory=dict)
    """More headers for every call. No secrets here: `config show` prints them."""
    proxy: str | None = None
    """Address of an HTTP proxy."""
    ca_file: str | None = None
    """PEM file of a certificate authority besides the system's own."""


class LimitSettings(Section):
    """What an account allows; each limit holds for all workers of the fleet together."""

    concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Most calls in flight."""
    requests_per_minute: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Most calls a minute."""
    tokens_per_minute: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Most tokens a minute, counted by the lane's `token_rule`."""
    input_tokens_per_minute: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Most prompt tokens a minute, where the provider counts them apart (Anthropic)."""
    output_tokens_per_minute: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Most answer tokens a minute, where the provider counts them apart (Anthropic)."""
    requests_per_day: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Most calls in 24 hours; a quarter of them may be made at once."""
    tokens_per_day: Annotated[float, Field(gt=0, le=1e15)] | None = None
    """Most tokens in 24 hours, counted by the lane's `token_rule`; a quarter of them may be spent
    at once."""
    burst: Annotated[float, Field(gt=0, le=30)] | None = None
    """Seconds of a rate by the minute that may be spent at once (default 3); one call of the
    largest size may be spent in any case."""
    largest_request: Annotated[float, Field(ge=1, le=1e9)] | None = None
    """Tokens of the largest call; a larger one is refused. The steady rate gives way to it: what
    shards may spend at once is taken from the limit."""
    strict_concurrency: bool | None = None
    """Whether the slots of a worker that crashed stay empty for `call_timeout`: its calls may still
    run at the provider (default: they are used, and `concurrency` may be passed meanwhile)."""
    shards: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Parts that it is divided into, each for one worker: the most workers that it can have."""

    @property
    def given(self) -> bool:
        """Whether there is any limit."""
        return any(getattr(self, name) is not None for name in LIMITS)


#: The limits themselves, among the settings that say how they are kept.
LIMITS = (
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "input_tokens_per_minute",
    "output_tokens_per_minute",
    "requests_per_day",
    "tokens_per_day",
)


class LaneSettings(CallSettings, LimitSettings):
    """`[lanes.<name>]`: one provider and model with its limits, for the whole fleet."""

    provider: str
    """Name of a `[providers.<name>]`."""
    model: Annotated[str, Field(min_length=1)]
    """The model in the provider's word."""
    token_rule: TokenRule | None = None
    """What a call charges: the larger of prompt and answer limit (OpenAI), their sum (Azure, Groq),
    or the prompt alone (Gemini). Default: as the provider's profile says."""
    tokenizer: Annotated[str, Field(min_length=1)] | None = None
    """Path of the model's `tokenizer.json`, by which prompts are counted (default: estimated)."""
    max_output_tokens: Annotated[int, Field(gt=0, le=2**31 - 1)] | None = None
    """Most tokens of an answer, sent where a job names no limit (default: none is sent). A lane
    that serves budgeted jobs needs it."""
    image_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = DEFAULT_IMAGE_TOKENS
    """Prompt tokens that an image may cost at most: what a budgeted call claims for it."""
    tool_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = DEFAULT_TOOL_TOKENS
    """Prompt tokens that the provider may add at most for tools and for a schema: what a budgeted
    call with either claims besides their texts."""
    limit_group: str | None = None
    """Name of a `[limit_groups.<name>]`, where the provider counts several lanes together."""
    breaker: BreakerSettings = BreakerSettings()
    """When it counts as broken, and how it comes back."""


class LimitGroupSettings(LimitSettings):
    """`[limit_groups.<name>]`: lanes that their provider counts together, and what it allows them
    together. Their own limits hold besides."""
