"""The producer for services without an event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

from tollway.connection import KafkaConnection
from tollway.errors import ProducerClosed, ProducerError
from tollway.handle import JobHandle
from tollway.new_job import NewJob
from tollway.output import Output, T
from tollway.process import OpeningProcess
from tollway.producer import JobProducer
from tollway_schemas import DEFAULT_PREFIX, ChatRequest, Reply

R = TypeVar("R")


class BlockingJobProducer:
    """A JobProducer in a thread of its own, for synchronous code; usable from many threads.

    Use it as `with BlockingJobProducer("host:9092") as producer`. Its calls promise and raise what
    those of JobProducer do.
    """

    # Mutable state: the loop, None unless open; set by the thread before `start` returns.
    def __init__(
        self,
        connection: KafkaConnection | str | None = None,
        *,
        prefix: str = DEFAULT_PREFIX,
        reply_topic: str | None = None,
    ) -> None:
        """Nothing is sent before `start`. Raises InvalidSettings."""
        self._run_over(JobProducer(connection, prefix=prefix, reply_topic=reply_topic))

    @classmethod
    def over(cls, producer: JobProducer) -> Self:
        """A blocking face for a producer with settings of its own, or for that of a FakeFleet."""
        self = cls.__new__(cls)
        self._run_over(producer)
        return self

    def _run_over(self, producer: JobProducer) -> None:
        self._producer = producer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._process = OpeningProcess()
        # Work is handed to the loop before the order to stop, or not at all: else it would hang.
        self._handing_over = threading.Lock()

    def start(self) -> None:
        """Connect; `with` does it. Raises BrokerUnreachable or UnknownTopic in seconds."""
        self._process.require_this()
        if self._loop is not None:
            return
        self._process.enter()
        opened: Future[None] = Future()
        # A daemon, so that a producer that was never closed does not keep the process alive.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(opened)), name="tollway-producer", daemon=True
        )
        self._thread.start()
        try:
            opened.result()
        except BaseException:
            self._process.leave()
            raise

    def close(self) -> None:
        """Flush and disconnect, within 10 seconds; `with` does it. May be called twice."""
        self._process.require_this()
        with self._handing_over:
            loop, self._loop = self._loop, None
            if loop is not None and self._stop is not None:
                loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()
        self._process.leave()

    def enqueue(self, job: NewJob[T]) -> "BlockingJobHandle[T]":
        """The job's handle, once Kafka has acknowledged it."""
        return BlockingJobHandle(self, self._call(self._producer.enqueue(job)))

    @overload
    def ask(self, route: str, request: ChatRequest | str) -> str: ...
    @overload
    def ask(self, route: str, request: ChatRequest | str, *, output: Output[T]) -> T: ...
    def ask(self, route: str, request: ChatRequest | str, *, output: Output[Any] = None) -> Any:
        """Enqueue one interactive job and return its answer, within its two minutes."""
        return self._call(self._producer.ask(route, request, output=output))

    def enqueue_many(
        self, jobs: Iterable[NewJob[T]], *, unacknowledged: int = 1000
    ) -> Iterator["BlockingJobHandle[T]"]:
        """Yield a handle for each job, in order. `jobs` is iterated in threads, one at a time."""
        handles = self._producer.enqueue_many(in_threads(jobs), unacknowledged=unacknowledged)
        for handle in self._iterate(handles):
            yield BlockingJobHandle(self, handle)

    def map(
        self, jobs: Iterable[NewJob[T]], *, window: int = 1000, idle_timeout: float | None = None
    ) -> Iterator[Reply]:
        """Enqueue jobs and yield their replies as they finish, in bounded memory.

        `jobs` is iterated in threads, one at a time.
        """
        replies = self._producer.map(in_threads(jobs), window=window, idle_timeout=idle_timeout)
        yield from self._iterate(replies)

    @overload
    def handle(
        self,
        job_id: str,
        *,
        since: datetime | None = None,
        route: str | None = None,
        tenant: str | None = None,
        token: str | None = None,
    ) -> "BlockingJobHandle[Any]": ...
    @overload
    def handle(
        self,
        job_id: str,
        *,
        output: Output[T],
        since: datetime | None = None,
        route: str | None = None,
        tenant: str | None = None,
        token: str | None = None,
    ) -> "BlockingJobHandle[T]": ...
    def handle(
        self,
        job_id: str,
        *,
        output: Output[Any] = None,
        since: datetime | None = None,
        **known: str | None,
    ) -> "BlockingJobHandle[Any]":
        """The handle of a job that was enqueued before; see JobProducer.handle for its cost."""

        async def attach() -> JobHandle[Any]:
            return self._producer.handle(job_id, output=output, since=since, **known)

        return BlockingJobHandle(self, self._call(attach()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A child that was forked meanwhile leaves with an error of its own: that is to be seen.
        if error is None or not self._process.is_another:
            self.close()

    async def _serve(self, opened: Future[None]) -> None:
        try:
            await self._producer.start()
        except BaseException as error:  # noqa: BLE001 it is raised in the thread that waits
            opened.set_exception(error)
            return
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        opened.set_result(None)
        await self._stop.wait()
        await self._producer.close()

    def _call(self, work: Coroutine[Any, Any, R]) -> R:
        """Run `work` on the loop and wait. An interrupt of this thread cancels it."""
        future = self._hand_over(work)
        try:
            return future.result()
        except CancelledError:
            raise ProducerClosed from None
        finally:
            future.cancel()

    def _hand_over(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        try:
            # First: a thread that does not exist here may have held the lock when we were forked.
            self._process.require_this()
            with self._handing_over:
                if self._loop is None:
                    raise ProducerClosed
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        except ProducerError:
            work.close()
            raise

    def _iterate(self, results: AsyncIterator[R]) -> Iterator[R]:
        async def following() -> R:
            return await anext(results)

        async def leave() -> None:
            close = getattr(results, "aclose", None)
            if close is not None:
                await close()

        try:
            while True:
                try:
                    result = self._call(following())
                except StopAsyncIteration:
                    return
                yield result
        finally:
            if self._loop is not None and not self._process.is_another:
                self._call(leave())


class BlockingJobHandle(Generic[T]):
    """A JobHandle whose calls block the calling thread only."""

    def __init__(self, producer: BlockingJobProducer, handle: JobHandle[T]) -> None:
        self._producer = producer
        self._handle = handle

    @property
    def id(self) -> str:
        """The job's id."""
        return self._handle.id

    def done(self) -> bool:
        """Whether the reply is here."""
        return self._handle.done()

    def reply(self, timeout: float | None = None) -> Reply:
        """The whole reply, within `timeout` seconds. See JobHandle.reply."""
        return self._producer._call(self._handle.reply(timeout))

    def result(self, timeout: float | None = None) -> T:
        """The answer, within `timeout` seconds. See JobHandle.result."""
        return self._producer._call(self._handle.result(timeout))

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._handle)[1:]}"


async def in_threads(items: Iterable[R]) -> AsyncIterator[R]:
    """The items, each taken in a thread: a database cursor must not block the loop."""
    iterator = iter(items)
    end = object()
    while True:
        item: Any = await asyncio.to_thread(next, iterator, end)
        if item is end:
            return
        yield item
