"""OpenAI's own client reads what the simulator says, in chat completions and in Responses."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import orjson
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import SecretStr

from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions

_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "amount": {"type": "integer"}},
    "required": ["name", "amount"],
    "additionalProperties": False,
}
_BOOK: dict[str, Any] = {"name": "book", "description": "Books it.", "parameters": _SCHEMA}
_FORMAT = {"type": "json_schema", "name": "a", "schema": _SCHEMA, "strict": True}
_ASKED = "What does it cost?"
_FLAT = [{"type": "function", "strict": True, **_BOOK}]
_NESTED = [{"type": "function", "function": {"strict": True, **_BOOK}}]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


def _client(sim: Simulator) -> AsyncOpenAI:
    named = {"X-Job-Id": "job-1"}
    return AsyncOpenAI(base_url=sim.base_url, api_key="key-1", max_retries=0, default_headers=named)


async def _respond(sim: Simulator, **fields: Any) -> Response:
    given: dict[str, Any] = {"model": "gpt-sim", "input": _ASKED} | fields
    async with _client(sim) as client:
        response: Response = await client.responses.create(**given)
    return response


async def _stream(sim: Simulator, **fields: Any) -> tuple[list[str], Response]:
    given: dict[str, Any] = {"model": "gpt-sim", "input": _ASKED} | fields
    async with _client(sim) as client, client.responses.stream(**given) as stream:
        events: list[Any] = [event async for event in stream]
    return [event.type for event in events], events[-1].response


async def _chat(sim: Simulator, **fields: Any) -> ChatCompletion:
    messages = [{"role": "user", "content": _ASKED}]
    given: dict[str, Any] = {"model": "gpt-sim", "messages": messages} | fields
    async with _client(sim) as client:
        completion: ChatCompletion = await client.chat.completions.create(**given)
    return completion


async def _chat_stream(sim: Simulator, **fields: Any) -> ChatCompletion:
    given: dict[str, Any] = {"messages": [{"role": "user", "content": _ASKED}]} | fields
    options: Any = {"include_usage": True}
    async with (
        _client(sim) as client,
        client.chat.completions.stream(model="gpt-sim", stream_options=options, **given) as stream,
    ):
        return await stream.get_final_completion()


async def test_a_plain_response(sim: Simulator) -> None:
    response = await _respond(sim, instructions="Be brief.")

    assert response.output_text
    assert (response.status, response.model) == ("completed", "gpt-sim")
    assert response.usage is not None
    assert response.usage.input_tokens == (4 + 3) + (4 + 5)
    (call,) = sim.calls
    assert (call.protocol, call.ending) == ("responses", "ok")
    assert call.completion_tokens == response.usage.output_tokens


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": _FLAT, "tool_choice": "required"},
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"reasoning": {"effort": "high"}, "max_output_tokens": 16},
        {"text": {"format": _FORMAT}},
        {"max_output_tokens": 20, "reasoning": {"effort": "low"}, "text": {"format": _FORMAT}},
    ],
    ids=["text", "tool", "thinking", "only-thinking", "schema", "cut"],
)
async def test_a_streamed_response_comes_to_what_the_plain_one_is(
    sim: Simulator, fields: dict[str, Any]
) -> None:
    plain = await _respond(sim, **fields)
    kinds, streamed = await _stream(sim, **fields)

    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == f"response.{plain.status}"
    opened = sorted(each.removesuffix(".added") for each in kinds if each.endswith(".added"))
    # Whatever is opened is closed, and nothing else is.
    assert opened == sorted(
        each.removesuffix(".done") for each in kinds if each.endswith(("item.done", "part.done"))
    )
    # Ids count the calls of a job.
    ids = {"id", "call_id", "parsed_arguments", "content"}
    unlike: Any = {"id": True, "created_at": True, "completed_at": True, "output": {"__all__": ids}}
    assert streamed.model_dump(exclude=unlike) == plain.model_dump(exclude=unlike)
    assert streamed.output_text == plain.output_text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "book"}])
async def test_a_function_that_must_be_called_gets_arguments_of_its_schema(
    sim: Simulator, choice: Any
) -> None:
    response = await _respond(sim, tools=_FLAT, tool_choice=choice)

    (item,) = response.output
    assert item.type == "function_call" and item.name == "book"
    assert set(orjson.loads(item.arguments)) == {"name", "amount"}


async def test_who_has_the_results_is_answered_in_words(sim: Simulator) -> None:
    first = await _respond(sim, tools=_FLAT, tool_choice="required")
    (item,) = first.output
    assert item.type == "function_call"
    result = {"type": "function_call_output", "call_id": item.call_id, "output": "done"}
    said = [{"role": "user", "content": _ASKED}, item.to_dict(), result]

    second = await _respond(sim, tools=_FLAT, input=said)

    assert second.output_text


async def test_reasoning_counts_and_is_shown_to_who_asks(sim: Simulator) -> None:
    response = await _respond(
        sim,
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
    )

    thought, _ = response.output
    assert thought.type == "reasoning" and thought.summary[0].text and thought.encrypted_content
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == 16


async def test_a_refusal_is_a_part_of_its_own() -> None:
    async with Simulator(SimulatorOptions(faults=(Fault(kind=FaultKind.REFUSAL),))) as sim:
        response = await _respond(sim)
        kinds, _ = await _stream(sim)

    (message,) = response.output
    assert message.type == "message"
    assert message.content[0].type == "refusal" and message.content[0].refusal
    assert "response.refusal.delta" in kinds


async def test_a_long_prompt_that_was_read_before_is_cached_for_both(sim: Simulator) -> None:
    asked = "word " * 900
    chats = [await _chat(sim, messages=[{"role": "user", "content": asked}]) for _ in range(2)]
    responses = [await _respond(sim, input=asked) for _ in range(2)]

    details = [each.usage.prompt_tokens_details for each in chats if each.usage]
    assert [each.cached_tokens for each in details if each] == [0, 1129 // 128 * 128]
    used = [each.usage.input_tokens_details for each in responses if each.usage]
    # It is the prompt that is known, whichever way it came.
    assert [each.cached_tokens for each in used] == [1129 // 128 * 128] * 2


async def test_an_image_is_read(sim: Simulator) -> None:
    content = [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        {"type": "input_text", "text": "What is it?"},
    ]

    response = await _respond(sim, input=[{"role": "user", "content": content}])

    assert response.usage is not None and response.usage.input_tokens == 4 + 85 + 3


@pytest.mark.parametrize("ask", [_respond, _chat], ids=["responses", "chat"])
@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("401", openai.AuthenticationError, "invalid_api_key"),
        ("404", openai.NotFoundError, "model_not_found"),
        ("429", openai.RateLimitError, "rate_limit_exceeded"),
        ("insufficient_quota", openai.RateLimitError, "insufficient_quota"),
        ("context_length", openai.BadRequestError, "context_length_exceeded"),
        ("500", openai.InternalServerError, None),
        ("503", openai.APIStatusError, "service_unavailable"),
        ("529", openai.APIStatusError, "server_is_overloaded"),
    ],
)
async def test_an_error_is_of_the_clients_own_class(
    ask: Any, kind: str, error: type[openai.APIStatusError], code: str | None
) -> None:
    async with Simulator(SimulatorOptions(faults=(Fault(kind=FaultKind(kind)),))) as sim:
        with pytest.raises(error) as caught:
            await ask(sim)
        (call,) = sim.calls

    assert caught.value.code == code
    assert caught.value.request_id == "req_000000000001"
    assert (call.fault, call.billed) == (kind, False)


@pytest.mark.parametrize(
    "body",
    [
        {"input": None},
        {"input": []},
        {"messages": []},
        {"seed": 1},
        {"stop": ["x"]},
        {"max_tokens": 50},
        {"max_output_tokens": 15},
        {"response_format": {"type": "json_object"}},
        {"text": {"format": {"type": "json_object"}}},
        {"text": {"format": {"type": "json_schema", "schema": _SCHEMA}}},
        {"text": {"format": {"type": "json_schema", "json_schema": _FORMAT}}},
        {"tools": _NESTED},
        {"tool_choice": "required"},
        {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        {"input": [{"role": "tool", "content": "x"}]},
        {"input": [{"type": "function_call_output", "call_id": "a", "output": "x"}]},
        {"input": [{"type": "function_call", "call_id": "a", "name": "b", "arguments": "{}"}]},
    ],
)
async def test_a_request_that_responses_would_refuse_is_refused(
    sim: Simulator, body: dict[str, Any]
) -> None:
    asked = {"model": "gpt-sim", "input": "hello"} | body

    async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - no TLS
        response = await http.post(f"{sim.base_url}/responses", json=asked)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_only_the_right_key_opens() -> None:
    async with Simulator(SimulatorOptions(required_key=SecretStr("right"))) as sim:
        async with AsyncOpenAI(base_url=sim.base_url, api_key="right", max_retries=0) as client:
            await client.responses.create(model="m", input=_ASKED)
        with pytest.raises(openai.AuthenticationError):
            await _respond(sim)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": _NESTED, "tool_choice": "required"},
        {"reasoning_effort": "low"},
        {"max_completion_tokens": 2},
    ],
    ids=["text", "tool", "thinking", "cut"],
)
async def test_a_streamed_chat_comes_to_what_the_plain_one_is(
    sim: Simulator, fields: dict[str, Any]
) -> None:
    plain: Any = (await _chat(sim, **fields)).to_dict()
    try:
        streamed: Any = (await _chat_stream(sim, **fields)).to_dict()
    except openai.LengthFinishReasonError as error:
        streamed = error.completion.to_dict()

    for each in (plain, streamed):
        # Ids count the calls of a job.
        for choice in each["choices"]:
            for call in choice["message"].get("tool_calls") or ():
                call.pop("id")
                call.pop("index", None)
                call["function"].pop("parsed_arguments", None)
    assert _said(streamed) == _said(plain)
    assert streamed["usage"] == plain["usage"]


def _said(chat: Any) -> Any:
    (choice,) = chat["choices"]
    message = choice["message"]
    return choice["finish_reason"], message.get("content"), message.get("tool_calls")


async def test_a_chats_function_gets_arguments_of_its_schema(sim: Simulator) -> None:
    chosen = {"type": "function", "function": {"name": "book"}}

    completion = await _chat(sim, tools=_NESTED, tool_choice=chosen)

    (choice,) = completion.choices
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "book"
    assert set(orjson.loads(call.function.arguments)) == {"name", "amount"}
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
