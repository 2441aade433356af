"""Anthropic's Messages."""

from tollway_workers.local.simulator.ask import Ask
from tollway_workers.local.simulator.prompt_cache import CacheUse
from tollway_workers.local.simulator.rates import Charge
from tollway_workers.local.simulator.wire.anthropic.errors import limits, refuse
from tollway_workers.local.simulator.wire.anthropic.read import key, read
from tollway_workers.local.simulator.wire.anthropic.say import body, broken, events, headers
from tollway_workers.local.simulator.wire.dialect import Dialect


def charge(ask: Ask, cache: CacheUse) -> Charge:
    """The prompt but for what is read from the cache; the answer counts as it comes."""
    return Charge(
        tokens=ask.prompt_tokens - cache.read, of_input=True, of_output=True, may_be_too_large=False
    )


ANTHROPIC = Dialect(
    name="anthropic",
    base="/v1",
    key=key,
    read=read,
    charge=charge,
    caches_unasked=False,
    refuse=refuse,
    limits=limits,
    headers=headers,
    body=body,
    events=events,
    broken=broken,
)
