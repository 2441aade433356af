"""Vectors of a model on this machine: which texts have one, when there is none, and why."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest
from eventually import eventually
from tiny_onnx import write_model

from tollway_workers.config.shape.embedder import EmbedderSettings
from tollway_workers.embedding.model_folder import UnusableModel, read_folder
from tollway_workers.embedding.onnx_embedder import OnnxEmbedder
from tollway_workers.embedding.onnx_model import OnnxModel
from tollway_workers.errors import EmbedderError


def model(folder: Path, **settings: Any) -> OnnxModel:
    return OnnxModel(read_folder(EmbedderSettings(folder=str(folder), **settings)))


@asynccontextmanager
async def embedder(folder: Path) -> AsyncIterator[OnnxEmbedder]:
    opened = OnnxEmbedder(model(folder), timeout=5)
    try:
        yield opened
    finally:
        await opened.aclose()


async def test_a_text_has_one_vector_of_unit_length_whatever_is_asked_with_it(
    tmp_path: Path,
) -> None:
    async with embedder(write_model(tmp_path)) as opened:
        (alone,) = await opened.embed(["abc"])
        beside = await opened.embed(["a much longer text than the other", "abc", "zz"])

    assert alone.dtype == np.float32
    assert float(alone @ alone) == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(alone, beside[1])
    assert not np.array_equal(alone, beside[2])


def test_another_model_has_another_id_and_the_same_one_the_same_wherever_it_lies(
    tmp_path: Path,
) -> None:
    first = model(write_model(tmp_path / "a"))
    same = model(write_model(tmp_path / "b"))
    other = model(write_model(tmp_path / "c", seed=1))
    longer = model(write_model(tmp_path / "d", dimensions=16))

    assert first.id == same.id
    assert len({first.id, other.id, longer.id}) == 3
    assert longer.id.endswith(":16")


def test_another_pooling_is_another_model(tmp_path: Path) -> None:
    mean = model(write_model(tmp_path))
    _pools(tmp_path, "max_tokens")
    largest = model(tmp_path)

    assert mean.id != largest.id
    assert not np.array_equal(mean.vector("abc"), largest.vector("abc"))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("abc", True),
        ("[SEP]", False),  # As text: brackets are none of its letters.
        ("ab?", False),
        ("\ud800", False),
        ("你好", False),
        ("a" * 14, True),
        ("a" * 15, False),
        (" " * 1_000_000, False),
    ],
)
def test_a_text_fits_where_all_of_it_is_seen_and_known(
    tmp_path: Path, text: str, fits: bool
) -> None:
    opened = model(write_model(tmp_path), window=16)

    assert opened.fits(text) is fits


async def test_a_text_that_does_not_fit_has_no_vector_that_would_say_less_than_it(
    tmp_path: Path,
) -> None:
    async with embedder(write_model(tmp_path)) as opened:
        with pytest.raises(EmbedderError, match="longer than the model's window"):
            await opened.embed(["a" * 300])


@pytest.mark.parametrize(
    ("file", "said", "window"),
    [
        ("sentence_bert_config.json", '{"max_seq_length": 20}', 20),
        ("config.json", '{"max_position_embeddings": 30}', 30),
        ("tokenizer_config.json", '{"model_max_length": 40}', 40),
        ("tokenizer_config.json", '{"model_max_length": 1000000000000000019884624838656}', 256),
        ("config.json", "[]", 256),
    ],
)
def test_the_window_is_what_the_model_s_makers_say(
    tmp_path: Path, file: str, said: str, window: int
) -> None:
    write_model(tmp_path)
    (tmp_path / file).write_text(said)

    assert read_folder(EmbedderSettings(folder=str(tmp_path))).window == window


def _pools(folder: Path, kind: str) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(f'{{"pooling_mode_{kind}": true}}')


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def _normalizes_by(folder: Path, table: str) -> None:
    """By a damaged table: the tokenizer's Rust code panics."""
    file = folder / "tokenizer.json"
    normalizer = {"type": "Precompiled", "precompiled_charsmap": table}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"normalizer": normalizer}))


_DAMAGES: dict[str, Callable[[Path], object]] = {
    "is no folder on this machine": rmtree,
    "holds no model.onnx and no onnx/model.onnx": lambda folder: (folder / "model.onnx").unlink(),
    "needs tokenizer.json, which does not exist": lambda folder: (
        folder / "tokenizer.json"
    ).unlink(),
    "has a model.onnx that is no model that can be run": lambda folder: _cut(folder / "model.onnx"),
    "has a tokenizer.json that is none": lambda folder: (folder / "tokenizer.json").write_text(
        '{"a": 1}'
    ),
    "is no model of texts: its inputs are others": lambda folder: write_model(
        folder, inputs=("input_ids", "pixel_values")
    ),
    "is no model of texts: it answers nothing": lambda folder: write_model(folder, outputs=()),
    "has a config.json that is no JSON": lambda folder: (folder / "config.json").write_text("{"),
    "wants a pooling that is not known here (1_Pooling/config.json)": lambda folder: _pools(
        folder, "lasttoken"
    ),
    "makes no vector of plain text": lambda folder: write_model(folder, dimensions=0),
}


@pytest.mark.parametrize("says", _DAMAGES)
def test_a_folder_that_holds_no_model_is_said_in_one_clause(tmp_path: Path, says: str) -> None:
    folder = write_model(tmp_path / "model")
    _DAMAGES[says](folder)

    with pytest.raises(UnusableModel) as said:
        model(folder)

    assert str(said.value) == says


def test_a_folder_that_the_machine_lets_nobody_look_into_is_said_in_one_clause(
    tmp_path: Path,
) -> None:
    with pytest.raises(UnusableModel) as said:
        model(tmp_path / ("x" * 300))

    assert str(said.value) == "cannot be read (File name too long)"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("AAAA", "has a tokenizer.json that is none"),
        ("BAAAAP////8=", "makes no vector of plain text"),
    ],
)
def test_a_tokenizer_at_which_its_library_panics_is_none(
    tmp_path: Path, table: str, says: str
) -> None:
    folder = write_model(tmp_path / "model")
    _normalizes_by(folder, table)

    with pytest.raises(UnusableModel) as said:
        model(folder)

    assert str(said.value) == says


class Slow:
    """A model that computes until it is let go."""

    id = "slow"

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.computed: list[str] = []

    def fits(self, text: str) -> bool:
        return True

    def vector(self, text: str) -> Any:
        self.begun.set()
        self.go.wait(20)
        self.computed.append(text)
        return np.ones(1, np.float32)


async def test_who_waits_too_long_is_told_and_what_nobody_waits_for_is_not_computed() -> None:
    slow: Any = Slow()
    opened = OnnxEmbedder(slow, timeout=0.05)

    with pytest.raises(EmbedderError, match=r"no vectors within 0\.05 s"):
        await opened.embed(["a", "b", "c"])
    slow.go.set()
    assert len(await opened.embed(["d"])) == 1
    await opened.aclose()

    assert slow.computed == ["a", "d"]


async def test_the_event_loop_goes_on_while_the_model_computes() -> None:
    slow: Any = Slow()
    opened = OnnxEmbedder(slow, timeout=10)

    computing = asyncio.create_task(opened.embed(["a"]))
    await eventually(slow.begun.is_set)
    assert not computing.done()
    slow.go.set()
    await computing
    await opened.aclose()


async def test_more_texts_than_may_wait_are_refused_at_once() -> None:
    slow: Any = Slow()
    opened = OnnxEmbedder(slow, timeout=10)
    first = asyncio.create_task(opened.embed(["a"] * 200))
    await asyncio.sleep(0)

    with pytest.raises(EmbedderError, match="200 texts wait for the embedder already"):
        await opened.embed(["b"] * 100)
    slow.go.set()
    await first
    await opened.aclose()
    with pytest.raises(EmbedderError, match="is closed"):
        await opened.embed(["c"])


async def test_what_a_model_raises_is_an_error_that_quotes_no_text() -> None:
    class Failing(Slow):
        def vector(self, text: str) -> Any:
            raise RuntimeError(f"cannot embed {text}")

    failing: Any = Failing()
    opened = OnnxEmbedder(failing, timeout=5)

    with pytest.raises(EmbedderError) as said:
        await opened.embed(["secret"])
    await opened.aclose()

    assert str(said.value) == "the model failed (RuntimeError)"
