"""OpenAI's embeddings: the account, the limits and the errors are those of chat completions."""

from dataclasses import replace

from tollway_workers.local.simulator.ask import Ask
from tollway_workers.local.simulator.prompt_cache import CacheUse
from tollway_workers.local.simulator.rates import Charge
from tollway_workers.local.simulator.wire.embeddings.read import read
from tollway_workers.local.simulator.wire.embeddings.say import body, broken, events, refuse
from tollway_workers.local.simulator.wire.openai import OPENAI


def charge(ask: Ask, _cache: CacheUse) -> Charge:
    """The texts alone."""
    return Charge(tokens=ask.prompt_tokens)


EMBEDDINGS = replace(
    OPENAI,
    name="embeddings",
    read=read,
    charge=charge,
    caches_unasked=False,
    refuse=refuse,
    body=body,
    events=events,
    broken=broken,
)
