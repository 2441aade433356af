"""`[providers.*]`, `[lanes.*]` and `[limit_groups.*]`: accounts, models, and their limits."""

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.config.model import Section
from tollway_workers.config.secret import SecretReference

#: Dollars per million tokens times this is pico-USD per token.
_PICO_PER_TOKEN = PICO_PER_USD // 1_000_000

#: How a provider counts the tokens of a call against its limit.
TokenRule = Literal["openai_max", "sum", "input"]

#: Six decimals are a whole number of pico-USD per token.
UsdPerMillion = Annotated[
    Decimal, Field(ge=0, le=1_000_000, max_digits=18, decimal_places=6, strict=False)
]


class Price(Section):
    """What a lane's tokens cost, in US dollars per million tokens."""

    input: UsdPerMillion
    """Prompt tokens."""
    output: UsdPerMillion
    """Answer tokens, reasoning included."""
    cached_input: UsdPerMillion | None = None
    """Prompt tokens read from the provider's cache; as `input` if absent."""

    @cached_property
    def pico_per_token(self) -> tuple[int, int, int]:
        """Pico-USD of one input, one cached input and one output token."""
        cached = self.input if self.cached_input is None else self.cached_input
        return (
            int(self.input * _PICO_PER_TOKEN),
            int(cached * _PICO_PER_TOKEN),
            int(self.output * _PICO_PER_TOKEN),
        )


class CallSettings(Section):
    """How calls are made: given for a lane, else for its provider, else the defaults below."""

    call_timeout: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Seconds for a whole call (default 120)."""
    connect_timeout: Annotated[float, Field(gt=0, le=120)] | None = None
    """Seconds to connect (default 5)."""
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] | None = None
    """What the server calls the answer's limit (default `max_completion_tokens`)."""
    structured_output: Literal["json_schema", "json_object", "none"] | None = None
    """What the server can be asked for (default `json_schema`); Tollway validates in any case."""
    price: Price | None = None
    """What tokens cost; absent means that cost is unknown, never zero."""


class ProviderSettings(CallSettings):
    """`[providers.<name>]`: an account at an API."""

    protocol: Literal["openai"] = "openai"
    """The wire format it speaks."""
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


class LaneSettings(CallSettings):
    """`[lanes.<name>]`: one provider and model with its limits, for all workers of one command."""

    provider: str
    """Name of a `[providers.<name>]`."""
    model: Annotated[str, Field(min_length=1)]
    """The model in the provider's word."""
    concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Most calls in flight."""
    requests_per_minute: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Most calls a minute."""
    tokens_per_minute: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Most tokens a minute, counted by `token_rule`."""
    token_rule: TokenRule = "openai_max"  # noqa: S105 - these tokens are no passwords
    """What a call charges: the larger of prompt and answer limit (OpenAI), their sum (Azure, Groq),
    or the prompt alone (Gemini)."""
    burst: Annotated[float, Field(gt=0, le=60)] = 6.0
    """Seconds of the rate that may be spent at once."""
    limit_group: str | None = None
    """Name of a `[limit_groups.<name>]`, where the provider counts several lanes together."""
    shards: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Parts that the lane is divided into, each for one worker: the most workers it can have."""

    @model_validator(mode="after")
    def _some_limit(self) -> "LaneSettings":
        if self.concurrency is self.requests_per_minute is self.tokens_per_minute is None:
            raise ValueError(
                "has no limit, and a lane without any does not start; "
                "give concurrency, requests_per_minute or tokens_per_minute"
            )
        return self


class LimitGroupSettings(Section):
    """`[limit_groups.<name>]`: lanes that their provider counts together."""

    shards: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Parts that the group is divided into, each for one worker: the most workers it can have."""
