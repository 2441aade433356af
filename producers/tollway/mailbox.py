"""Replies on their way to whoever waits for them."""

import asyncio
import weakref
from collections.abc import Iterator
from datetime import datetime

from tollway.errors import ProducerClosed, ProducerError, ReplyTimeout
from tollway_schemas import Reply, codec, headers


class Slot:
    """Room for the reply to one job. It lives as long as somebody holds the job's handle."""

    __slots__ = ("__weakref__", "_waiting", "job_id", "reattached", "reply", "searched", "since")

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.reply: Reply | None = None
        #: Whether its reply may be anywhere in the topic, not only in this producer's partition.
        self.reattached = False
        #: From when on it has to be looked for; from the beginning if absent.
        self.since: datetime | None = None
        #: Whether a search that began after the slot was made covers it.
        self.searched = False
        self._waiting: set[asyncio.Future[None]] = set()

    def put(self, reply: Reply) -> None:
        """Keep the first reply of the highest generation; a duplicate or late one is dropped."""
        if self.reply is not None and reply.generation <= self.reply.generation:
            return
        self.reply = reply
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def fail(self, error: ProducerError) -> None:
        """Raise `error` in all who wait now; who waits later may have more luck."""
        for future in self._waiting:
            if not future.done():
                future.set_exception(error)

    async def wait(self, seconds: float | None) -> Reply:
        """The reply, as soon as it is here. Raises ReplyTimeout, or what `fail` was told."""
        if self.reply is None:
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                async with asyncio.timeout(seconds):
                    await future
            except TimeoutError:
                raise ReplyTimeout(f"job {self.job_id!r}", seconds or 0) from None
            finally:
                self._waiting.discard(future)
        assert self.reply is not None  # noqa: S101 the future is done only after put()
        return self.reply


class Mailbox:
    """Slots by job id. What nobody holds a handle for is not kept, so memory is the caller's."""

    # Mutable state: the slots. Changed without awaiting, on one loop.
    def __init__(self) -> None:
        self._slots: weakref.WeakValueDictionary[str, Slot] = weakref.WeakValueDictionary()

    def slot(self, job_id: str) -> Slot:
        """The slot of a job, the same one for all who hold a handle of it."""
        found = self._slots.get(job_id)
        if found is None:
            found = self._slots[job_id] = Slot(job_id)
        return found

    def reattach(self, job_id: str, since: datetime | None) -> Slot:
        """The slot of a job that an earlier producer may have enqueued."""
        found = self._slots.get(job_id)
        if found is None:
            found = self._slots[job_id] = Slot(job_id)
            found.reattached = True
            found.since = since
        return found

    def deliver(
        self, key: bytes | None, value: bytes | None, record_headers: headers.Headers
    ) -> None:
        """Put a record of the reply topic where it belongs; what nobody waits for is dropped.

        Raises SchemaError if it is ours and cannot be read.
        """
        job_id = _job_id(key, record_headers)
        slot = None if job_id is None else self._slots.get(job_id)
        if slot is None:
            return
        reply = codec.decode(Reply, value)
        if reply.job_id == job_id:
            slot.put(reply)

    def reattached(self) -> Iterator[Slot]:
        """Slots whose reply has to be searched for."""
        for slot in list(self._slots.values()):
            if slot.reattached and slot.reply is None:
                yield slot

    def fail(self, error: ProducerError) -> None:
        """Raise `error` in all who wait now."""
        for slot in list(self._slots.values()):
            slot.fail(error)

    def close(self) -> None:
        """Raise ProducerClosed in all who wait."""
        self.fail(ProducerClosed())


def _job_id(key: bytes | None, record_headers: headers.Headers) -> str | None:
    if key is None:
        return headers.get(record_headers, headers.JOB_ID)
    return bytes(key).decode("utf-8", "replace")
