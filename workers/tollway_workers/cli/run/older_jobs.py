"""Jobs of earlier runs that lie before ours on the same topics: they are answered first."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from tollway_schemas import TopicNames, headers
from tollway_workers.app.connection import client_options
from tollway_workers.cli.shared.output import count, on_one_line
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.group.unfinished import read_unfinished, unfinished_spans
from tollway_workers.ownership.partition import Partition

#: Records that are looked at; more are as good as that many.
_MOST = 20_000
#: Seconds between two looks at how many are left.
_LOOK = 5.0
#: Runs that are named.
_MOST_NAMED = 3


class OlderJobs:
    """Says how many jobs of others are before those of a run, until there are none.

    Mutable state: where they lie.
    """

    def __init__(
        self, kafka: KafkaSettings, topics: Sequence[str], run: str, tell: Callable[[str], None]
    ) -> None:
        """`topics`: those of jobs that the run's workers read."""
        self._client = client_options(kafka)
        self._group = TopicNames(kafka.prefix).worker_group
        self._topics = topics
        self._run = run
        self._tell = tell
        self._at: list[tuple[Partition, int]] = []

    async def tell_until_done(self) -> None:
        """Cancelled: at once."""
        try:
            runs = await self._find()
            if not runs:
                return
            named = ", ".join(map(on_one_line, list(runs)[:_MOST_NAMED]))
            self._tell(
                f"{count(len(self._at), 'older job')} of run {named} asked the same models and "
                "are answered first (give one up: tollway cancel --run ID)"
            )
            while left := await self._left():
                self._tell(f"{count(left, 'older job')} left before those of this run")
                await asyncio.sleep(_LOOK)
            self._tell("the older jobs are done")
        except BrokerUnavailable as error:
            self._tell(f"cannot count the older jobs that are answered first: {error}")

    async def _find(self) -> Counter[str]:
        runs: Counter[str] = Counter()
        for record in await read_unfinished(self._client, self._group, self._topics, _MOST):
            run = headers.get(record.headers, headers.RUN)
            if run != self._run:
                runs[run or "none"] += 1
                self._at.append((record.partition, record.offset))
        return runs

    async def _left(self) -> int:
        spans = await unfinished_spans(self._client, self._group, self._topics)
        return sum(
            partition in spans and offset in spans[partition] for partition, offset in self._at
        )
