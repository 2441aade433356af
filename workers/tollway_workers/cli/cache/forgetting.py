"""`tollway cache forget`: a mark to every partition, and waiting until every worker applied it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from tollway_schemas.cache import Forget
from tollway_schemas.topics import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.cli.fleet.view import FleetView
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.talk.cache_marks import WrittenMarks, write_mark
from tollway_workers.kafka.talk.heartbeats import HeartbeatReader
from tollway_workers.lanes.live_beats import LIVE, Heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """Which live workers have applied a mark."""

    mark: Forget
    waited: bool = True
    #: Those that give no stored answer of what it names any more.
    applied: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()
    #: Those that give no stored answers at all at this moment.
    without_answers: tuple[str, ...] = ()


async def forget(kafka: KafkaSettings, mark: Forget, patience: float | None) -> Forgotten:
    """Write it; who has applied it after `patience` seconds at most (None: nobody is asked).

    Raises BrokerUnavailable.
    """
    quieten_client_logs()
    client, names = client_options(kafka), TopicNames(kafka.prefix)
    written = await write_mark(client, names.cache, mark)
    if patience is None:
        return Forgotten(mark=mark, waited=False)
    began = time.monotonic()
    reader, view = HeartbeatReader(client, names.heartbeats), FleetView()
    try:
        for heard in await reader.start(LIVE, written.at):
            view.hear(*heard)
        while True:
            last = [heard[-1] for heard in view.alive(reader.now)]
            found = judged(mark, written, last)
            if not found.not_applied or time.monotonic() - began > patience:
                return found
            for heard in await reader.read():
                view.hear(*heard)
    finally:
        await reader.stop()


def judged(mark: Forget, written: WrittenMarks, last: Iterable[Heard]) -> Forgotten:
    """What the last heartbeats say of a mark. One from before it says nothing of it."""
    applied, late, without = [], [], []
    for heard in last:
        cache, worker = heard.beat.cache, heard.beat.worker
        if heard.at < written.at:
            late.append(worker)
        elif cache is None:
            without.append(worker)
        elif _is_behind(cache, written.offsets):
            late.append(worker)
        else:
            applied.append(worker)
    return Forgotten(
        mark=mark,
        applied=tuple(applied),
        not_applied=tuple(late),
        without_answers=tuple(without),
    )


def _is_behind(cache: tuple[int, ...], offsets: dict[int, int]) -> bool:
    # A partition that it does not read gives it no answer.
    return any(cache[number] <= at for number, at in offsets.items() if number < len(cache))
