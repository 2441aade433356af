"""Where the prompts of stored answers lie: the nearest ones of a scope. Bounded; no clock.

Exact by numpy. Of a scope with many prompts those that came first are searched by usearch, where
that is installed: exact search takes a millisecond for each 20,000.

Only a worker with a semantic route imports this.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

from tollway_workers.cache.semantic.similar import Near
from tollway_workers.cache.semantic.table import Changes, StoredPrompt
from tollway_workers.job.ports import Vector

#: Bytes of the vectors in memory; without room the oldest go.
MOST_BYTES = 128 * 2**20
#: Prompts of one scope that are searched exactly.
MOST_EXACT = 5_000
_FLOAT = np.dtype(np.float32).itemsize


def packed(vector: Vector) -> bytes:
    """As it is kept."""
    return np.asarray(vector, dtype="<f2").tobytes()


def unpacked(vector: bytes) -> Vector:
    """Of unit length, as far as it has a length."""
    wide: Vector = np.frombuffer(vector, dtype="<f2").astype(np.float32)
    length = float(np.linalg.norm(wide))
    return wide / np.float32(length) if 0.0 < length < np.inf else np.zeros_like(wide)


class PromptIndex:
    """State: `_scopes`, `_where` each prompt is, the oldest first, `bytes` of their vectors, and
    `_changes` of each scope (the number of the last one).
    """

    def __init__(self, embedders: Iterable[str], most_bytes: int = MOST_BYTES) -> None:
        """`embedders`: those whose vectors are of use; prompts of others are not here."""
        self._embedders = frozenset(embedders)
        self._most_bytes = most_bytes
        self._large = _can_search_graphs()
        self._scopes: dict[bytes, _Scope] = {}
        self._where: dict[bytes, bytes] = {}
        self._changes: dict[bytes, int] = {}
        self._number = 0
        self.bytes = 0

    def load(self, prompts: Iterable[StoredPrompt]) -> None:
        """Add these, the oldest first."""
        for prompt in prompts:
            self._add(prompt)

    def clear(self) -> None:
        """Forget all."""
        self._scopes.clear()
        self._where.clear()
        self._changes.clear()
        self.bytes = 0

    def apply(self, changes: Changes) -> None:
        """Follow what became of stored answers."""
        for key in changes.gone:
            self._drop(key)
        for prompt in changes.prompts:
            self._add(prompt)
        for each in changes.observed:
            scope = self._where.get(bytes.fromhex(each.key))
            if scope is not None:
                self._changed(scope)

    def changes(self, scope: bytes) -> int:
        """A number that grows before anything else is known of a scope's prompts; 0: there are
        none.
        """
        return self._changes.get(scope, 0)

    def nearest(self, scope: bytes, vector: bytes, most: int) -> list[Near]:
        """The nearest prompts of a scope, the nearest first."""
        found = self._scopes.get(scope)
        return [] if found is None else found.nearest(unpacked(vector), most)

    def __len__(self) -> int:
        return len(self._where)

    def __repr__(self) -> str:
        return (
            f"<PromptIndex [{len(self)} prompts | {len(self._scopes)} scopes | {self.bytes} bytes]>"
        )

    def _add(self, prompt: StoredPrompt) -> None:
        if prompt.embedder not in self._embedders:
            return
        self._drop(prompt.key)
        vector = unpacked(prompt.vector)
        scope = self._scopes.get(prompt.scope)
        if scope is None:
            scope = self._scopes[prompt.scope] = _Scope(vector.size, large=self._large)
        if vector.size != scope.dimensions:
            return
        scope.put(prompt.key, vector)
        self._where[prompt.key] = prompt.scope
        self.bytes += vector.size * _FLOAT
        self._changed(prompt.scope)
        while self.bytes > self._most_bytes:
            self._drop(next(iter(self._where)))

    def _drop(self, key: bytes) -> None:
        name = self._where.pop(key, None)
        if name is None:
            return
        scope = self._scopes[name]
        scope.drop(key)
        self.bytes -= scope.dimensions * _FLOAT
        if len(scope):
            self._changed(name)
        else:
            del self._scopes[name], self._changes[name]

    def _changed(self, scope: bytes) -> None:
        self._number += 1
        self._changes[scope] = self._number


class _Scope:
    """Prompts that may be compared: the last ones in `_rows`, in any order, and before them those
    of `_many`.
    """

    def __init__(self, dimensions: int, *, large: bool) -> None:
        self.dimensions = dimensions
        self._large = large
        self._rows: Vector = np.empty((1, dimensions), np.float32)
        self._keys: list[bytes] = []
        self._places: dict[bytes, int] = {}
        self._many: _Many | None = None

    def put(self, key: bytes, vector: Vector) -> None:
        """Add a prompt that is not here."""
        if len(self._keys) == len(self._rows):
            self._rows = np.concatenate((self._rows, np.empty_like(self._rows)))
        place = len(self._keys)
        self._rows[place] = vector
        self._keys.append(key)
        self._places[key] = place
        if self._large and len(self._keys) > MOST_EXACT:
            # One by one: to move thousands at once would hold up the event loop for seconds.
            self._move(next(iter(self._places)))

    def drop(self, key: bytes) -> None:
        """Remove a prompt; nothing where it is not here."""
        if key in self._places:
            self._take(key)
        elif self._many is not None:
            self._many.drop(key)

    def nearest(self, vector: Vector, most: int) -> list[Near]:
        """The nearest first."""
        if vector.size != self.dimensions:
            return []
        # Not by `@`: of many rows BLAS takes threads, which on busy cores wait for each other.
        scores: Vector = np.einsum("ij,j->i", self._rows[: len(self._keys)], vector)
        best = np.argsort(scores) if len(scores) <= most else np.argpartition(scores, -most)
        found = [Near(self._keys[at], _cosine(scores.item(at))) for at in best[-most:].tolist()]
        if self._many is not None:
            found += self._many.nearest(vector, most)
        return sorted(found, key=lambda each: -each.similarity)[:most]

    def __len__(self) -> int:
        return len(self._keys) + (0 if self._many is None else len(self._many))

    def _move(self, key: bytes) -> None:
        if self._many is None:
            self._many = _Many(self.dimensions)
        self._many.put(key, self._take(key))

    def _take(self, key: bytes) -> Vector:
        place = self._places.pop(key)
        vector: Vector = self._rows[place].copy()
        last = self._keys.pop()
        if last != key:
            at = len(self._keys)
            self._rows[place], self._keys[place] = self._rows[at], last
            self._places[last] = place
        if 4 * len(self._keys) < len(self._rows):
            # Scopes come and go: what each had at most once is more than all have together.
            self._rows = self._rows[: max(1, len(self._rows) // 2)].copy()
        return vector


def _can_search_graphs() -> bool:
    """Asked once, at a worker's start: an installed library may lack what it loads itself, and in
    the middle of a copy's growth nothing could be done about that.
    """
    try:
        import_module("usearch.index")
    except (ImportError, OSError):
        return False
    return True


class _Many:
    """Prompts that are searched by a graph: the nearest few are found, but for one in a hundred."""

    def __init__(self, dimensions: int) -> None:
        self._graph: Any = import_module("usearch.index").Index(
            ndim=dimensions, metric="ip", dtype="f16"
        )
        self._keys: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._next = 0

    def put(self, key: bytes, vector: Vector) -> None:
        """Add a prompt that is not here."""
        self._graph.add(self._next, vector, threads=1)
        self._keys[self._next], self._numbers[key] = key, self._next
        self._next += 1

    def drop(self, key: bytes) -> None:
        """Remove a prompt; nothing where it is not here."""
        number = self._numbers.pop(key, None)
        if number is not None:
            del self._keys[number]
            self._graph.remove(number)

    def nearest(self, vector: Vector, most: int) -> list[Near]:
        """The nearest first."""
        found = self._graph.search(vector, most, threads=1)
        return [
            Near(self._keys[number], _cosine(1.0 - distance))
            for number, distance in zip(found.keys.tolist(), found.distances.tolist(), strict=True)
            if number in self._keys
        ]

    def __len__(self) -> int:
        return len(self._keys)


def _cosine(product: float) -> float:
    """Rounding takes it out of its bounds."""
    return max(-1.0, min(1.0, float(product)))
