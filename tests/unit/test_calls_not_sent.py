"""A worker that loses its lease between starting a call and its first byte sends nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from random import Random

import httpx
import orjson
import pytest
from httpx_seam import AsHttpx
from memory_fleet import MemoryFleet
from samples import admission_of, job, lane, progress
from scripted_provider import ScriptedProvider, completion

from tollway_schemas.failure import FailureClass
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import CallNotSent, ProviderError, ProviderFailure
from tollway_workers.job.outcome import DeadLettered
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.providers.base import Completion, ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.http.transport import AiohttpTransport
from tollway_workers.providers.protocols import wire_format
from tollway_workers.validation.validator import ResultValidator

pytestmark = pytest.mark.both_loops

_ANSWER = orjson.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})


class Server:
    """Answers every call, and keeps what it was sent."""

    def __init__(self) -> None:
        self.heard = b""
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while data := await reader.read(65_536):
            self.heard += data
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(_ANSWER) + _ANSWER)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, HttpProvider]]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    provider = HttpProvider(
        settings=ProviderSettings(base_url=f"http://127.0.0.1:{port}/v1"),
        lane=lane(),
        wire=wire_format("openai"),
        transport=AiohttpTransport(),
    )
    yield server, provider
    await provider.aclose()
    listener.close()


def call(*may_send: bool) -> ProviderCall:
    """A call that may be sent as said, each time it is asked."""
    said = iter(may_send)
    return ProviderCall(body=b"{}", call_id="job-1/1/1", timeout=5.0, may_send=lambda: next(said))


@pytest.mark.parametrize("connected", [False, True], ids=["new connection", "kept connection"])
async def test_a_call_that_may_not_be_sent_any_more_is_not_sent(
    server: tuple[Server, HttpProvider], connected: bool
) -> None:
    books, provider = server
    if connected:
        await provider.complete(call(True, True))
    before = books.heard

    with pytest.raises(CallNotSent):
        await provider.complete(call(True, False))

    assert books.connections == 1
    assert books.heard == before
    assert (await provider.complete(call(True, True))).text == "hi"


async def test_a_call_that_may_not_be_sent_is_not_even_connected(
    server: tuple[Server, HttpProvider],
) -> None:
    books, provider = server

    with pytest.raises(CallNotSent):
        await provider.complete(call(False))

    assert books.connections == 0


async def test_any_other_request_is_sent_without_being_asked_for() -> None:
    listener = await asyncio.start_server(Server().serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    transport = AsHttpx(AiohttpTransport())

    never = httpx.Request("POST", url, content=b"{}", extensions={"may_send": lambda: False})
    with pytest.raises(CallNotSent):
        await transport.handle_async_request(never)
    response = await transport.handle_async_request(httpx.Request("GET", url))

    assert response.status_code == 200
    await response.aclose()
    await transport.aclose()
    listener.close()


class Withdrawing(ScriptedProvider):
    """Loses its lease while it connects, the first times."""

    def __init__(self, lost: Iterable[bool]) -> None:
        super().__init__([completion("done")])
        self.lost = list(lost)

    async def complete(self, call: ProviderCall) -> Completion:
        if self.lost and self.lost.pop(0):
            raise CallNotSent
        return await super().complete(call)


async def test_what_was_not_sent_has_cost_nothing_and_is_no_attempt() -> None:
    clock = SystemClock()
    config = lane(requests_per_minute=60, burst=1.0, concurrency=1)
    admission = admission_of(config, clock)
    executor = JobExecutor(
        {"main": Lane(config, admission, Withdrawing([True]))},
        ResultValidator(),
        RetryPolicy(Random(1)),
        clock,
    )
    subject = progress()
    permit = admission.admit(subject)
    assert isinstance(permit, Permit)

    with pytest.raises(CallNotSent):
        await executor.execute(subject, permit)

    assert (subject.attempts, admission.in_flight) == ([], 0)
    assert isinstance(admission.admit(progress()), Permit)


async def test_a_job_whose_call_was_not_sent_is_called_once_it_may_be() -> None:
    provider = Withdrawing([True, True])
    route = RouteSettings(lanes=("main",))
    async with MemoryFleet({lane(concurrency=1): provider}, {"extract": route}) as fleet:
        await fleet.publish(job())
        await fleet.until(lambda: bool(fleet.replies))

    (reply,) = fleet.replies.values()
    assert reply.failure is None
    assert len(reply.attempts) == 1
    assert provider.lost == []


async def test_what_cannot_be_said_to_a_provider_takes_nothing_of_its_limits() -> None:
    config = lane(requests_per_minute=60, burst=1.0, concurrency=1)
    admission = admission_of(config, SystemClock())
    mute = ScriptedProvider()
    said = ProviderFailure(failure_class=FailureClass.INVALID_REQUEST, message="no words for it")

    def build(*asked: object) -> bytes:
        raise ProviderError(said)

    mute.build = build  # type: ignore[method-assign,assignment]  # a provider without words
    lanes = {"main": Lane(config, admission, mute)}
    executor = JobExecutor(lanes, ResultValidator(), RetryPolicy(Random(1)), SystemClock())

    for _ in range(5):
        permit = admission.admit(subject := progress())
        assert isinstance(permit, Permit)
        outcome, exchange = await executor.execute(subject, permit)
        assert isinstance(outcome, DeadLettered)
        assert exchange is None
