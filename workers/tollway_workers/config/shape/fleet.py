"""The whole configuration of a fleet, and what a worker needs of it."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from tollway_workers.config.shape.breaker import BreakerSettings
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.embedder import EmbedderSettings
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.config.shape.model import Name, Section
from tollway_workers.config.shape.price import PriceList, price_list
from tollway_workers.config.shape.profiles import (
    UNKNOWN,
    LimitField,
    Profile,
    StructuredOutput,
    TokenRule,
    profile_of,
)
from tollway_workers.config.shape.protocols import answers_in_tokens
from tollway_workers.config.shape.provider import (
    DEFAULT_IMAGE_TOKENS,
    DEFAULT_TOOL_TOKENS,
    LaneSettings,
    LimitGroupSettings,
    LimitSettings,
    ProviderSettings,
    StreamMode,
)
from tollway_workers.config.shape.retry import RetryTopicSettings
from tollway_workers.config.shape.route import RouteSettings

#: As jobs name them.
TenantName = Annotated[str, Field(min_length=1, max_length=128)]

DEFAULT_CALL_TIMEOUT = 120.0
DEFAULT_CONNECT_TIMEOUT = 5.0
DEFAULT_IDLE_TIMEOUT = 30.0
#: Parts of the call's timeout.
_FIRST_TOKEN_PART = 0.5
_SLOW_PART = 0.25
#: Tokens of an answer that has none, as a limit: it is in no body of a call.
_NO_ANSWER = 1


class WorkerSettings(Section):
    """`[worker]`: one process of the fleet."""

    drain_timeout: Annotated[float, Field(gt=0, le=3600)] = 150.0
    """Seconds that a worker told to stop goes on with the calls it has in flight."""
    memory_mib: Annotated[int, Field(ge=16)] = 512
    """Mebibytes of jobs that may be in memory, divided by the lanes; a topic is not read while it
    holds as much as its lane has left."""
    bulk_floor: Annotated[float, Field(ge=0, le=0.9)] = 0.05
    """The part of a lane that bulk jobs get at least while interactive ones go first."""
    cache_folder: str | None = None
    """Where workers keep their copies of stored answers, each in a folder of its own by prefix and
    instance id. Default: `tollway` in the user's cache folder, or else in the temporary one."""
    cache_mib: Annotated[int, Field(ge=16, le=1_048_576)] | None = None
    """Mebibytes of one worker's copy of stored answers; the oldest go where it is full. Default:
    2560, but no more than a quarter of the file system that it lies on."""


class TenantSettings(Section):
    """`[tenants.<name>]`: somebody whom jobs are for."""

    weight: Annotated[float, Field(gt=0, le=1_000)] = 1.0
    """Its part of a lane, against the weights of the others that wait."""


class TelemetrySettings(Section):
    """`[telemetry]`: logs, metrics and health."""

    host: str = "127.0.0.1"
    """Address that `/metrics`, `/healthz` and `/readyz` listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Their port: 0 takes a free one, absent means none of them."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""


class FleetSettings(Section):
    """The whole file."""

    kafka: KafkaSettings = KafkaSettings()
    worker: WorkerSettings = WorkerSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    retry: RetryTopicSettings = RetryTopicSettings()
    providers: dict[Name, ProviderSettings] = Field(default_factory=dict)
    limit_groups: dict[Name, LimitGroupSettings] = Field(default_factory=dict)
    lanes: dict[Name, LaneSettings] = Field(default_factory=dict)
    tenants: dict[TenantName, TenantSettings] = Field(default_factory=dict)
    routes: dict[Name, RouteSettings] = Field(default_factory=dict)
    budgets: dict[Name, BudgetSettings] = Field(default_factory=dict)
    embedders: dict[Name, EmbedderSettings] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneConfig:
    """A lane with its provider's defaults merged in: nothing about it is absent by accident."""

    name: str
    provider_name: str
    model: str
    #: The lane's own; those of its group hold besides.
    limits: LimitSettings
    token_rule: TokenRule
    #: Seconds.
    call_timeout: float
    connect_timeout: float
    #: None: as the caller calls it.
    max_tokens_field: LimitField | None
    structured_output: StructuredOutput
    #: What calls cost, at each instant; nobody knows where there is no price.
    prices: PriceList = field(default_factory=PriceList)
    #: Answer limit that is sent where a job names none; None: the provider's own.
    max_output_tokens: int | None = None
    #: What a call may be charged beyond its texts, for an image and for tools.
    image_tokens: int = DEFAULT_IMAGE_TOKENS
    tool_tokens: int = DEFAULT_TOOL_TOKENS
    #: Path of a tokenizer.json; None: prompts are estimated.
    tokenizer: str | None = None
    stream: StreamMode = "auto"
    #: Seconds until a stream's first token, and between those of any answer.
    first_token_timeout: float = DEFAULT_CALL_TIMEOUT * _FIRST_TOKEN_PART
    idle_timeout: float = DEFAULT_IDLE_TIMEOUT
    #: Seconds without a token after which a call counts as slow.
    slow_after: float = DEFAULT_CALL_TIMEOUT * _SLOW_PART
    #: The wire format of its provider, and the headers that are configured for it.
    protocol: str = "openai"
    headers: tuple[tuple[str, str], ...] = ()
    #: How its provider's server differs from others of its protocol.
    profile: Profile = UNKNOWN
    breaker: BreakerSettings = field(default_factory=BreakerSettings)


def resolve_lane(name: str, settings: FleetSettings) -> LaneConfig:
    """The lane `name` with what it leaves open taken from its provider, then from our defaults."""
    lane = settings.lanes[name]
    provider = settings.providers[lane.provider]
    profile = profile_of(provider.profile, provider.base_url, provider.protocol)
    in_tokens = answers_in_tokens(provider.protocol)
    priced = lane if lane.price is not None or lane.prices else provider
    call_timeout = lane.call_timeout or provider.call_timeout or DEFAULT_CALL_TIMEOUT
    return LaneConfig(
        name=name,
        provider_name=lane.provider,
        model=lane.model,
        limits=LimitSettings(**{name: getattr(lane, name) for name in LimitSettings.model_fields}),
        token_rule=lane.token_rule or ("input" if not in_tokens else profile.token_rule),
        call_timeout=call_timeout,
        connect_timeout=lane.connect_timeout or provider.connect_timeout or DEFAULT_CONNECT_TIMEOUT,
        max_tokens_field=lane.max_tokens_field or provider.max_tokens_field or profile.limit_field,
        structured_output=lane.structured_output
        or provider.structured_output
        or profile.structured_output,
        # A lane that gives any price of its own has no other.
        prices=price_list(priced.price, priced.prices),
        max_output_tokens=lane.max_output_tokens or (None if in_tokens else _NO_ANSWER),
        image_tokens=lane.image_tokens,
        tool_tokens=lane.tool_tokens,
        tokenizer=lane.tokenizer,
        stream=lane.stream or provider.stream or "auto",
        first_token_timeout=lane.first_token_timeout
        or provider.first_token_timeout
        or call_timeout * _FIRST_TOKEN_PART,
        idle_timeout=lane.idle_timeout
        or provider.idle_timeout
        or min(DEFAULT_IDLE_TIMEOUT, call_timeout),
        slow_after=lane.slow_after or provider.slow_after or call_timeout * _SLOW_PART,
        protocol=provider.protocol,
        headers=tuple(provider.headers.items()),
        profile=profile,
        breaker=lane.breaker,
    )
