"""The simulator's HTTP server: which request goes where."""

import asyncio
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tollway_workers.clock import Clock, SystemClock
from tollway_workers.errors import LocalError
from tollway_workers.local.simulator.ask import MAX_BODY_BYTES
from tollway_workers.local.simulator.books import Call
from tollway_workers.local.simulator.delivery import Delivery
from tollway_workers.local.simulator.desk import DEFAULT_SOURCE, Arrival, Desk, Reply
from tollway_workers.local.simulator.faults import ENDLESS
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.pages import Pages, error_page
from tollway_workers.local.simulator.refusals import too_large_body
from tollway_workers.local.simulator.summary import Summary, summarize


class Simulator:
    """A provider on a port of this machine, for the time of an `async with`.

    `base_url` is what an OpenAI client wants; `base_url_for("a")` is that of a client with books,
    limits and fault counts of its own. Starting raises LocalError if the port is taken and
    InputError if the file of calls is something else; leaving ends the calls in flight.
    """

    def __init__(
        self, options: SimulatorOptions | None = None, *, clock: Clock | None = None
    ) -> None:
        self._options = options or SimulatorOptions()
        self._clock = clock or SystemClock()
        self._desk = Desk(self._options)
        self._pages = Pages(self._desk, self._options.models)
        self._runner: web.ServerRunner | None = None
        self._port = 0
        #: The connections that are serving a call: cancelled on a stop.
        self._serving: set[asyncio.Task[Any] | None] = set()
        self._is_stopping = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises LocalError if the address cannot be had."""
        options = self._options
        self._is_stopping = False
        # Cancelled when the client leaves: the books say so, and nothing is generated for nobody.
        server = web.Server(self._serve, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, options.host, options.port, backlog=4096).start()
        except OSError as error:
            await self.stop()
            raise LocalError(
                f"the simulator cannot listen on {options.host}:{options.port}: "
                f"{error.strerror}; give another port with --port, or 0 for a free one"
            ) from error
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End the calls in flight (`stopped` in the books), then the server. Idempotent."""
        self._is_stopping = True
        serving = {task for task in self._serving if task is not None}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._desk.books.close()

    @property
    def url(self) -> str:
        """The server's root: `/calls` and `/health` are there."""
        host = self._options.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self.url}/v1"

    def base_url_for(self, source: str) -> str:
        """The base URL for a client that shall have books of its own."""
        return f"{self.url}/s/{source}/v1"

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls in order of arrival."""
        return tuple(self._desk.books.calls())

    def summary(self, *, source: str | None = None, since: float | None = None) -> Summary:
        """The figures of a client (of all), from `since` (unix seconds) on."""
        return summarize(self._desk.books.calls(source=source, since=since))

    def clear(self, source: str | None = None) -> int:
        """A fresh start for a client (for all): books, counts, limits. Returns the calls gone."""
        return self._desk.clear(source)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        source, path = _split(request.path)
        if request.method != "POST" or path != "/chat/completions":
            return self._pages.show(request, source, path)
        started = self._clock.now()
        body = await _read_body(request)
        if body is None:
            return error_page(too_large_body(MAX_BODY_BYTES))
        headers = request.headers
        arrival = Arrival(
            source=source or headers.get("X-Source") or DEFAULT_SOURCE,
            body=body,
            authorization=headers.get("Authorization"),
            client_request_id=headers.get("X-Client-Request-Id"),
            job_header=headers.get("X-Job-Id"),
            started=started,
            now=self._clock.monotonic(),
        )
        return await self._deliver(request, self._desk.receive(arrival))

    async def _deliver(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        """Send a reply, and enter in the books how that ended, whatever happens."""
        task = asyncio.current_task()
        self._serving.add(task)
        # Some faults are met by whoever leaves.
        endless = reply.fault in ENDLESS and reply.completion is not None
        ending = reply.fault.value if reply.fault and endless else "client_gone"
        try:
            response, ending = await Delivery(request, reply, self._clock).send()
        except ConnectionError:
            # The client left between two writes. There is nobody to answer.
            return web.Response()
        except asyncio.CancelledError:
            if self._is_stopping:
                ending = "stopped"
            raise
        finally:
            self._serving.discard(task)
            self._desk.see_off(reply.call, ending, self._clock.now())
        return response


def _split(path: str) -> tuple[str | None, str]:
    """`/s/<source>/v1/...` apart: the source, and the path without it and without `/v1`."""
    source = None
    if path.startswith("/s/"):
        source, _, rest = path[3:].partition("/")
        path = f"/{rest}"
    return source or None, path.removeprefix("/v1")


async def _read_body(request: web.BaseRequest) -> bytes | None:
    """The whole body, or nothing if it is too large."""
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)
