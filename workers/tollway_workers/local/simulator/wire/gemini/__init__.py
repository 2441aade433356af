"""Gemini's generateContent."""

from tollway_workers.local.simulator.ask import Ask
from tollway_workers.local.simulator.prompt_cache import CacheUse
from tollway_workers.local.simulator.rates import Charge
from tollway_workers.local.simulator.wire.dialect import Dialect
from tollway_workers.local.simulator.wire.gemini.errors import limits, refuse
from tollway_workers.local.simulator.wire.gemini.read import key, read
from tollway_workers.local.simulator.wire.gemini.say import body, broken, events, headers


def charge(ask: Ask, _cache: CacheUse) -> Charge:
    """The prompt, whatever is cached of it."""
    return Charge(tokens=ask.prompt_tokens, of_input=True, may_be_too_large=False)


GEMINI = Dialect(
    name="gemini",
    base="/v1beta",
    key=key,
    read=read,
    charge=charge,
    caches_unasked=True,
    refuse=refuse,
    limits=limits,
    headers=headers,
    body=body,
    events=events,
    broken=broken,
)
