"""Prompts beside stored answers: they come, go and are forgotten with them."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cache_samples import AT, cache_entry, cache_key, entry_record, forget_record
from samples import NOW

from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import encode
from tollway_schemas.semantic import Observations
from tollway_workers.cache.records import CacheRecord
from tollway_workers.cache.semantic.table import Changes, StoredPrompt
from tollway_workers.cache.store import CacheStore, Origin, Reach

ORIGIN = Origin("cluster-1", "tollway.cache")
SCOPE = "0a" * 16
MIB = 2**20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CacheStore]:
    opened = CacheStore(tmp_path, 64 * MIB)
    opened.begin(ORIGIN, NOW)
    yield opened
    opened.close()


def apply(store: CacheStore, *records: CacheRecord, known_at: float | None = None) -> Changes:
    reached = {record.partition: Reach(record.offset + 1, record.offset) for record in records}
    return store.apply(records, reached, known_at)


def asked(name: str, **fields: Any) -> CacheEntry:
    prompt = {"scope": SCOPE, "embedder": "e", "vector": "ADwAAA==", "text": f"what is {name}?"}
    return cache_entry(name, prompt=prompt, **fields)


def observed(name: str, offset: int, worker: str = "w") -> CacheRecord:
    record = Observations(
        key=cache_key(name).hex(),
        worker=worker,
        route="extract",
        tenant="acme",
        answer="ab" * 16,
        embedder="e",
        written_at=AT,
    )
    return CacheRecord(0, offset, record.record_key, encode(record))


def kept(store: CacheStore) -> tuple[set[bytes], list[str]]:
    prompts = {each.key for each in store.prompts.after(0, 1_000)[1]}
    return prompts, sorted(each.worker for each in store.observed(cache_key("a")))


def test_a_prompt_comes_with_its_answer_and_what_was_observed_of_it(store: CacheStore) -> None:
    changes = apply(store, entry_record(asked("a"), 0), observed("a", 1))

    prompt = StoredPrompt(cache_key("a"), bytes.fromhex(SCOPE), "e", b"\x00\x3c\x00\x00")
    assert changes.prompts == (prompt,)
    assert [each.worker for each in changes.observed] == ["w"]
    assert store.prompts.after(0, 10) == (1, [prompt])
    assert kept(store)[1] == ["w"]


def test_an_answer_without_a_prompt_changes_none(store: CacheStore) -> None:
    assert apply(store, entry_record(cache_entry("a"), 0)) == Changes((), (), ())


@pytest.mark.parametrize("named", [{"tenant": "acme"}, {"route": "extract"}])
def test_what_is_forgotten_has_no_prompt_and_no_observation_left(
    store: CacheStore, named: dict[str, str]
) -> None:
    apply(store, entry_record(asked("a"), 0), observed("a", 1))

    changes = apply(store, forget_record(2, **named))

    assert changes == Changes((cache_key("a"),), (), ())
    assert kept(store) == (set(), [])
    # What was on its way stays out, too.
    assert apply(store, observed("a", 3)).observed == ()


def test_one_batch_may_bring_an_answer_and_forget_it(store: CacheStore) -> None:
    changes = apply(
        store, entry_record(asked("a"), 0), observed("a", 1), forget_record(2, tenant="acme")
    )

    assert changes == Changes((cache_key("a"),), (), ())
    assert kept(store) == (set(), [])


def test_what_expires_or_is_taken_back_takes_its_prompt_along(store: CacheStore) -> None:
    apply(store, entry_record(asked("a"), 0), entry_record(asked("b"), 1))

    taken_back = apply(store, CacheRecord(0, 2, cache_key("a").hex().encode(), None))
    expired = apply(store, known_at=NOW + 3 * 3_600)

    assert taken_back.gone == (cache_key("a"),)
    assert expired.gone == (cache_key("b"),)
    assert kept(store) == (set(), [])


def test_what_is_evicted_takes_its_prompt_along(tmp_path: Path) -> None:
    store = CacheStore(tmp_path, 200_000)
    store.begin(ORIGIN, NOW)
    large = {"answer": {"text": "x" * 4_000}}

    changes = apply(store, *(entry_record(asked(f"{n}", **large), n) for n in range(300)))

    prompts = kept(store)[0]
    assert len(prompts) == store.entries < 300
    assert {each.key for each in changes.prompts} == prompts
    store.close()


def test_an_answer_that_is_renewed_keeps_what_was_observed(store: CacheStore) -> None:
    apply(store, entry_record(asked("a"), 0), observed("a", 1))

    changes = apply(store, entry_record(asked("a"), 2))

    assert changes.gone == ()
    assert [each.key for each in changes.prompts] == [cache_key("a")]
    assert kept(store) == ({cache_key("a")}, ["w"])


def test_an_answer_whose_vector_is_noise_is_found_by_who_asks_exactly_the_same(
    store: CacheStore,
) -> None:
    prompt = {"scope": SCOPE, "embedder": "e", "vector": "AAA=", "text": "t"}
    odd = cache_entry("a", prompt={**prompt, "vector": "A"})

    changes = apply(store, entry_record(odd, 0))

    assert changes.prompts == ()
    assert store.get(cache_key("a"), NOW) is not None


def test_a_transaction_that_fails_leaves_no_prompt_for_the_next(store: CacheStore) -> None:
    apply(store, entry_record(asked("a"), 0))
    nowhere: Any = object()
    with pytest.raises(sqlite3.Error):
        store.apply([entry_record(asked("b"), 1)], {0: Reach(nowhere)}, None)

    changes = apply(store, entry_record(asked("c"), 1))

    assert [each.key for each in changes.prompts] == [cache_key("c")]
    assert kept(store)[0] == {cache_key("a"), cache_key("c")}
