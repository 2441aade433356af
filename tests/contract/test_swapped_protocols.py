"""A conversation that was begun in one protocol goes on in another, live."""

from typing import Any

import orjson
import pytest
from samples import lane

from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.local.simulator import Simulator, SimulatorOptions
from tollway_workers.providers.base import Completion, Provider, ProviderCall
from tollway_workers.providers.protocols import wire_format
from tollway_workers.providers.registry import ProviderRegistry

PROTOCOLS = ("openai", "responses", "anthropic", "gemini")
_ANSWER = {"name": "Oslo", "amount": 7}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "amount": {"type": "integer"}},
    "required": ["name", "amount"],
    "additionalProperties": False,
}
_OUTPUT = OutputSchema(json_schema=_SCHEMA)
_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
_ASKED = ChatRequest.model_validate(
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Where is this, and what does it cost?"},
                    {"type": "image_url", "image_url": {"url": _PIXEL}},
                ],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "book", "parameters": _SCHEMA}}],
        "tool_choice": "required",
        "max_output_tokens": 400,
    }
)


def _open(simulator: Simulator, protocol: str) -> Provider:
    base_url = simulator.base_url
    if protocol == "gemini":
        base_url = base_url.removesuffix("/v1") + "/v1beta"
    settings = ProviderSettings(base_url=base_url, protocol=protocol)
    return ProviderRegistry({"p": settings}).open(_lane(protocol))


def _lane(protocol: str) -> Any:
    return lane(provider_name="p", model="gemini-3-sim", protocol=protocol, stream="always")


async def _call(
    provider: Provider, job: str, request: ChatRequest, output: OutputSchema | None
) -> Completion:
    call = ProviderCall(
        body=provider.build(request, output), call_id=f"{job}/1/1", timeout=20.0, stream=True
    )
    return await provider.complete(call)


@pytest.mark.parametrize("first", PROTOCOLS)
@pytest.mark.parametrize("second", PROTOCOLS)
async def test_a_conversation_with_a_call_and_an_image_goes_on_in_another_protocol(
    first: str, second: str
) -> None:
    async with Simulator(SimulatorOptions(answers=dict.fromkeys(("a", "b"), _ANSWER))) as simulator:
        begun, other = _open(simulator, first), _open(simulator, second)
        said = await _call(begun, "a", _ASKED, None)
        (called,) = said.tool_calls
        turns = (
            *_ASKED.messages,
            Message(role="assistant", content=said.text, tool_calls=said.tool_calls),
            Message(role="tool", tool_call_id=called.id, content='{"booked": true}'),
        )
        going_on = _ASKED.model_copy(update={"messages": turns, "tool_choice": None})
        unsaid = wire_format(second).unsupported(going_on, _OUTPUT, _lane(second))
        completion = await _call(other, "b", going_on, _OUTPUT)
        for provider in (begun, other):
            await provider.aclose()

    assert orjson.loads(called.function.arguments) == _ANSWER
    assert unsaid == ()
    assert orjson.loads(completion.text or "") == _ANSWER
