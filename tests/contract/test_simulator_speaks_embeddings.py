"""OpenAI's own client reads the vectors that the simulator says, and its errors."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import CreateEmbeddingResponse

from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


async def _embed(sim: Simulator, given: Any, **fields: Any) -> CreateEmbeddingResponse:
    asked: dict[str, Any] = {"model": "m", "input": given} | fields
    async with AsyncOpenAI(base_url=sim.base_url, api_key="key-1", max_retries=0) as client:
        said: CreateEmbeddingResponse = await client.embeddings.create(**asked)
    return said


async def test_each_input_has_a_vector_of_unit_length_and_equal_ones_the_same(
    sim: Simulator,
) -> None:
    said = await _embed(sim, ["a cat", "a dog", "a cat"], dimensions=32)

    vectors = [each.embedding for each in said.data]
    assert [each.index for each in said.data] == [0, 1, 2]
    assert {len(vector) for vector in vectors} == {32}
    assert vectors[0] == vectors[2] != vectors[1]
    assert all(sum(x * x for x in vector) == pytest.approx(1.0, abs=1e-6) for vector in vectors)
    assert said.usage.prompt_tokens == said.usage.total_tokens == 6


async def test_digits_and_base64_say_the_same(sim: Simulator) -> None:
    (digits,) = (await _embed(sim, "a cat", encoding_format="float")).data
    # The client itself asks for base64 where its caller says nothing.
    (packed,) = (await _embed(sim, "a cat")).data

    assert packed.embedding == pytest.approx(digits.embedding, abs=1e-7)
    assert len(packed.embedding) == 256


async def test_what_has_more_in_common_is_nearer(sim: Simulator) -> None:
    asked = ("capital of France", "the capital city of France", "sort a list in Python")
    first, *others = (each.embedding for each in (await _embed(sim, list(asked))).data)

    near = [sum(x * y for x, y in zip(first, other, strict=True)) for other in (first, *others)]
    assert all(one > other + 0.1 for one, other in pairwise(near))


@pytest.mark.parametrize(
    "asked",
    [
        {"input": []},
        {"input": ""},
        {"input": ["a", ""]},
        {"input": [["a"]]},
        {"input": ["a"] * 2_049},
        {"input": "a", "dimensions": 0},
        {"input": "a", "dimensions": 9_999},
        {"input": "a", "encoding_format": "binary"},
        {"input": "abcd" * 8_193},
        {"input": "a", "extra_body": {"temperature": 1}},
        {"input": "a", "model": ""},
    ],
    ids=lambda asked: " ".join(asked),
)
async def test_what_openai_refuses_is_refused(sim: Simulator, asked: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        await _embed(sim, asked.pop("input"), **asked)


async def test_prompts_alone_are_charged_and_what_is_left_is_told() -> None:
    options = SimulatorOptions(tokens_per_minute=8)
    async with Simulator(options) as sim:
        await _embed(sim, "abcd" * 6)
        with pytest.raises(openai.RateLimitError) as refused:
            await _embed(sim, "abcd" * 6)

    assert refused.value.response.headers["x-ratelimit-limit-tokens"] == "8"
    assert [call.charged_tokens for call in sim.calls] == [6, 0]
    assert sim.calls[0].completion_tokens == 0


@pytest.mark.parametrize(
    ("kind", "vectors"), [(FaultKind.EMPTY, 0), (FaultKind.WRONG_SHAPE, 1), (FaultKind.REFUSAL, 2)]
)
async def test_a_fault_spoils_the_form_and_none_spoils_words(kind: FaultKind, vectors: int) -> None:
    async with Simulator(SimulatorOptions(faults=(Fault(kind=kind),))) as sim:
        asked = {"encoding_format": "float"}
        if vectors:
            assert len((await _embed(sim, ["a", "b"], **asked)).data) == vectors
        else:
            with pytest.raises(ValueError, match="No embedding data"):
                await _embed(sim, ["a", "b"])


async def test_a_scripted_error_is_said_as_for_chats() -> None:
    fault = Fault(kind=FaultKind.UNAVAILABLE)
    async with Simulator(SimulatorOptions(faults=(fault,))) as sim:
        with pytest.raises(openai.InternalServerError):
            await _embed(sim, "a")
