"""A topic that is read once, as it grows: what tests wait for records with."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from eventually import PATIENCE

from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader


class TopicTail:
    """Everything that one topic holds. `start` before use; one caller at a time."""

    def __init__(self, client: Mapping[str, Any], topic: str) -> None:
        self.topic = topic
        self.found: list[LoggedRecord] = []
        self._reader = LogReader(client)

    async def start(self) -> None:
        await self._reader.start()
        ends = await self._reader.ends([self.topic])
        self._reader.follow(dict.fromkeys(ends, 0))

    async def stop(self) -> None:
        await self._reader.stop()

    async def until(
        self, enough: Callable[[list[LoggedRecord]], bool], seconds: float = PATIENCE
    ) -> list[LoggedRecord]:
        """All records, once they are enough; else TimeoutError after so many seconds."""
        until = time.monotonic() + seconds
        while not enough(self.found):
            if time.monotonic() > until:
                raise TimeoutError(
                    f"{self.topic}: {len(self.found)} records in {seconds:.0f} s are not enough"
                )
            self.found += await self._reader.read()
        return list(self.found)
