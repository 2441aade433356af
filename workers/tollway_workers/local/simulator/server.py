"""The simulator's HTTP server: which request goes where."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tollway_workers.clock import Clock, SystemClock
from tollway_workers.errors import LocalError
from tollway_workers.local.simulator.ask import MAX_BODY_BYTES, Body
from tollway_workers.local.simulator.books import Call
from tollway_workers.local.simulator.delivery import Delivery, reset
from tollway_workers.local.simulator.desk import DEFAULT_SOURCE, Arrival, Desk, Reply
from tollway_workers.local.simulator.door import Door
from tollway_workers.local.simulator.faults import ENDLESS, Fault, FaultKind
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.pages import Pages, error_page
from tollway_workers.local.simulator.refusals import Refusal, Why
from tollway_workers.local.simulator.summary import Summary, summarize
from tollway_workers.local.simulator.wire.routes import DIALECTS, Route, route_of


class Simulator:
    """A provider on a port of this machine, for the time of an `async with`.

    `base_url` is what an OpenAI client wants, `base_urls()` has those of all protocols;
    `base_url_for("a")` is that of a client with books, limits and fault counts of its own. While
    connections are refused by script, so are those for the books. Starting raises LocalError if the
    port is taken and InputError if the file of calls is something else; leaving ends the calls in
    flight.
    """

    def __init__(
        self, options: SimulatorOptions | None = None, *, clock: Clock | None = None
    ) -> None:
        self._options = options or SimulatorOptions()
        self._clock = clock or SystemClock()
        self._desk = Desk(self._options)
        self._pages = Pages(self._desk, self._options.models, self.clear)
        self._runner: web.ServerRunner | None = None
        self._door: Door | None = None
        self._port = 0
        #: The connections that are serving a call: cancelled on a stop.
        self._serving: set[asyncio.Task[Any] | None] = set()
        #: Those of them whose connection the server has broken by falling over.
        self._broken: set[asyncio.Task[Any] | None] = set()
        #: Plays the part of the script that needs no call; begins with the first one.
        self._player: asyncio.Task[None] | None = None
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
        self._door = Door(self._runner, self._clock)
        try:
            self._port = await self._door.open(options.host, options.port)
        except OSError as error:
            await self.stop()
            raise LocalError(
                f"the simulator cannot listen on {options.host}:{options.port}: "
                f"{error.strerror}; give another port with --port, or 0 for a free one"
            ) from error

    async def stop(self) -> None:
        """End the calls in flight (`stopped` in the books), then the server. Idempotent."""
        self._is_stopping = True
        self._stop_player()
        if self._door is not None:
            await self._door.close()
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

    def base_urls(self, source: str | None = None) -> dict[str, str]:
        """The `base_url` of a provider in Tollway's configuration, by protocol.

        Anthropic's and Google's own clients want it without its version: `url`.
        """
        root = self.url if source is None else f"{self.url}/s/{source}"
        return {each.name: f"{root}{each.base}" for each in DIALECTS}

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls in order of arrival."""
        return tuple(self._desk.books.calls())

    def summary(self, *, source: str | None = None, since: float | None = None) -> Summary:
        """The figures of a client (of all), from `since` (unix seconds) on."""
        return summarize(self._desk.books.calls(source=source, since=since))

    def clear(self, source: str | None = None) -> int:
        """A fresh start for a client (for all): books, counts, limits. Returns the calls gone."""
        if source is None:
            self._stop_player()
        return self._desk.clear(source)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        source, path = _split(request.path)
        route = route_of(path)
        if request.method != "POST" or route is None:
            return self._pages.show(request, source, path)
        if self._player is None:
            self._begin_script()
        if self._door is None or self._door.refuses:
            # Accepted a moment before the door was shut.
            reset(request.transport)
            return web.Response()
        started = self._clock.now()
        body = await _read_body(request)
        if body is None:
            refusal = Refusal(why=Why.BODY_TOO_LARGE, most=MAX_BODY_BYTES)
            return error_page(route.dialect.refuse(refusal, ""))
        arrival = self._arrival(request, route, source, body, started)
        return await self._deliver(request, await self._received(arrival))

    def _arrival(
        self,
        request: web.BaseRequest,
        route: Route,
        source: str | None,
        body: bytes,
        started: float,
    ) -> Arrival:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Arrival(
            source=source or headers.get("x-source") or DEFAULT_SOURCE,
            body=Body(body),
            headers=headers,
            query=request.query,
            route=route,
            started=started,
            now=self._clock.monotonic(),
        )

    async def _received(self, arrival: Arrival) -> Reply:
        try:
            await self._desk.prepare(arrival)
        except asyncio.CancelledError:
            # It was a call all the same.
            call = self._desk.receive(arrival).call
            ending = "stopped" if self._is_stopping else "client_gone"
            self._desk.see_off(call, ending, self._clock.now())
            raise
        # What is counted by time is counted in the order of time.
        return self._desk.receive(replace(arrival, now=self._clock.monotonic()))

    async def _deliver(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        """Send a reply, and enter in the books how that ended, whatever happens."""
        task = asyncio.current_task()
        self._serving.add(task)
        if reply.refuse_seconds > 0:
            self._fall_over(reply.refuse_seconds)
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
            if task in self._broken:
                self._broken.discard(task)
                ending = reply.call.fault = FaultKind.REFUSED.value
            self._desk.see_off(reply.call, ending, self._clock.now())
        return response

    def _begin_script(self) -> None:
        """Refuse connections when the script says so, counted from now."""
        refused = [each for each in self._options.faults if each.kind is FaultKind.REFUSED]
        began = self._clock.monotonic()
        for fault in refused:
            if fault.from_seconds == 0:
                self._fall_over(_end(fault))
        self._player = asyncio.create_task(self._play(refused, began), name="simulator-script")

    async def _play(self, refused: Sequence[Fault], began: float) -> None:
        for fault in sorted(refused, key=lambda each: each.from_seconds):
            await self._clock.sleep(max(0.0, began + fault.from_seconds - self._clock.monotonic()))
            if (left := began + _end(fault) - self._clock.monotonic()) > 0:
                self._fall_over(left)

    def _stop_player(self) -> None:
        if self._player is not None:
            self._player.cancel()
            self._player = None

    def _fall_over(self, seconds: float) -> None:
        """Refuse connections for so long, and break those that there are."""
        if self._door is None or self._runner is None or self._runner.server is None:
            return
        self._door.refuse(seconds)
        self._broken |= self._serving
        for connection in self._runner.server.connections:
            reset(connection.transport)


def _end(fault: Fault) -> float:
    return math.inf if fault.until_seconds is None else fault.until_seconds


def _split(path: str) -> tuple[str | None, str]:
    """`/s/<source>/v1/...` apart: the source, and the path without it and without `/v1`."""
    source = None
    if path.startswith("/s/"):
        source, _, rest = path[3:].partition("/")
        path = f"/{rest}"
    return source or None, path.removeprefix("/v1") if path.startswith("/v1/") else path


async def _read_body(request: web.BaseRequest) -> bytes | None:
    """The whole body, or nothing if it is too large."""
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)
