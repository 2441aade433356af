"""The account whose limits are judged: two lanes that its provider counts together, and their work.

Calls of one lane are small, so that requests bind; those of the other are as large as may be.
"""

import tomllib
from datetime import datetime
from typing import Literal

from traffic import job

from tollway_schemas.job import Job
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.contract import RateLimit
from tollway_workers.config.shape.groups import contract_of, limit_groups

#: What binds: it is the name of the lane too, whose calls have it bind.
Binding = Literal["requests", "tokens"]

SHARDS = 4
_LARGEST = 3_600
#: The answers' limits in turn: by the provider's rule they are what a call costs.
_SIZES: dict[Binding, tuple[int, ...]] = {
    "requests": (64,),
    "tokens": (_LARGEST, _LARGEST // 4, _LARGEST // 2, _LARGEST * 3 // 4),
}
LANES = f"""
[limit_groups.account]
requests_per_minute = 1200
tokens_per_minute = 480000
# Few calls fit into a slice, so that its use can be told from a minute's calls to a percent.
burst = 1.5
largest_request = {_LARGEST}
shards = {SHARDS}
""" + "".join(
    f"""
[lanes.{binding}]
limit_group = "account"
provider = "simulator"
model = "{binding}"
[routes.{binding}]
lanes = ["{binding}"]
journal = "off"
"""
    for binding in _SIZES
)


def _rates() -> dict[Binding, RateLimit]:
    """The limits as the product keeps them."""
    document = tomllib.loads(LANES)
    document["providers"] = {"simulator": {"base_url": "http://127.0.0.1:1/v1"}}
    settings = build_fleet(document, source="account.py", environ={})
    (group,) = limit_groups(settings)
    requests, tokens = contract_of(group, settings).rates
    return {"requests": requests, "tokens": tokens}


RATES = _rates()


def work(binding: Binding, seconds: float, until: datetime) -> list[Job]:
    """Jobs of one lane for so many seconds of its limit. What is left is expired at `until`."""
    sizes = _SIZES[binding]
    units = 1.0 if binding == "requests" else sum(sizes) / len(sizes)
    count = int(seconds * RATES[binding].rate(SHARDS) * SHARDS / units)
    return [
        _sized(job(f"{binding}-{number:05}", binding), sizes[number % len(sizes)], until)
        for number in range(count)
    ]


def _sized(made: Job, size: int, until: datetime) -> Job:
    request = made.request.model_copy(update={"max_output_tokens": size})
    return made.model_copy(update={"request": request, "deadline": until})


def waiting_level(binding: Binding) -> float:
    """Units that a worker holds on average while its next call waits for more: from nothing to what
    the call takes, for as long as that takes to come."""
    sizes = _SIZES[binding] if binding == "tokens" else (1,)
    return sum(size * size for size in sizes) / (2.0 * sum(sizes))
