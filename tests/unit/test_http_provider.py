"""Calls over any httpx transport: headers, keys, errors, bounds."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_workers.config.shape.contract import Resource
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.config.shape.secret import SecretReference
from tollway_workers.errors import ConfigError, ProviderError
from tollway_workers.providers.base import ProviderCall
from tollway_workers.providers.http.call_errors import TRANSPORT_ERRORS, class_of_error
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.http.seam import Transport
from tollway_workers.providers.large_answers import LARGEST_ANSWER
from tollway_workers.providers.protocols import wire_format
from tollway_workers.providers.rate_headers import RateHeaders
from tollway_workers.providers.registry import ProviderRegistry
from tollway_workers.testing import OverHttpx

pytestmark = pytest.mark.both_loops

KEY = "sk-secretsecret"
ANSWER = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
CALL = ProviderCall(body=b'{"a":1}', call_id="job-1/1/2", timeout=5.0)

LANE = lane(provider_name="p", connect_timeout=2.5)

Answering = Callable[[httpx.Request], Any]


def _provider(answering: Answering, **options: Any) -> HttpProvider:
    settings = ProviderSettings(
        base_url="https://api.example.com/v1/", headers={"X-Team": "a", "user-agent": "mine"}
    )
    given: dict[str, Any] = {"key": lambda: SecretStr(KEY), "wire": wire_format("openai")}
    return HttpProvider(
        settings=settings,
        lane=LANE,
        transport=OverHttpx(httpx.MockTransport(answering)),
        **(given | options),
    )


async def _failure(provider: HttpProvider, call: ProviderCall = CALL) -> Any:
    with pytest.raises(ProviderError) as raised:
        await provider.complete(call)
    return raised.value.failure


async def test_a_call_carries_what_the_provider_needs_to_know() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=ANSWER)

    completion = await _provider(answer).complete(CALL)

    request = seen[0]
    assert completion.text == "hi"
    assert str(request.url) == "https://api.example.com/v1/chat/completions"
    assert request.content == CALL.body
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["host"] == "api.example.com"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-client-request-id"] == "job-1/1/2"
    assert request.headers["x-team"] == "a"
    assert request.headers.get_list("user-agent") == ["mine"]
    assert request.extensions["timeout"]["connect"] == 2.5


async def test_a_protocol_says_how_a_key_is_shown_and_where_limits_are_stated() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["x-api-key"] == KEY
        assert "authorization" not in request.headers
        return httpx.Response(200, headers={"left": "7"}, json=ANSWER)

    wire = replace(
        wire_format("openai"),
        auth=lambda key, _: ((b"x-api-key", key.encode()),),
        limits=lambda headers, _: RateHeaders(remaining_input_tokens=int(headers["left"])),
    )
    completion = await _provider(answer, wire=wire).complete(CALL)

    assert completion.said is not None
    assert completion.said.about(Resource.INPUT_TOKENS) == (None, 7)


async def test_a_server_without_a_key_gets_none() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        return httpx.Response(200, json=ANSWER)

    assert (await _provider(answer, key=None).complete(CALL)).text == "hi"


def _httpx_errors() -> Iterator[type[Exception]]:
    for _, member in inspect.getmembers(httpx, inspect.isclass):
        if issubclass(member, Exception) and member is not httpx.CookieConflict:
            yield member


def _made(kind: type[Exception]) -> Exception:
    needed = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if name not in ("args", "kwargs") and parameter.default is parameter.empty
    ]
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("POST", "https://x")
        return kind("no", request=request, response=httpx.Response(500))
    return kind(*["no"] * len(needed))


@pytest.mark.parametrize("kind", list(_httpx_errors()))
async def test_every_error_of_httpx_has_a_class(kind: type[Exception]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise _made(kind)

    assert issubclass(kind, TRANSPORT_ERRORS)
    assert (await _failure(_provider(answer))).failure_class is class_of_error(_made(kind))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (httpx.ConnectError, FailureClass.CONNECT),
        (httpx.ConnectTimeout, FailureClass.CONNECT),
        (httpx.ProxyError, FailureClass.CONNECT),
        (httpx.PoolTimeout, FailureClass.CONNECT),
        (httpx.ReadTimeout, FailureClass.TIMEOUT_TOTAL),
        (httpx.ReadError, FailureClass.TRANSIENT),
        (httpx.WriteError, FailureClass.TRANSIENT),
        (httpx.RemoteProtocolError, FailureClass.TRANSIENT),
    ],
)
def test_what_was_never_sent_is_told_from_what_may_be_billed(
    kind: type[Exception], expected: FailureClass
) -> None:
    assert class_of_error(kind("x")) is expected


async def test_a_call_ends_with_its_own_timeout() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("the event is never set")

    call = ProviderCall(body=b"{}", call_id="j/1/1", timeout=0.01)

    assert (await _failure(_provider(answer), call)).failure_class is FailureClass.TIMEOUT_TOTAL


async def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(307, headers={"location": "https://elsewhere.example.com/"})

    failure = await _failure(_provider(answer))

    assert failure.failure_class is FailureClass.MODEL_NOT_FOUND
    assert len(seen) == 1


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b" " * (LARGEST_ANSWER + 1))

    failure = await _failure(_provider(answer))

    assert failure.failure_class is FailureClass.BAD_OUTPUT
    assert "larger than" in failure.message


async def test_a_large_answer_is_read_whole() -> None:
    text = "x" * 1_000_000
    answer = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}

    completion = await _provider(lambda _: httpx.Response(200, json=answer)).complete(CALL)

    assert completion.text == text


async def test_a_refused_key_is_read_again_once_for_all_calls_it_failed() -> None:
    keys = iter(["sk-old-key", "sk-new-key", "sk-never"])

    def answer(request: httpx.Request) -> httpx.Response:
        good = request.headers["authorization"] == "Bearer sk-new-key"
        return httpx.Response(200, json=ANSWER) if good else httpx.Response(401, json={})

    provider = _provider(answer, key=lambda: SecretStr(next(keys)))

    failed = await asyncio.gather(*[_failure(provider) for _ in range(5)])

    assert {failure.failure_class for failure in failed} == {FailureClass.AUTH}
    assert (await provider.complete(CALL)).text == "hi"


async def test_a_key_that_cannot_be_read_again_is_said_and_the_old_one_kept() -> None:
    keys: list[str] = [KEY]

    def key() -> SecretStr:
        if not keys:
            raise ConfigError("file /run/key is gone")
        return SecretStr(keys.pop())

    failure = await _failure(_provider(lambda _: httpx.Response(401), key=key))

    assert failure.failure_class is FailureClass.AUTH
    assert "file /run/key is gone" in failure.message


async def test_the_key_is_in_no_text() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, content=orjson.dumps({"error": f"bad header Bearer {KEY}"}))

    provider = _provider(answer)
    failure = await _failure(provider)

    assert KEY not in repr(provider)
    assert KEY not in failure.message
    assert KEY not in str(ProviderError(failure))


@pytest.mark.parametrize("key", ["", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _provider(lambda _: httpx.Response(200), key=lambda: SecretStr(key))

    assert not key or key not in str(raised.value)


def test_a_key_never_goes_to_another_machine_unencrypted() -> None:
    with pytest.raises(ConfigError):
        HttpProvider(
            settings=ProviderSettings(base_url="http://api.example.com/v1"),
            lane=LANE,
            wire=wire_format("openai"),
            transport=OverHttpx(httpx.MockTransport(lambda _: httpx.Response(200))),
            key=lambda: SecretStr(KEY),
        )


async def test_lanes_of_one_provider_share_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Counting(httpx.MockTransport):
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1

    made: list[Counting] = []

    def open_transport(settings: ProviderSettings) -> Transport:
        made.append(Counting(lambda _: httpx.Response(200, json=ANSWER)))
        return OverHttpx(made[-1])

    monkeypatch.setenv("SOME_KEY", KEY)
    settings = ProviderSettings(
        base_url="https://api.example.com/v1", api_key=SecretReference(env="SOME_KEY")
    )
    registry = ProviderRegistry({"p": settings}, open_transport)
    one, other = registry.open(LANE), registry.open(LANE)

    await one.aclose()
    await one.aclose()
    assert (await other.complete(CALL)).text == "hi"
    assert [transport.closed for transport in made] == [0]
    await other.aclose()
    assert [transport.closed for transport in made] == [1]


async def test_of_a_header_that_is_repeated_on_the_way_the_first_counts() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = [("Retry-After", "7"), ("retry-after", "7"), ("X-Request-Id", "a")]
        return httpx.Response(429, headers=[*headers, ("x-request-id", "b")], json={})

    failure = await _failure(_provider(answer))

    assert (failure.retry_after, failure.provider_request_id) == (7.0, "a")
