"""A provider that repeats our key: it leaves the adapter in no form."""

import base64
import html
import json
import time
import urllib.parse
from collections.abc import Callable, Mapping

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from samples import lane

from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ProviderError
from tollway_workers.providers.base import ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.known_secrets import KnownSecrets
from tollway_workers.providers.protocols import wire_format
from tollway_workers.testing import OverHttpx

CALL = ProviderCall(body=b"{}", call_id="job-1/1/2", timeout=5.0)
LANE = lane()
KEY = "Qm9/zebra+77_Lamp-0042xK"

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "after Bearer": lambda key: f"Bearer {key}",
    "in upper case": str.upper,
    "for JSON": lambda key: json.dumps(key),
    "with slashes escaped": lambda key: key.replace("/", "\\/"),
    "each character escaped": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "some characters escaped": lambda key: "".join(
        f"\\u{ord(c):04X}" if n % 3 else c for n, c in enumerate(key)
    ),
    "JSON in JSON": lambda key: "".join(f"\\\\u{ord(c):04x}" for c in key),
    "for URLs": lambda key: urllib.parse.quote(key, safe=""),
    "for URLs, each character": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "for URLs, twice": lambda key: urllib.parse.quote(urllib.parse.quote(key, safe=""), safe=""),
    "for HTML": lambda key: html.escape("".join(f"&#{ord(c)};" for c in key), quote=False).replace(
        "&amp;", "&"
    ),
    "for HTML, in hexadecimal": lambda key: "".join(f"&#x{ord(c):x};" for c in key),
    "in base64": lambda key: base64.b64encode(key.encode()).decode(),
    "in base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "in base64 after Bearer": lambda key: base64.b64encode(f"Bearer {key}\n".encode()).decode(),
    "in base64, in lines": lambda key: base64.encodebytes((40 * "x" + key).encode()).decode(),
    "in base64, in lines of JSON": lambda key: json.dumps(
        base64.encodebytes((40 * "x" + key).encode()).decode()
    ),
    "as a password": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "in hexadecimal": lambda key: key.encode().hex(),
    "in UTF-16": lambda key: key.encode("utf-16-le").decode("latin-1"),
}


def _knows(*keys: str) -> KnownSecrets:
    secrets = KnownSecrets()
    for key in keys:
        secrets.learn(key)
    return secrets


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("around", ["{}", 'no "{}" \\n 50%', "&#{};a", "caf\u00e9 {}\\u00e9{}"])
def test_a_key_is_hidden_in_every_form(name: str, around: str) -> None:
    written = FORMS[name](KEY)
    text = around.replace("{}", written)

    hidden = _knows(KEY).hide(text.encode()).decode()

    assert "[key]" in hidden
    # Of base64 a character stays that holds bits of the neighbours too.
    assert written[4:-8].lower() not in hidden.lower()
    assert hidden.startswith(around.partition("{}")[0])
    assert hidden.count("[key]") == around.count("{}")


def test_what_is_json_stays_json() -> None:
    body = json.dumps({"a": f"caf\u00e9 {KEY}", "b": [KEY]}).replace("Q", "\\u0051").encode()

    assert json.loads(_knows(KEY).hide(body)) == {"a": "caf\u00e9 [key]", "b": ["[key]"]}


def test_a_body_without_a_key_is_the_same_object() -> None:
    body = b'{"a": "50% \\u00e9\\n \\"x\\" &#33;"}'

    assert _knows(KEY).hide(body) is body


def test_keys_that_were_rotated_away_are_hidden_still() -> None:
    assert _knows(KEY, "another-secret").hide(KEY.encode()) == b"[key]"


def test_a_short_key_is_no_reason_to_spoil_answers() -> None:
    secrets = _knows("a")

    assert secrets.hide(b"banana") == b"banana"
    assert secrets.hide(b"you sent bearer a") == b"you sent [key]"


def test_configured_headers_are_secrets_by_their_names() -> None:
    secrets = KnownSecrets([("X-Api-Key", "tango-1234"), ("X-Team", "vision-team")])

    assert secrets.hide(b"tango-1234 vision-team") == b"[key] vision-team"


@pytest.mark.parametrize(
    "piece", ["\\", "\\u0051", "%", "%25", "&#", "&#0", "\0", KEY[:-1], KEY, KEY[:5] + "\\u00"]
)
def test_no_body_makes_the_search_slow(piece: str) -> None:
    body = (piece * (1_000_000 // len(piece))).encode()
    began = time.process_time()

    _knows(KEY).hide(body + b"%51")

    assert time.process_time() - began < 2


@given(before=st.text(max_size=9), after=st.text(max_size=9), escaped=st.sets(st.integers(0, 23)))
def test_what_stands_around_a_key_is_kept(before: str, after: str, escaped: set[int]) -> None:
    written = "".join(f"\\u{ord(c):04x}" if n in escaped else c for n, c in enumerate(KEY))
    body = json.dumps([before, after]).replace(", ", f', "{written}", ', 1)
    if json.loads(body)[1] != KEY:
        return  # the comma was one of the text's own

    assert json.loads(_knows(KEY).hide(body.encode())) == [before, "[key]", after]


LANE_KEY = "zebra-lamp-0042-unlike-any-vendor"


def _provider(answer: httpx.Response | Exception) -> HttpProvider:
    def answering(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return HttpProvider(
        settings=ProviderSettings(base_url="https://api.example.com/v1"),
        lane=LANE,
        wire=wire_format("openai"),
        transport=OverHttpx(httpx.MockTransport(answering)),
        key=lambda: SecretStr(LANE_KEY),
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 503])
@pytest.mark.parametrize("written", [LANE_KEY, FORMS["each character escaped"](LANE_KEY)])
async def test_an_error_that_repeats_the_key_leaves_the_provider_without_it(
    status: int, written: str
) -> None:
    body = f'{{"error": {{"message": "no: {written}", "code": "{written}"}}}}'.encode()
    answer = httpx.Response(status, content=body, headers={"x-request-id": LANE_KEY})

    with pytest.raises(ProviderError) as raised:
        await _provider(answer).complete(CALL)

    said = f"{raised.value} {raised.value.failure} {raised.value.failure.body!r}"
    assert LANE_KEY not in said
    assert written not in said
    assert raised.value.failure.provider_request_id == "[key]"


async def test_a_broken_connection_that_repeats_the_key_leaves_the_provider_without_it() -> None:
    with pytest.raises(ProviderError) as raised:
        await _provider(httpx.ReadError(f"no {LANE_KEY}")).complete(CALL)

    assert LANE_KEY not in f"{raised.value} {raised.value.failure}"


async def test_an_answer_that_repeats_the_key_leaves_the_provider_without_it() -> None:
    call = {"id": LANE_KEY, "function": {"name": LANE_KEY, "arguments": LANE_KEY}}
    message = {"content": f"your key is {LANE_KEY}", "tool_calls": [call]}
    body = {"id": LANE_KEY, "model": LANE_KEY, "choices": [{"message": message}]}

    completion = await _provider(httpx.Response(200, json=body)).complete(CALL)

    assert LANE_KEY not in str(completion)
    assert completion.text == "your key is [key]"


def _streamed(*deltas: Mapping[str, object]) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": each}]} for each in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks).encode()


_HALVES = (LANE_KEY[:11], LANE_KEY[11:])


@pytest.mark.parametrize(
    "body",
    [
        _streamed(*({"content": letter} for letter in LANE_KEY)),
        _streamed({"content": "hello"}, *({"reasoning_content": half} for half in _HALVES)),
        _streamed(
            {"content": "hello"},
            *({"tool_calls": [{"index": 0, "function": {"arguments": half}}]} for half in _HALVES),
            {"tool_calls": [{"index": 0, "function": {"name": "f"}}]},
        ),
        json.dumps(
            {
                "choices": [
                    {"message": {"content": [{"type": "text", "text": half} for half in _HALVES]}}
                ]
            }
        ).encode(),
    ],
    ids=["letter by letter", "reasoning", "arguments of a tool", "parts of a text"],
)
async def test_an_answer_that_is_the_key_in_pieces_leaves_the_provider_without_it(
    body: bytes,
) -> None:
    completion = await _provider(httpx.Response(200, content=body)).complete(CALL)

    assert LANE_KEY not in f"{completion} {completion.tool_calls}"
    assert "".join(_HALVES) not in completion.kept.decode()
    assert b"key" in completion.kept
    assert completion.body == completion.kept


@pytest.mark.parametrize(
    "key", ['"Lamp"\\zebra\\<0042>&"x', "a'b<c>d&efghijkl", 'cookie="zebra0042"']
)
@pytest.mark.parametrize(
    "written",
    [
        lambda key: json.dumps({"error": key}),
        lambda key: json.dumps({"error": json.dumps({"said": key})}),
        lambda key: json.dumps({"error": html.escape(key)}),
        lambda key: json.dumps({"error": html.escape(key, quote=False)}),
        lambda key: json.dumps({"error": html.escape(key).replace("&#x27;", "&#39;")}),
    ],
    ids=["JSON", "JSON in JSON", "HTML", "HTML without quotes", "HTML with &#39;"],
)
def test_a_key_of_characters_that_have_names_is_hidden(
    key: str, written: Callable[[str], str]
) -> None:
    secrets = KnownSecrets()
    secrets.learn(key)

    shown = secrets.hide(written(key).encode())

    assert "[key]" in str(json.loads(shown))
    assert b"zebra" not in shown and b"efgh" not in shown
