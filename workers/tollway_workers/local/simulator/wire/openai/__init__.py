"""OpenAI's chat completions."""

from tollway_workers.local.simulator.ask import Ask
from tollway_workers.local.simulator.prompt_cache import CacheUse
from tollway_workers.local.simulator.rates import Charge
from tollway_workers.local.simulator.wire.dialect import Dialect
from tollway_workers.local.simulator.wire.openai.errors import limits, refuse
from tollway_workers.local.simulator.wire.openai.read import bearer, read
from tollway_workers.local.simulator.wire.openai.say import body, broken, events, headers


def charge(ask: Ask, _cache: CacheUse) -> Charge:
    """The larger of prompt and answer limit, whatever is cached."""
    return Charge(tokens=ask.charge)


OPENAI = Dialect(
    name="openai",
    base="/v1",
    key=bearer,
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
