"""`/metrics`, `/healthz` and `/readyz` of one worker."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from tollway_workers.errors import FleetError


class PortInUse(FleetError):
    """The address for metrics is taken."""


class TelemetryServer:
    """Serves the numbers in `registry`; `refresh` is called before each reading of them.

    `ready` answers why the worker is not ready, or None when it is.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        refresh: Callable[[], None],
        ready: Callable[[], str | None],
    ) -> None:
        self._registry = registry
        self._refresh = refresh
        self._ready = ready
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self, host: str, port: int) -> str:
        """Listen, and return the address. Raises PortInUse."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise PortInUse(
                f"cannot serve metrics at {host}:{port} ({error.strerror}): "
                "give another telemetry.port, or 0 for a free one"
            ) from error
        bound = self._runner.addresses[0]
        return f"http://{host}:{bound[1]}"

    async def stop(self) -> None:
        """Stop listening; idempotent."""
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        self._refresh()
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readiness(self, request: web.Request) -> web.Response:
        why_not = self._ready()
        if why_not is None:
            return web.Response(text="ready\n")
        return web.Response(status=503, text=f"{why_not}\n")
