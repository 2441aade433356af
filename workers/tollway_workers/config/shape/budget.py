"""`[budgets.<name>]`: what the fleet may spend, however many workers there are."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from tollway_schemas.usage import MOST_TOKENS, Usd, pico_usd
from tollway_workers.config.shape.model import Section, Texts

#: How long a budget lasts: by UTC; a week begins on Monday. `run`: for the jobs of one run.
Per = Literal["hour", "day", "week", "month", "total", "run"]
#: What becomes of a job that its budget has no money for.
OnExceeded = Literal["wait", "fallback", "fail"]


class BudgetSettings(Section):
    """`[budgets.<name>]`: a sum that calls can never pass, and which calls draw from it."""

    usd: Annotated[Usd, Field(gt=0, strict=False)] | None = None
    """US dollars. Either this or `tokens`."""
    tokens: Annotated[int, Field(gt=0, le=MOST_TOKENS)] | None = None
    """Tokens, of prompts and answers together."""
    per: Per
    """How long it lasts: `hour`, `day`, `week` (from Monday) or `month`, by UTC and Kafka's clock;
    `total`, for ever; `run`: each run has one of its own (jobs without a run share one)."""
    tenants: Texts = ()
    """Only calls for these tenants draw from it (default: for everybody)."""
    routes: Texts = ()
    """Only calls of these routes (default: of all)."""
    lanes: Texts = ()
    """Only calls on these lanes (default: on all)."""
    each: Literal["tenant"] | None = None
    """`tenant`: each tenant that a route is bound to has a budget of its own of this size; jobs of
    other routes, whatever tenant they name, share one. Default: all share one."""
    on_exceeded: OnExceeded = "wait"
    """What becomes of a job for which nothing is left: it waits in a retry topic until the window
    turns, and fails at once where that is behind its deadline (`wait`); it goes to the next lane of
    its route that it can pay for, then to the route's rule, and else it waits (`fallback`); a
    failure reply of the class `budget_exceeded` (`fail`)."""
    alert_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The part of it at which the alert rule fires."""

    @property
    def limit(self) -> int:
        """Pico-USD, or tokens."""
        return pico_usd(self.usd or Decimal(0)) if self.tokens is None else self.tokens
