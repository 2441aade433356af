"""Replies, handed to the handles that wait for them."""

import asyncio
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tollway.errors import ProducerClosed, ProducerError, ReplyTimeout
from tollway_schemas import Reply, codec, headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a job's reply must repeat: an id is a guess away for others, and theirs to use too."""

    job_id: str
    #: None in what follows: not known, or not said, so any will do.
    route: str | None = None
    tenant: str | None = None
    #: That of its reply address: nobody guesses it.
    token: str | None = None

    def is_answered_by(self, reply: Reply) -> bool:
        """Whether it is the reply to this job, as far as it is known."""
        return (
            reply.job_id == self.job_id
            and self.route in (None, reply.route)
            and self.tenant in (None, reply.tenant)
            and self.token in (None, reply.token)
        )

    def may_be(self, other: "Asked") -> bool:
        """Whether nothing that is known of both differs."""
        return all(
            mine is None or theirs is None or mine == theirs
            for mine, theirs in (
                (self.route, other.route),
                (self.tenant, other.tenant),
                (self.token, other.token),
            )
        )


class Slot:
    """Room for the reply to one job. It lives as long as somebody holds the job's handle."""

    __slots__ = (
        "__weakref__",
        "_namesakes",
        "_waiting",
        "asked",
        "reattached",
        "reply",
        "searched",
        "since",
    )

    def __init__(self, asked: Asked, namesakes: "_Namesakes") -> None:
        self.asked = asked
        self._namesakes = namesakes
        namesakes.add(self)
        self.reply: Reply | None = None
        #: Whether its reply may be anywhere in the topic, not only in this producer's partition.
        self.reattached = False
        #: From when on it has to be looked for; from the beginning if absent.
        self.since: datetime | None = None
        #: Whether a search that began after the slot was made covers it.
        self.searched = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.asked.job_id

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


class _Namesakes:
    """Slots of one id, oldest first: of two routes, or of one job that was enqueued twice.

    Each slot holds on to it, and it to none of them.
    """

    __slots__ = ("__weakref__", "_slots")

    def __init__(self) -> None:
        self._slots: tuple[weakref.ref[Slot], ...] = ()

    def add(self, slot: Slot) -> None:
        living = (each for each in self._slots if each() is not None)
        self._slots = (*living, weakref.ref(slot))

    def __iter__(self) -> Iterator[Slot]:
        for each in self._slots:
            slot = each()
            if slot is not None:
                yield slot


class Mailbox:
    """Slots by job id. What nobody holds a handle for is not kept, so memory is the caller's."""

    # Mutable state: the slots. Changed without awaiting, on one loop.
    def __init__(self) -> None:
        self._by_id: weakref.WeakValueDictionary[str, _Namesakes] = weakref.WeakValueDictionary()

    def slot(self, job_id: str, **known: str | None) -> Slot:
        """A slot for a job that is about to be enqueued; `known`: more of what Asked has."""
        return Slot(Asked(job_id=job_id, **known), self._of(job_id))

    def reattach(self, job_id: str, since: datetime | None, **known: str | None) -> Slot:
        """The slot of a job that an earlier producer may have enqueued.

        Where this one did, it is the same that its handle has; of several the newest.
        """
        asked, namesakes = Asked(job_id=job_id, **known), self._of(job_id)
        for found in reversed(list(namesakes)):
            if found.asked == asked or (not found.reattached and found.asked.may_be(asked)):
                return found
        slot = Slot(asked, namesakes)
        slot.reattached = True
        slot.since = since
        return slot

    def deliver(
        self, key: bytes | None, value: bytes | None, record_headers: headers.Headers
    ) -> None:
        """Put a record of the reply topic where it belongs; what nobody waits for is dropped.

        Raises SchemaError if it is ours and cannot be read.
        """
        job_id = _job_id(key, record_headers)
        namesakes = None if job_id is None else self._by_id.get(job_id)
        waiting = [] if namesakes is None else list(namesakes)
        if not waiting:
            return
        reply = codec.decode(Reply, value)
        for slot in waiting:
            if slot.asked.is_answered_by(reply):
                slot.put(reply)

    def reattached(self) -> Iterator[Slot]:
        """Slots whose reply has to be searched for."""
        for slot in self._all():
            if slot.reattached and slot.reply is None:
                yield slot

    def fail(self, error: ProducerError) -> None:
        """Raise `error` in all who wait now."""
        for slot in self._all():
            slot.fail(error)

    def close(self) -> None:
        """Raise ProducerClosed in all who wait."""
        self.fail(ProducerClosed())

    def _of(self, job_id: str) -> _Namesakes:
        found = self._by_id.get(job_id)
        if found is None:
            found = self._by_id[job_id] = _Namesakes()
        return found

    def _all(self) -> list[Slot]:
        return [slot for namesakes in list(self._by_id.values()) for slot in namesakes]


def _job_id(key: bytes | None, record_headers: headers.Headers) -> str | None:
    if key is None:
        return headers.get(record_headers, headers.JOB_ID)
    return bytes(key).decode("utf-8", "replace")
