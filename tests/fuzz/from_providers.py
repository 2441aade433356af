"""What a provider may answer, and what an answer is held against."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import brotli
import httpx
import orjson
from backports import zstd
from mutations import Case
from pydantic import SecretStr
from samples import NOW, job, lane, progress
from scripted_provider import completion
from target import Run, Target

from tollway_schemas.codec import decode
from tollway_schemas.errors import SchemaError
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Reply
from tollway_schemas.request import OutputSchema
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import InvalidResult, InvalidSchema, ProviderError
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.outcome import Completed
from tollway_workers.providers.base import Completion, ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.protocols import wire_format
from tollway_workers.testing import OverHttpx
from tollway_workers.validation.validator import ResultValidator

_KEY = "kx-0123456789abcdef"


# ---------------------------------------------------------------------------------- responses


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes, parts: int) -> None:
        self._body, self._parts = body, parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = max(1, len(self._body) // self._parts)
        for begin in range(0, len(self._body), size):
            yield self._body[begin : begin + size]


class _Scripted(httpx.AsyncBaseTransport):
    """Answers what `case` says: status, headers, body, which comes in about so many `parts`."""

    case: Case = ()
    parts: int = 3

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        status, headers, body, *_ = self.case
        code = int(status[:3]) if status[:3].isdigit() else 1 + len(status) % 999
        if code == 0:
            raise httpx.ReadError(body[:200].decode("latin-1"), request=request)
        return httpx.Response(code, headers=_raw(headers), stream=_Pieces(body, self.parts))


def _raw(part: bytes) -> list[tuple[bytes, bytes]]:
    """Headers as a lenient parser lets them through: any bytes but line breaks."""
    lines = (line.partition(b":") for line in part.replace(b"\r", b"").split(b"\n"))
    return [(name.strip() or b"x", value.strip()) for name, _, value in lines]


@asynccontextmanager
async def responses(protocol: str = "openai") -> AsyncIterator[Run]:
    """Whatever a server of this protocol says is an answer, or a failure that tells no key."""
    transport, validator = _Scripted(), ResultValidator()
    provider = HttpProvider(
        settings=ProviderSettings(base_url="https://api.example.com/v1"),
        lane=lane(),
        wire=wire_format(protocol),
        transport=OverHttpx(transport),
        key=lambda: SecretStr(_KEY),
    )

    async def run(case: Case) -> None:
        transport.case = case
        try:
            call = ProviderCall(body=_SENT, call_id="job-1/1/1", timeout=5.0)
            completed = await provider.complete(call)
        except ProviderError as error:
            failure = error.failure
            assert len(failure.message) <= 1_000
            assert _KEY not in f"{failure.message}{failure.provider_code}{failure.body!r}"
            return
        assert _KEY.encode() not in completed.body + completed.kept
        await _replied(validator, completed)

    yield run
    await provider.aclose()


@asynccontextmanager
async def streams(protocol: str = "openai") -> AsyncIterator[Run]:
    """The same bytes mean the same, wherever they are cut."""
    transport, validator = _Scripted(), ResultValidator()
    provider = HttpProvider(
        settings=ProviderSettings(base_url="https://api.example.com/v1"),
        lane=lane(stream="always", first_token_timeout=3.0, idle_timeout=3.0),
        wire=wire_format(protocol),
        transport=OverHttpx(transport),
        key=lambda: SecretStr(_KEY),
    )

    async def run(case: Case) -> None:
        transport.case = case
        meanings: list[tuple[object, ...]] = []
        for parts in (1, 40):
            transport.parts = parts
            call = ProviderCall(body=_SENT, call_id="job-1/1/1", timeout=5.0, stream=True)
            try:
                completed = await provider.complete(call)
            except ProviderError as error:
                failure = error.failure
                assert _KEY not in f"{failure.message}{failure.body!r}"
                meanings.append((failure.failure_class.value,))
            else:
                assert _KEY.encode() not in completed.body + completed.kept
                # Nothing that was cut is taken for an answer.
                assert completed.finish_reason or not call.received.streamed
                meanings.append((completed.text, completed.tool_calls))
                await _replied(validator, completed)
        assert meanings[0] == meanings[1]

    yield run
    await provider.aclose()


async def _replied(validator: ResultValidator, completed: Completion) -> None:
    """What passes for an answer can be written, and be read by a service."""
    try:
        answer = await validator.validate(None, completed)
    except (InvalidResult, ProviderError):
        return
    the_job = progress(job())
    served, whole = completed.model_served, not completed.deep
    ending = Completed(answer, Provenance.LIVE, "main", served, body=completed.kept, whole=whole)
    decode(Reply, outgoing.reply(the_job, ending, dead=False, worker="w", now=NOW))


_SENT = orjson.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 5}
)
_COMPLETION = {
    "id": "c-1",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "<think>hm</think>hello",
                "refusal": None,
                "tool_calls": None,
            },
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}
_CALLS = {
    "choices": [
        {
            "message": {
                "content": [{"type": "text", "text": "so"}],
                "tool_calls": [
                    {
                        "id": "t",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a": 1}'},
                    }
                ],
            },
            "finish_reason": "tool_calls",
        }
    ]
}
_REFUSED = {
    "error": {
        "message": f"Unsupported parameter: 'max_completion_tokens' (key {_KEY})",
        "type": "invalid_request_error",
        "param": "max_completion_tokens",
        "code": "unsupported_parameter",
    }
}
_STREAM = b"".join(
    b"data: " + orjson.dumps(each) + b"\n\n"
    for each in (
        {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "he"}}]},
        {"choices": [{"index": 0, "delta": {"content": "llo"}, "finish_reason": None}]},
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        },
    )
)
_MORE_STREAMS = (
    b": PROCESSING\r\n\r\nevent: message\r\n" + _STREAM.replace(b"\n", b"\r\n"),
    b"".join(
        b"data: " + orjson.dumps(each) + b"\n\n"
        for each in (
            {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
            {"choices": [{"index": 0, "delta": {"reasoning_content": "hm \u2028"}}]},
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": "so"},
                        "logprobs": {"content": [{"token": "so", "logprob": -0.1}]},
                    }
                ]
            },
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {
                            "tool_calls": [
                                {"index": 0, "id": "t", "function": {"name": "f", "arguments": "{"}}
                            ]
                        },
                    }
                ]
            },
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
        )
    ),
    _STREAM[:90] + b'data: {"error": {"message": "overloaded ' + _KEY.encode() + b'"}}\n\n',
    b'event: error\ndata: {\ndata: "code": 429}\n\n',
)
_JSON_TYPE = b"content-type: application/json; charset=utf-8\nx-request-id: r-1"
_LIMITS = (
    b"retry-after: 7\nx-ratelimit-limit-tokens: 1000\nx-ratelimit-remaining-tokens: 5\n"
    b"x-ratelimit-reset-tokens: 1m2.5s\nx-ratelimit-remaining-requests: 0\nretry-after-ms: 5"
)
_RESPONSES: tuple[Case, ...] = (
    (b"200", _JSON_TYPE + b"\n" + _LIMITS, orjson.dumps(_COMPLETION)),
    (b"200", _JSON_TYPE, orjson.dumps(_CALLS)),
    (b"200", b"content-encoding: gzip", gzip.compress(orjson.dumps(_COMPLETION), mtime=0)),
    (b"200", b"content-encoding: deflate", zlib.compress(orjson.dumps(_COMPLETION))),
    (b"200", b"content-type: text/event-stream", _STREAM + b"data: [DONE]\n\n"),
    (b"200", b"content-type: text/html", b"<html><title>Sign in</title></html>"),
    (b"400", _JSON_TYPE, orjson.dumps(_REFUSED)),
    (b"401", b"x-request-id: " + _KEY.encode(), b"no such key: " + _KEY.encode()),
    (b"429", _LIMITS, orjson.dumps({"error": {"code": "rate_limit_exceeded", "message": "no"}})),
    (b"503", b"retry-after: Wed, 21 Oct 2026 07:28:00 GMT", b"busy"),
    (b"000", b"", b"connection reset " + _KEY.encode()),
)


_EVENT_TYPE = b"content-type: text/event-stream"
_STREAMS: tuple[Case, ...] = (
    *((b"200", _EVENT_TYPE, each + b"data: [DONE]\n\n") for each in (_STREAM, *_MORE_STREAMS)),
    (b"200", _EVENT_TYPE + b"\ncontent-encoding: gzip", gzip.compress(_STREAM, mtime=0)),
    (b"200", _EVENT_TYPE + b"\ncontent-encoding: br", brotli.compress(_STREAM)),
    (b"200", _EVENT_TYPE + b"\ncontent-encoding: zstd", zstd.compress(_STREAM)),
    (b"200", _JSON_TYPE, orjson.dumps(_COMPLETION)),
    (b"503", _EVENT_TYPE, b'data: {"error": {"message": "busy"}}\n\n'),
)


# ------------------------------------------------------------------------------------- answers


@asynccontextmanager
async def _answers() -> AsyncIterator[Run]:
    validator = ResultValidator()

    async def run(case: Case) -> None:
        schema, answer = case
        try:
            output = OutputSchema.model_validate_json(b'{"json_schema":' + schema + b"}")
            encoded = validator.check(output)
            if validator.compiles_elsewhere(output, encoded):
                await validator.compile(output, encoded)
            said = completion(answer.decode("utf-8", "replace"))
            found = await validator.validate(output, said, encoded)
        except (SchemaError, InvalidSchema, InvalidResult, ProviderError) as error:
            assert len(str(error)) < 10_000
            return
        assert json.loads(found.text or "") == found.parsed

    yield run


_SCHEMAS = (
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^[a-z]+$"},
            "kind": {"enum": ["a", "b", 3, None]},
            "items": {
                "type": "array",
                "items": {"$ref": "#/$defs/item"},
                "uniqueItems": True,
                "minItems": 1,
            },
        },
        "required": ["name"],
        "additionalProperties": False,
        "$defs": {
            "item": {
                "anyOf": [
                    {"type": "number", "multipleOf": 0.5, "exclusiveMaximum": 100},
                    {"type": "object", "patternProperties": {"^x": {"$ref": "#/$defs/item"}}},
                ]
            }
        },
    },
    {
        "if": {"properties": {"a": {"const": 1}}},
        "then": {"required": ["b"]},
        "else": {"not": {"required": ["b"]}},
        "dependentRequired": {"b": ["a"]},
        "propertyNames": {"pattern": "^.{1,3}$"},
        "unevaluatedProperties": {"format": "date-time", "type": ["string", "integer"]},
    },
)
_ANSWER_TEXTS = (
    b'{"name": "abc", "kind": 3, "items": [1, 2.5, {"x1": 3}]}',
    b'Sure:\n```json\n{"name": "abc"}\n```\n<think>{"name": 1}</think>',
    b'{"a": 1, "b": 2}',
)
_ANSWERS = tuple((orjson.dumps(schema), text) for schema in _SCHEMAS for text in _ANSWER_TEXTS)

TARGETS = (
    Target(name="responses", seeds=_RESPONSES, opened=responses),
    Target(name="streams", seeds=_STREAMS, opened=streams),
    Target(name="answers", seeds=_ANSWERS, opened=_answers),
)
