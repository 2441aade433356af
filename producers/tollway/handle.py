"""What a service holds of a job it has enqueued."""

from collections.abc import Awaitable, Callable
from typing import Generic

from tollway.mailbox import Slot
from tollway.output import OutputReader, T
from tollway_schemas import Reply


class JobHandle(Generic[T]):
    """A job that Kafka has, and the way to its reply.

    Replies are read from the first call of `reply` or `result` on; none that came before is
    missed. While the handle is held, the reply of a redriven job replaces that of the generation
    before.
    """

    def __init__(
        self, slot: Slot, reader: OutputReader[T], listen: Callable[[], Awaitable[None]]
    ) -> None:
        self._slot = slot
        self._reader = reader
        self._listen = listen

    @property
    def id(self) -> str:
        """The job's id; `producer.handle(id, token=...)` finds its reply again after a restart."""
        return self._slot.job_id

    @property
    def token(self) -> str | None:
        """What its reply repeats, and no reply to anybody else's job of that id does.

        None where the id was made here, which nobody else has.
        """
        return self._slot.asked.token

    def done(self) -> bool:
        """Whether the reply is here, so that `reply` and `result` return at once.

        Nothing is read before one of these was called.
        """
        return self._slot.reply is not None

    async def reply(self, timeout: float | None = None) -> Reply:  # noqa: ASYNC109 users expect it
        """The whole reply, success or failure. Waits `timeout` seconds, without it for ever.

        Raises ReplyTimeout (the job runs on, ask again), RepliesUnreadable or ProducerClosed.
        Cancelling it leaves the job running too.
        """
        if self._slot.reply is None:
            await self._listen()
        return await self._slot.wait(timeout)

    async def result(self, timeout: float | None = None) -> T:  # noqa: ASYNC109 users expect it
        """The answer: text, JSON where the job has an output schema, or an object of its type.

        Raises JobFailed with the reply if there is none, InvalidAnswer if it does not fit the
        type, and all that `reply` raises.
        """
        return self._reader.result(await self.reply(timeout))

    def __repr__(self) -> str:
        reply = self._slot.reply
        state = f"{reply.status}, generation {reply.generation}" if reply else "waiting"
        return f"<JobHandle {self.id} [{state}]>"
