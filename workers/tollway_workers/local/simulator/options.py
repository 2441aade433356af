"""What a simulator is told before it starts."""

from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tollway_schemas.usage import Usage
from tollway_workers.local.simulator.bill import ListPrice, UsdPerMillion, bill
from tollway_workers.local.simulator.faults import Fault
from tollway_workers.local.simulator.latency import LatencyProfile
from tollway_workers.local.simulator.overload import Overload
from tollway_workers.local.simulator.tokens import TokenRule

Positive = Annotated[float, Field(gt=0)]


class SimulatorOptions(BaseModel):
    """Frozen; every field has a default: an instant provider without limits or faults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port to listen on; 0 takes a free one."""
    seed: int = 0
    """Chooses answers, latencies and the calls that meet a share's faults."""
    models: tuple[str, ...] = ()
    """Models it knows, any other is a 404; none means that it knows all."""
    required_key: SecretStr | None = None
    """The key that calls must bear; none means that it asks for none."""

    answers: dict[str, Any] = Field(default_factory=dict)
    """Answers by job id, or by what follows a `/` or `:` in it: text, or JSON to be written."""
    answers_per_schema: Annotated[int, Field(ge=1, le=1000)] = 8
    """How many different answers it makes for one schema."""
    tool_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the jobs that may have tools called, and need not, whose answer is calls."""
    faults: tuple[Fault, ...] = ()
    """What goes wrong; the first that fits a call is the one it meets."""
    overload: Overload | None = None
    """What the server bears after an outage; none means all."""
    latency: LatencyProfile = LatencyProfile()
    """How long it thinks, how fast it speaks."""
    latency_scale: Annotated[float, Field(ge=0)] = 1.0
    """Multiplies all latencies; 0 is at once."""

    requests_per_minute: Positive | None = None
    """Requests a window, for each source and model."""
    tokens_per_minute: Positive | None = None
    """Tokens a window, for each source and model."""
    input_tokens_per_minute: Positive | None = None
    """Prompt tokens a window, where a protocol counts those apart; none: as `tokens_per_minute`."""
    output_tokens_per_minute: Positive | None = None
    """Answer tokens a window, where a protocol counts those apart."""
    window_seconds: Positive = 60.0
    """The window of these limits, for tests that cannot wait a minute."""
    burst_seconds: Positive | None = None
    """How many seconds of the rate may be spent at once; none means a whole window."""
    rate_headers: bool = True
    """Whether answers say what is left of the limits, and refusals when to come again."""
    shared_limits: bool = False
    """One limit for all models of a source, not one for each."""
    max_concurrent: Annotated[int, Field(ge=1)] | None = None
    """Most calls of a source at once; more are refused."""
    over_concurrency_status: Literal[429, 503] = 429
    """How they are refused."""
    quota_usd: UsdPerMillion | None = None
    """What a source may spend; after that every call is `insufficient_quota`. 0 is at once."""

    token_rule: TokenRule = "characters"  # noqa: S105 - these tokens are no passwords
    """How it counts tokens: four `characters` each, or `pieces`, as encoders cut words, digits and
    signs. Neither is what Tollway estimates by."""

    price_in: UsdPerMillion = Decimal("0.15")
    """US dollars for a million prompt tokens."""
    price_out: UsdPerMillion = Decimal("0.60")
    """US dollars for a million answer tokens."""
    prices: tuple[ListPrice, ...] = ()
    """A price list by kind of token; the first that is for a call's model holds, else the two above
    for all kinds."""
    calls_file: Path | None = None
    """Where the books are also written as JSON lines, and continued from."""

    def cost_pico_usd(self, model: str, usage: Usage) -> int:
        """What a call costs, exactly."""
        fits = (price for price in self.prices if not price.models or model in price.models)
        return bill(usage, next(fits, self._flat))

    @cached_property
    def _flat(self) -> ListPrice:
        """The price of all that the list says nothing of: whatever kind a prompt's tokens are."""
        return ListPrice(
            input=self.price_in,
            cached_read=self.price_in,
            cache_write_5m=self.price_in,
            cache_write_1h=self.price_in,
            output=self.price_out,
        )
