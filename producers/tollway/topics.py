"""Which topics there are: asked before the first record, because aiokafka would wait for a topic
that does not exist, and might have the broker create it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tollway.errors import UnknownTopic

#: Seconds that a topic made a moment ago may take to show.
_PATIENCE = 2.0
_PAUSE = 0.1

#: What a service should do, given the topics that do exist.
Advice = Callable[[set[str]], str]


class KnownTopics:
    """The partitions of topics that were seen to exist; one look-up a topic, shared by all."""

    def __init__(self, fetch_metadata: Callable[[], Awaitable[Any]]) -> None:
        self._fetch_metadata = fetch_metadata
        self._look_ups: dict[str, asyncio.Task[frozenset[int]]] = {}

    async def partitions(self, topic: str, advice: Advice) -> frozenset[int]:
        """The topic's partitions. Raises UnknownTopic, or what the metadata request raises."""
        look_up = self._look_ups.get(topic)
        if look_up is None:
            look_up = asyncio.create_task(self._look_up(topic, advice))
            self._look_ups[topic] = look_up
            look_up.add_done_callback(lambda task: self._forget_failure(topic, task))
        return await asyncio.shield(look_up)

    async def stop(self) -> None:
        """End look-ups that are under way."""
        for task in list(self._look_ups.values()):
            task.cancel()
        await asyncio.gather(*self._look_ups.values(), return_exceptions=True)

    async def _look_up(self, topic: str, advice: Advice) -> frozenset[int]:
        give_up = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            metadata = await self._fetch_metadata()
            partitions = metadata.partitions_for_topic(topic)
            if partitions:
                return frozenset(partitions)
            if asyncio.get_running_loop().time() > give_up:
                raise UnknownTopic(topic, advice(metadata.topics()))
            await asyncio.sleep(_PAUSE)

    def _forget_failure(self, topic: str, task: asyncio.Task[frozenset[int]]) -> None:
        if task.cancelled() or task.exception() is not None:
            del self._look_ups[topic]


def advice_for_route(prefix: str) -> Advice:
    """For a job topic: names the routes that do have topics."""

    def advise(topics: set[str]) -> str:
        start = f"{prefix}.jobs."
        routes = sorted(
            {name[len(start) :].rpartition(".")[0] for name in topics if name.startswith(start)}
        )
        if not routes:
            return f"no route has topics under the prefix {prefix!r}; run `tollway topics apply`"
        return (
            f"the route may be misspelt (there are {', '.join(routes)}), or "
            "`tollway topics apply` was not run for it"
        )

    return advise


def advice_for_replies(topics: set[str]) -> str:
    """For a reply topic."""
    return "run `tollway topics apply`, or name a topic of your own as `reply_topic`"
