"""A worker's part of the cache that all workers share by its topic: its copy and its writer."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from tollway_schemas.codec import encode
from tollway_schemas.semantic import Observations
from tollway_schemas.topics import TopicNames
from tollway_workers.cache.database import remove_unused
from tollway_workers.cache.forgotten import Spoken
from tollway_workers.cache.kept import Kept
from tollway_workers.cache.materialise import CopySettings, CopyState, Materialiser
from tollway_workers.cache.ports import Found
from tollway_workers.cache.semantic.similar import SimilarPrompts
from tollway_workers.clock import Clock
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.kafka.produce.cache_writer import CacheWriter, cache_topic
from tollway_workers.kafka.read.log_reader import LogReader, cluster_id
from tollway_workers.plain_name import plain_name
from tollway_workers.topics.specs import CACHE_DELETES_KEPT, caches, largest_record

log = structlog.get_logger(__name__)

#: Seconds that a worker waits for its copy before it takes jobs, at most.
_CATCHES_UP = 5.0
#: Seconds for which what is observed of one answer is gathered: others use it within two.
_OBSERVED = 0.3
#: Bytes that are fetched of each partition at once: a copy is to cost little memory.
_FETCHED = 262_144
#: Of one copy, room for a million answers of 1 KB, unless it would be more than this part of the
#: file system that it lies on.
_USUAL_BYTES, _PART = 2_560 * 2**20, 4


class SharedCache:
    """Answers of all workers, as far as this one has read them. Runs beside the worker.

    State: `arrivals`, what has come lately; `_observed`, what is to be written of answers.
    """

    def __init__(
        self,
        client: dict[str, Any],
        settings: FleetSettings,
        folder: Path,
        clock: Clock,
        similar: SimilarPrompts | None = None,
    ) -> None:
        """`folder`: this worker's alone; `similar` follows the copy."""
        topic = TopicNames(settings.kafka.prefix).cache
        copy = CopySettings(
            topic=topic,
            folder=folder,
            most_bytes=most_bytes(settings.worker.cache_mib, folder),
            # Half of it: what was taken back is told for that long, by clocks that may differ.
            longest_gap=CACHE_DELETES_KEPT / 2,
        )
        new_log = partial(LogReader, client, _FETCHED)
        self._copy = Materialiser(copy, new_log, partial(cluster_id, client), clock, similar)
        self.arrivals = self._copy.arrivals
        apart = cache_topic(topic, client, largest_record(settings.kafka), clock)
        self._similar = similar
        self._observed: dict[bytes, Observations] = {}
        self._writer = CacheWriter(topic, apart, settings.kafka.max_job_bytes, clock)

    def get(self, key: bytes, now: float) -> Found | None:
        """See `AnswerCache`."""
        return self._copy.get(key, now)

    def seen(self, key: bytes) -> int:
        """See `AnswerCache`."""
        partition = self._copy.partition_of(key)
        return 0 if partition is None else self._copy.applied(partition)

    def forgotten(self, entry: Spoken) -> bool:
        """See `AnswerCache`."""
        return self._copy.forgotten(entry)

    @property
    def serves(self) -> bool:
        """See `AnswerCache`."""
        return self._copy.serves

    def put(self, kept: Kept) -> None:
        """See `AnswerCache`."""
        if not self._copy.forgotten(kept):
            self._copy.remember(kept)
            self._writer.put(kept, self._copy.partition_of(kept.digest))

    def observe(self, record: Observations) -> None:
        """See `AllObservations`: behind the answer that it is about, soon."""
        self._observed[record.record_key] = record

    def observed(self, key: bytes) -> list[Observations]:
        """What workers observed of the answer of a key, as far as this one has read it."""
        return self._copy.observed(key)

    @property
    def told(self) -> tuple[int, ...] | None:
        """For heartbeats: see `Heartbeat.cache`."""
        return self._copy.told

    @property
    def state(self) -> CopyState:
        """How the copy is."""
        return self._copy.state

    @property
    def dropped(self) -> int:
        """Answers that were not written."""
        return self._writer.dropped

    async def settle(self) -> None:
        """Wait a moment for the copy: jobs that are taken before it has caught up are called, and
        a worker that was killed has their answers on its disk.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCHES_UP):
                await self._copy.settled()

    async def run(self) -> None:
        """Follow the topic and write to it until cancelled."""
        async with asyncio.TaskGroup() as beside:
            beside.create_task(self._copy.run(), name="cache copy")
            beside.create_task(self._writer.run(), name="cache writer")
            if self._similar is not None:
                beside.create_task(self._write_observed(), name="what was observed")

    async def stop(self) -> None:
        """Write what waits, within a moment; idempotent. `run` is cancelled before."""
        self._put_observed()
        await self._writer.stop()

    async def _write_observed(self) -> None:
        """Each record holds all that is known: of several only the last need be written."""
        while True:
            await asyncio.sleep(_OBSERVED)
            self._put_observed()

    def _put_observed(self) -> None:
        while self._observed:
            key, record = self._observed.popitem()
            partition = self._copy.partition_of(bytes.fromhex(record.key))
            self._writer.put_record(key, encode(record), partition)


def open_cache(
    client: dict[str, Any],
    settings: FleetSettings,
    instance_id: str,
    clock: Clock,
    similar: SimilarPrompts | None = None,
) -> SharedCache | None:
    """The cache of a worker; None where no route caches, or no folder can be written. `similar`
    follows it.
    """
    if not caches(settings):
        return None
    for root in _roots(settings.worker.cache_folder):
        folder = _made(root / plain_name(settings.kafka.prefix) / plain_name(instance_id))
        if folder is not None:
            remove_unused(folder.parent, clock.now() - CACHE_DELETES_KEPT)
            return SharedCache(client, settings, folder, clock, similar)
    log.warning(
        "no folder for stored answers can be written, every job is called: set [worker] "
        "cache_folder to a folder of this worker, or mount one in its container"
    )
    return None


def most_bytes(configured_mib: int | None, folder: Path) -> int:
    """Bytes that the copy in `folder` may have."""
    if configured_mib is not None:
        return configured_mib * 2**20
    with suppress(OSError):
        # What is mounted into a container may be small, and may be its memory.
        return min(_USUAL_BYTES, shutil.disk_usage(folder).total // _PART)
    return _USUAL_BYTES


def _roots(configured: str | None) -> Iterator[Path]:
    """Where the copy may lie, the best first: it need not outlive the process, but may."""
    if configured is not None:
        yield Path(configured)
        return
    given = os.environ.get("XDG_CACHE_HOME")
    yield Path(given or "~/.cache") / "tollway"
    # Of containers whose file system is read-only, this is what is mounted most often.
    temporary = _made(Path(tempfile.gettempdir()) / f"tollway-{os.getuid()}")
    # Whoever made it before us could read our answers, and change them.
    if temporary is not None and temporary.lstat().st_uid == os.getuid():
        yield temporary


def _made(folder: Path) -> Path | None:
    """The folder, which can be written; None where it cannot, or the user has no home."""
    try:
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None
