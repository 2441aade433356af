"""The nearest prompts of a scope, and only what is known of them at this moment."""

import tracemalloc

import numpy as np
import pytest
from cache_samples import AT, cache_key

from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic import index as module
from tollway_workers.cache.semantic.index import PromptIndex, packed
from tollway_workers.cache.semantic.table import Changes, StoredPrompt

SCOPE, OTHER = b"s" * 16, b"o" * 16
RANDOM = np.random.default_rng(7)


def vector(*numbers: float) -> bytes:
    wide = np.array(numbers, np.float32)
    return packed((wide / np.linalg.norm(wide)).astype(np.float32))


def prompt(name: str, at: bytes, *, scope: bytes = SCOPE, embedder: str = "e") -> StoredPrompt:
    return StoredPrompt(cache_key(name), scope, embedder, at)


def index(*prompts: StoredPrompt, most_bytes: int = 2**20) -> PromptIndex:
    made = PromptIndex(["e"], most_bytes)
    made.load(prompts)
    return made


def near(found: PromptIndex, at: bytes, most: int = 3, scope: bytes = SCOPE) -> list[bytes]:
    return [each.key for each in found.nearest(scope, at, most)]


def test_the_nearest_of_the_scope_come_first_and_others_never() -> None:
    found = index(
        prompt("far", vector(0, 1)),
        prompt("near", vector(1, 0.1)),
        prompt("same", vector(1, 0)),
        prompt("elsewhere", vector(1, 0), scope=OTHER),
    )

    nearest = found.nearest(SCOPE, vector(1, 0), 2)

    assert [each.key for each in nearest] == [cache_key("same"), cache_key("near")]
    assert nearest[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert nearest[0].similarity <= 1.0
    assert nearest[1].similarity == pytest.approx(0.995, abs=1e-3)
    assert near(found, vector(1, 0), scope=b"x" * 16) == []


def test_vectors_of_another_embedder_are_not_here() -> None:
    found = index(prompt("a", vector(1, 0), embedder="another model"))

    assert (len(found), found.bytes) == (0, 0)


def test_a_vector_of_another_length_or_of_no_number_harms_nobody() -> None:
    nan = np.array([np.nan, 1.0], np.float32)
    found = index(prompt("a", vector(1, 0)), prompt("b", vector(1, 0, 0)), prompt("c", packed(nan)))

    nearest = found.nearest(SCOPE, vector(1, 0), 3)

    assert nearest[0].key == cache_key("a")
    assert [each.similarity for each in nearest[1:]] == [0.0]
    assert found.nearest(SCOPE, vector(1, 0, 0), 3) == []


def test_what_is_gone_is_not_found_and_what_is_renewed_is_found_once() -> None:
    found = index(prompt("a", vector(1, 0)), prompt("b", vector(1, 0.1)))

    found.apply(Changes(gone=(cache_key("a"), cache_key("never here"))))
    found.apply(Changes(prompts=(prompt("b", vector(0, 1)),)))

    assert near(found, vector(1, 0)) == [cache_key("b")]
    assert (len(found), found.bytes) == (1, 2 * 4)
    found.apply(Changes(gone=(cache_key("b"),)))
    assert (len(found), found.bytes, found.changes(SCOPE)) == (0, 0, 0)


def test_a_scope_says_that_more_is_known_of_it() -> None:
    found = index(prompt("a", vector(1, 0)))
    observed = Observations(
        key=cache_key("a").hex(),
        worker="w",
        route="r",
        answer="ab" * 16,
        embedder="e",
        written_at=AT,
    )
    seen = [found.changes(SCOPE)]
    for changes in (
        Changes(prompts=(prompt("b", vector(0, 1)),)),
        Changes(observed=(observed,)),
        Changes(gone=(cache_key("b"),)),
    ):
        found.apply(changes)
        seen.append(found.changes(SCOPE))

    assert seen == sorted(set(seen))
    assert found.changes(OTHER) == 0


def test_what_is_gone_takes_its_memory_along() -> None:
    many = np.random.default_rng(8).standard_normal((2_000, 256), np.float32)
    wide = [packed(each) for each in many]
    tracemalloc.start()
    try:
        found = index(*(prompt(f"{n}", each) for n, each in enumerate(wide)), most_bytes=2**30)
        found.apply(Changes(gone=[cache_key(f"{n}") for n in range(1_999)]))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert near(found, wide[-1]) == [cache_key("1999")]
    assert found.bytes == 1_024
    # Two megabytes were there.
    assert kept < 200_000


def test_a_scope_that_was_emptied_of_its_last_ones_takes_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_EXACT", 2)
    names = [f"{n}" for n in range(12)]
    found = index(*(prompt(name, vector(1, n)) for n, name in enumerate(names)))

    found.apply(Changes(gone=[cache_key(name) for name in names[6:]]))
    for _ in range(4):
        found.load([prompt("new", vector(-1, 0))])
        found.apply(Changes(gone=[cache_key("new")]))
    found.load([prompt("new", vector(-1, 0))])

    assert near(found, vector(-1, 0), 1) == [cache_key("new")]
    assert len(near(found, vector(1, 0), 12)) == 7


def test_without_room_the_oldest_go() -> None:
    found = index(*(prompt(f"{n}", vector(1, n)) for n in range(10)), most_bytes=4 * 8)

    assert len(found) == 4
    assert set(near(found, vector(1, 0), 10)) == {cache_key(f"{n}") for n in (6, 7, 8, 9)}


def _cannot_be_loaded(name: str) -> None:
    # Installed, without a library that it loads itself.
    raise ImportError(name)


@pytest.mark.parametrize("graph", [False, True])
def test_a_large_scope_finds_what_exact_search_finds(
    graph: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if graph:
        pytest.importorskip("usearch", reason="usearch is optional")
    else:
        monkeypatch.setattr(module, "import_module", _cannot_be_loaded)
    monkeypatch.setattr(module, "MOST_EXACT", 50)
    vectors = RANDOM.standard_normal((400, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = index(*(prompt(f"{n}", packed(each)) for n, each in enumerate(vectors)))
    gone = set(range(0, 400, 3))
    found.apply(Changes(gone=tuple(cache_key(f"{n}") for n in gone)))

    hits = 0
    for asked in vectors[:100]:
        scores = vectors @ asked
        best = next(n for n in np.argsort(-scores).tolist() if n not in gone)
        hits += near(found, packed(asked), 1) == [cache_key(f"{best}")]

    assert len(found) == 400 - len(gone)
    assert hits >= 97
