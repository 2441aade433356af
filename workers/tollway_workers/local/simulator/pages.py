"""What the simulator shows beside its answers: models, health, and the books."""

import math
import time
from collections.abc import Callable

import orjson
from aiohttp import web

from tollway_workers.local.simulator.books import as_lines
from tollway_workers.local.simulator.desk import Desk
from tollway_workers.local.simulator.summary import summarize
from tollway_workers.local.simulator.wire.dialect import SaidError
from tollway_workers.local.simulator.wire.openai.errors import ApiError
from tollway_workers.local.simulator.wire.openai.say import model_list

#: What `GET /v1/models` lists if the simulator knows all models.
_ANY_MODEL = ("simulated",)


class Pages:
    """Answers to everything that is no call."""

    def __init__(
        self, desk: Desk, models: tuple[str, ...], clear: Callable[[str | None], int]
    ) -> None:
        """`clear` gives a source (all) a fresh start, and says how many calls that forgets."""
        self._desk = desk
        self._clear = clear
        self._models = models or _ANY_MODEL
        self._routes = {
            ("GET", "/models"): self._list_models,
            ("GET", "/health"): self._health,
            ("GET", "/calls"): self._list_calls,
            ("DELETE", "/calls"): self._clear_calls,
            ("GET", "/calls/summary"): self._summarize_calls,
            ("PUT", "/limits"): self._change_limits,
        }

    def show(self, request: web.BaseRequest, source: str | None, path: str) -> web.Response:
        """The page at `path`; a source, from the path or `?source=`, narrows the books to it."""
        route = self._routes.get((request.method, path))
        if route is None:
            return error_page(_unknown_path())
        return route(request, source or request.query.get("source"))

    def _list_models(self, _request: web.BaseRequest, _source: str | None) -> web.Response:
        return _json(model_list(self._models, created=0))

    def _health(self, _request: web.BaseRequest, _source: str | None) -> web.Response:
        return _json(b'{"status":"ok"}')

    def _list_calls(self, request: web.BaseRequest, source: str | None) -> web.Response:
        try:
            since = _since(request)
        except ValueError:
            return error_page(_bad_query("since"))
        calls = self._desk.books.calls(source=source, since=since)
        if request.query.get("format") == "jsonl":
            return web.Response(body=as_lines(calls), content_type="application/x-ndjson")
        return _json(orjson.dumps([call.as_json() for call in calls]))

    def _summarize_calls(self, request: web.BaseRequest, source: str | None) -> web.Response:
        try:
            since = _since(request)
        except ValueError:
            return error_page(_bad_query("since"))
        summary = summarize(self._desk.books.calls(source=source, since=since))
        return _json(orjson.dumps(summary.as_json()))

    def _clear_calls(self, _request: web.BaseRequest, source: str | None) -> web.Response:
        return _json(orjson.dumps({"cleared": self._clear(source)}))

    def _change_limits(self, request: web.BaseRequest, source: str | None) -> web.Response:
        names = ("requests_per_minute", "tokens_per_minute")
        given: list[float | None] = []
        for name in names:
            try:
                given.append(_positive(request, name))
            except ValueError:
                return error_page(_bad_query(name, "a number above 0"))
        self._desk.change_limits(source, given[0], given[1], time.monotonic())
        return _json(orjson.dumps(dict(zip(names, given, strict=True))))


def error_page(error: SaidError) -> web.Response:
    """An error to what is no call in the books."""
    return web.Response(status=error.status, body=error.body, content_type=error.content_type)


def _unknown_path() -> SaidError:
    return _invalid(
        404,
        "unknown_url",
        "Unknown request URL. The simulator has POST /v1/chat/completions, /v1/responses, "
        "/v1/embeddings, /v1/messages and /v1beta/models/MODEL:generateContent, GET /v1/models, "
        "GET /health, GET and DELETE /calls, GET /calls/summary.",
    )


def _bad_query(name: str, wanted: str = "a number of seconds since 1970") -> SaidError:
    return _invalid(400, "invalid_value", f"'{name}' must be {wanted}.", name)


def _invalid(status: int, code: str, message: str, param: str | None = None) -> SaidError:
    error = ApiError(
        status=status, code=code, type="invalid_request_error", message=message, param=param
    )
    return SaidError(status=status, code=code, body=error.body())


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _positive(request: web.BaseRequest, name: str) -> float | None:
    """Raises ValueError."""
    text = request.query.get(name)
    if text is None:
        return None
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(name)
    return value


def _since(request: web.BaseRequest) -> float | None:
    """Unix seconds; raises ValueError."""
    text = request.query.get("since")
    return None if text is None else float(text)
