"""Jobs that were too large for their dead letters, from where they were read."""

import hashlib
from typing import Any

import orjson

from tollway.connection import KafkaConnection
from tollway.dead_letters.reading.reader import TopicReader
from tollway_schemas import DeadLetter
from tollway_schemas.no_json import no_json_in


class OriginalJobs:
    """Reads records where they were read from. State: one reader, from the first job on."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._reader: TopicReader | None = None

    async def of(self, letter: DeadLetter) -> dict[str, Any] | None:
        """The job, byte for byte as it was; None where its topic does not keep it any more."""
        elsewhere, origin = letter.job_elsewhere, letter.origin
        if elsewhere is None:
            return None
        value = await self.value(origin.topic, origin.partition, origin.offset)
        if value is None or hashlib.sha256(value).hexdigest() != elsewhere.sha256:
            return None
        if no_json_in(value) is not None:
            # No fleet has taken it for a job.
            return None
        try:
            job = orjson.loads(value)
            # Nested deeper than that, it can be read and not be written again.
            orjson.dumps({"job": {"job": job}})
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            return None
        return job if isinstance(job, dict) else None

    async def value(self, topic: str, partition: int, offset: int) -> bytes | None:
        """What the record there holds; None where it is gone."""
        if self._reader is None:
            self._reader = await TopicReader(self._connection).__aenter__()
        record = await self._reader.one((topic, partition), offset)
        return None if record is None else record.value

    async def close(self) -> None:
        """Disconnect; idempotent."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.__aexit__(None, None, None)
