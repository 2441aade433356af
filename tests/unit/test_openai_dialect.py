"""What servers refuse of a request's words, in their shapes, and how it is said then."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ProviderError
from tollway_workers.providers.base import ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.openai.dialect import refusals
from tollway_workers.providers.openai.errors import classify
from tollway_workers.providers.openai.request import build
from tollway_workers.providers.protocols import wire_format
from tollway_workers.testing import OverHttpx

NEW, OLD = "max_completion_tokens", "max_tokens"
NOTHING: frozenset[str] = frozenset()
LANE = lane(max_tokens_field=None)
ASKED = ChatRequest(messages=(Message(role="user", content="hi"),), max_output_tokens=9)
SHAPE = OutputSchema(json_schema={"type": "object", "properties": {"n": {"type": "integer"}}})


def _error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


def _refused(sent: dict[str, Any], answer: Any, status: int = 400) -> frozenset[str]:
    body = answer.encode() if isinstance(answer, str) else orjson.dumps(answer)
    asked = orjson.dumps({"model": "m", "messages": [], **sent})
    return refusals(classify(status, {}, body, asked), asked, NOTHING)


NAMES: list[tuple[str, int, Any]] = [
    (
        OLD,
        400,
        _error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            param=OLD,
            code="unsupported_parameter",
        ),
    ),
    (OLD, 400, _error("Unsupported parameter", param=OLD, code="unsupported_parameter")),
    (OLD, 400, _error("Please use max_completion_tokens instead of max_tokens.")),
    (OLD, 400, _error("`max_tokens` has been deprecated for this model")),
    (
        NEW,
        422,
        {"message": {"detail": [{"loc": ["body", NEW], "msg": "Extra inputs are not permitted"}]}},
    ),
    (NEW, 422, {"detail": [{"loc": ["body", NEW], "msg": "extra fields not permitted"}]}),
    (NEW, 400, _error("Unrecognized request argument supplied: max_completion_tokens")),
    (NEW, 400, [_error('Invalid JSON payload. Unknown name "max_completion_tokens": Cannot find')]),
    (NEW, 400, _error("max_completion_tokens: Extra inputs are not permitted")),
    (NEW, 400, _error("Extra inputs are not permitted, field: 'max_completion_tokens', value: 9")),
    (
        NEW,
        400,
        _error("property 'max_completion_tokens' is unsupported, did you mean 'max_tokens'?"),
    ),
    (
        NEW,
        400,
        _error(
            "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), "
            "'msg': 'Extra inputs are not permitted', 'input': 9}]"
        ),
    ),
    (
        NEW,
        422,
        "Failed to deserialize: unknown field `max_completion_tokens`, expected one of "
        "`messages`, `max_tokens` at line 1",
    ),
    (NEW, 400, {"error": 'json: unknown field "max_completion_tokens"'}),
    (NEW, 500, {"error": "create() got an unexpected keyword argument 'max_completion_tokens'"}),
    (
        NEW,
        400,
        _error("Additional properties are not allowed ('max_completion_tokens' was unexpected)"),
    ),
    (NEW, 422, {"detail": [{"loc": ["body", OLD], "msg": "Field required", "type": "missing"}]}),
    (NEW, 400, _error("Missing required parameter: max_tokens")),
    (
        NEW,
        400,
        _error(
            "Provider returned error",
            metadata={"raw": '{"message":"unknown field max_completion_tokens"}'},
        ),
    ),
]


@pytest.mark.parametrize(("name", "status", "answer"), NAMES)
def test_a_refused_name_of_the_limit_is_known_in_every_shape(
    name: str, status: int, answer: Any
) -> None:
    assert _refused({name: 9}, answer, status) == {name}


AMOUNTS = [
    _error("max_tokens is too large: 200000. This model supports at most 16384.", param=OLD),
    _error("max_tokens must be less than or equal to 8192", param=OLD, code="invalid_value"),
    _error("Input should be greater than 0", param=OLD),
    _error("Unsupported value: 'temperature' does not support 0.0", param="temperature"),
    _error("property 'foo' is unsupported, did you mean 'max_tokens'?"),
    _error("unknown field `foo`, expected one of `messages`, `max_tokens`"),
    _error("This model's maximum context length is 4096; reduce max_tokens"),
    _error("Bad request"),
    "<html>max_tokens</html>",
    "",
]


@pytest.mark.parametrize("answer", AMOUNTS)
def test_a_complaint_about_something_else_is_the_job_s(answer: Any) -> None:
    assert _refused({OLD: 9}, answer) == NOTHING


WHOLE_FORM, SCHEMA, OBJECT = (
    "response_format",
    "response_format:json_schema",
    "response_format:json_object",
)
FORMS: list[tuple[str, Any, str]] = [
    ("json_schema", _error("response_format is not supported by this model"), WHOLE_FORM),
    ("json_schema", _error("Unknown parameter: 'response_format'.", param=WHOLE_FORM), WHOLE_FORM),
    (
        "json_schema",
        {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]},
        WHOLE_FORM,
    ),
    (
        "json_schema",
        _error(
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with "
            "this model. Learn more: https://example.org",
            param=WHOLE_FORM,
        ),
        SCHEMA,
    ),
    ("json_schema", _error("This model does not support response format `json_schema`."), SCHEMA),
    ("json_schema", _error("This response_format type is unavailable now"), SCHEMA),
    (
        "json_schema",
        _error("response_format: unknown variant `json_schema`, expected `text` or `json_object`"),
        SCHEMA,
    ),
    (
        "json_schema",
        {
            "detail": [
                {
                    "loc": ["body", "response_format", "type"],
                    "msg": "unexpected value; permitted: 'text', 'json_object'",
                }
            ]
        },
        SCHEMA,
    ),
    ("json_object", {"error": "'response_format.type' must be 'json_schema' or 'text'"}, OBJECT),
]


@pytest.mark.parametrize(("kind", "answer", "refused"), FORMS)
def test_a_refused_form_of_the_answer_is_known(kind: str, answer: Any, refused: str) -> None:
    assert _refused({"response_format": {"type": kind}}, answer) == {refused}


SCHEMAS = [
    _error(
        "Invalid schema for response_format 'invoice': In context=(), 'required' is required to be "
        "supplied and to be an array including every key in properties. Missing 'due'.",
        param=WHOLE_FORM,
    ),
    _error("Invalid schema for response_format 'a': 'minLength' is not permitted."),
    _error(
        "Invalid 'response_format.json_schema.name': string does not match pattern.",
        param="response_format.json_schema.name",
    ),
    _error(
        "'messages' must contain the word 'json' to use 'response_format' of type 'json_object'"
    ),
]


@pytest.mark.parametrize("answer", SCHEMAS)
def test_a_schema_that_is_wrong_is_the_job_s(answer: Any) -> None:
    assert _refused({"response_format": {"type": "json_schema"}}, answer) == NOTHING


def _built(refused: frozenset[str] = NOTHING, **fields: Any) -> dict[str, Any]:
    output = fields.pop("output", None)
    configured = replace(LANE, max_tokens_field=fields.pop("max_tokens_field", None))
    sent: dict[str, Any] = orjson.loads(
        build(ASKED.model_copy(update=fields), output, configured, refused)
    )
    return sent


def test_the_limit_goes_out_under_the_caller_s_own_name() -> None:
    own = {"openai": {OLD: 5}}

    assert _built() == _built(max_tokens_field=NEW)
    assert (_built()[NEW], OLD in _built()) == (9, False)
    # The amount is the request's: it may have been raised since.
    assert (_built(extras=own)[OLD], NEW in _built(extras=own)) == (9, False)
    assert _built(extras=own, max_output_tokens=None)[OLD] == 5
    assert _built(extras=own, max_tokens_field=NEW)[NEW] == 9
    assert not {OLD, NEW} & _built(max_output_tokens=None).keys()


def test_the_limit_goes_out_under_the_other_name_where_one_is_refused() -> None:
    assert _built(frozenset({NEW}))[OLD] == 9
    assert _built(frozenset({OLD}), extras={"openai": {OLD: 5}})[NEW] == 9
    assert _built(frozenset({OLD}), max_tokens_field=OLD)[NEW] == 9
    assert _built(frozenset({OLD, NEW}), extras={"openai": {OLD: 5}})[OLD] == 9


def test_a_form_that_is_refused_is_asked_for_in_the_prompt() -> None:
    schema = _built(output=SHAPE)
    as_object = _built(frozenset({SCHEMA}), output=SHAPE)
    in_words = _built(frozenset({WHOLE_FORM}), output=SHAPE)

    assert schema["response_format"]["type"] == "json_schema"
    assert as_object["response_format"] == {"type": "json_object"}
    assert "response_format" not in in_words
    assert '"integer"' in as_object["messages"][0]["content"]
    assert in_words["messages"] == as_object["messages"]
    assert _built(frozenset({SCHEMA, OBJECT}), output=SHAPE) == in_words


_STREAMING: list[tuple[Any, int, set[str]]] = [
    (_error("Unsupported parameter: 'stream_options'", param="stream_options"), 400,
     {"stream_options"}),
    ({"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]},
     422, {"stream_options"}),
    (_error("unknown field include_usage: not supported"), 400, {"stream_options"}),
    (_error("Your organization must be verified to stream this model.", param="stream",
            code="unsupported_value"), 400, {"stream"}),
    (_error("Streaming is not supported for this model"), 400, {"stream"}),
    (_error("upstream does not support this"), 400, set()),
    (_error("streaming is not available now"), 503, set()),
    (_error("Invalid value: 'x'", param="messages"), 400, set()),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "status", "refused"), _STREAMING)
def test_a_server_that_refuses_streams_or_their_options_is_known_by_its_words(
    answer: Any, status: int, refused: set[str]
) -> None:
    sent = {"stream": True, "stream_options": {"include_usage": True}}

    assert _refused(sent, answer, status) == refused
    assert _refused({}, answer, status) == frozenset()


class Server:
    """A provider whose server answers as `answering` says, and what it was sent."""

    def __init__(self, answering: Callable[[dict[str, Any]], httpx.Response]) -> None:
        self.sent: list[dict[str, Any]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            self.sent.append(orjson.loads(request.content))
            return answering(self.sent[-1])

        self._provider = HttpProvider(
            settings=ProviderSettings(base_url="https://api.example.com/v1"),
            lane=LANE,
            wire=wire_format("openai"),
            transport=OverHttpx(httpx.MockTransport(answer)),
        )

    def built(self, request: ChatRequest = ASKED, output: OutputSchema | None = None) -> bytes:
        return self._provider.build(request, output)

    async def ending(self, body: bytes) -> FailureClass | None:
        """How a call ends: the class of its failure, or None."""
        try:
            await self._provider.complete(ProviderCall(body=body, call_id="j/1/1", timeout=5.0))
        except ProviderError as error:
            return error.failure.failure_class
        return None


ANSWER = httpx.Response(
    200, json={"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
)


def _refusing(name: str) -> Callable[[dict[str, Any]], httpx.Response]:
    problem = {"detail": [{"loc": ["body", name], "msg": "Extra inputs are not permitted"}]}
    return lambda body: httpx.Response(422, json=problem) if name in body else ANSWER


async def test_a_server_that_refuses_a_name_is_asked_with_the_other_from_then_on() -> None:
    server = Server(_refusing(NEW))
    # Two calls are in flight before it is known.
    bodies = [server.built(), server.built()]

    endings = [await server.ending(body) for body in bodies]

    assert endings[0] is FailureClass.UNSUPPORTED_FIELD
    assert await server.ending(server.built()) is None
    assert [sorted(body.keys() & {OLD, NEW}) for body in server.sent] == [[NEW], [NEW], [OLD]]


async def test_a_server_that_refuses_both_names_is_not_asked_again_and_again() -> None:
    def answer(body: dict[str, Any]) -> httpx.Response:
        name = OLD if OLD in body else NEW
        return httpx.Response(400, json=_error(f"unknown field {name}"))

    server = Server(answer)

    endings = [await server.ending(server.built()) for _ in range(4)]

    assert endings == [FailureClass.UNSUPPORTED_FIELD, *[FailureClass.INVALID_REQUEST] * 3]


async def test_a_form_that_the_caller_insists_on_is_refused_for_good() -> None:
    server = Server(_refusing("response_format"))
    insisting = ASKED.model_copy(
        update={"extras": {"openai": {"response_format": {"type": "json_object"}}}}
    )

    endings = [await server.ending(server.built(insisting)) for _ in range(3)]

    assert endings[1:] == [FailureClass.INVALID_REQUEST] * 2
