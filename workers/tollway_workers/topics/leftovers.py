"""Topics of routes, lanes and retries that the configuration no longer has. Pure.

No worker reads them any more: unfinished jobs in them would be deleted by retention.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tollway_schemas.job import Priority
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigMistake
from tollway_workers.topics.specs import wanted_topics

_PRIORITIES = "|".join(priority.value for priority in Priority)
_TIERS = "retry.tiers"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A topic that no worker reads any more."""

    topic: str
    #: What it belonged to: `routes.extract`, `lanes.fast` or `retry.tiers`.
    key: str


def leftovers(settings: FleetSettings, existing: Iterable[str]) -> tuple[Leftover, ...]:
    """Those of the topics that exist which are of nothing that is configured."""
    prefix = re.escape(settings.kafka.prefix)
    pattern = re.compile(
        rf"{prefix}\.(?:jobs\.(?P<route>[a-z0-9-]+)\.(?:{_PRIORITIES})"
        rf"|lanes\.(?P<lane>[a-z0-9-]+)\.(?:{_PRIORITIES})|retry\.\d+[smh])"
    )
    wanted = {spec.name for spec in wanted_topics(settings)}
    matches = filter(None, map(pattern.fullmatch, sorted(set(existing) - wanted)))
    return tuple(Leftover(match[0], _key(match)) for match in matches)


def refusals(left: Iterable[Leftover], unfinished: Mapping[str, int]) -> Iterator[ConfigMistake]:
    """Why routes and lanes may not go yet; `unfinished` counts jobs by topic."""
    for each in left:
        if number := unfinished.get(each.topic, 0):
            yield ConfigMistake(
                key=each.key,
                problem=f"{_gone(each)}, and {each.topic} holds {number:,} unfinished job(s) that "
                "no worker would read",
                remedy=f"{_how_to_keep(each)} until there are none; or give them up: delete the "
                "topic",
            )


def remarks(left: Iterable[Leftover], unfinished: Mapping[str, int]) -> Iterator[str]:
    """What may be deleted."""
    for each in left:
        if not unfinished.get(each.topic, 0):
            yield (
                f"{each.topic} holds no unfinished job and {each.key} {_gone(each)}: "
                "it can be deleted"
            )


def _key(match: re.Match[str]) -> str:
    if match["route"]:
        return f"routes.{match['route']}"
    return f"lanes.{match['lane']}" if match["lane"] else _TIERS


def _gone(left: Leftover) -> str:
    return "lacks its delay" if left.key == _TIERS else "is gone"


def _how_to_keep(left: Leftover) -> str:
    if left.key.startswith("lanes."):
        return "keep it in no route, so that workers forward what it holds,"
    return "keep it"
