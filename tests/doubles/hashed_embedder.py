"""An embedder without a model: texts with many character triples in common lie near each other."""

import asyncio
from collections.abc import Sequence
from math import sqrt
from zlib import crc32

import numpy as np

from tollway_workers.errors import EmbedderError
from tollway_workers.job.ports import Vector


class HashedEmbedder:
    """Deterministic; no network, no time.

    `calls` are the texts of each call so far. With `failure` set it raises EmbedderError; while
    `hold` is cleared, calls hang.
    """

    def __init__(self, *, id: str = "hashed:64", dimensions: int = 64, window: int = 1_000) -> None:
        """`window`: characters of the longest text that fits."""
        self.id = id
        self._dimensions = dimensions
        self._window = window
        self._placed: dict[str, Vector] = {}
        self.calls: list[tuple[str, ...]] = []
        self.failure: str | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.closed = False

    def alike(self, text: str, other: str, similarity: float) -> None:
        """Place `other` so that it is exactly as similar to `text`."""
        at = self.vector(text)
        away = self.vector(other)
        away = away - at * float(at @ away)
        away /= np.linalg.norm(away)
        placed = at * similarity + away * sqrt(1.0 - similarity * similarity)
        self._placed[other] = (placed / np.linalg.norm(placed)).astype(np.float32)

    def vector(self, text: str) -> Vector:
        """Where a text lies."""
        if (placed := self._placed.get(text)) is not None:
            return placed
        counts = np.zeros(self._dimensions, np.float32)
        framed = f" {text} "
        for start in range(len(framed) - 2):
            digest = crc32(framed[start : start + 3].encode("utf-8", "surrogatepass"))
            counts[digest % self._dimensions] += 1.0 if digest & 0x8000_0000 else -1.0
        if not counts.any():
            counts[0] = 1.0
        return (counts / np.linalg.norm(counts)).astype(np.float32)

    def fits(self, text: str) -> bool:
        """Whether it is no longer than the window."""
        return len(text) <= self._window

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors. Raises EmbedderError where a test wants it to."""
        if self.closed:
            raise EmbedderError("the embedder is closed")
        self.calls.append(tuple(texts))
        await self.hold.wait()
        if self.failure is not None:
            raise EmbedderError(self.failure)
        return [self.vector(text) for text in texts]

    async def aclose(self) -> None:
        """Nothing to close; idempotent."""
        self.closed = True
