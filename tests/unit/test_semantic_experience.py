"""What is learned of a stored answer: from all workers, of this answer, and nothing twice."""

from datetime import timedelta
from typing import Any

import pytest
from cache_samples import AT, cache_entry, cache_key

from tollway_schemas.cache import CacheEntry, KeptPrompt
from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic import experience as module
from tollway_workers.cache.semantic.experience import Experience
from tollway_workers.cache.semantic.observing import Asked

PROMPT = KeptPrompt(scope="0a" * 16, embedder="e", vector="ADwAAA==", text="what?")


class Topic:
    """What workers have written, as each reads it."""

    def __init__(self) -> None:
        self.records: dict[bytes, Observations] = {}

    def read(self, key: bytes) -> list[Observations]:
        return [each for each in self.records.values() if each.key == key.hex()]

    def write(self, record: Observations, *workers: Experience) -> None:
        self.records[record.record_key] = record
        for each in workers:
            each.changed(record)


def asked(*, agreed: bool | None = True, seconds: float = 0.0, **fields: Any) -> Asked:
    said = {"mode": "serve", "similarity": 0.95, "served": False, "teaches": True, **fields}
    return Asked(agreed=agreed, at=AT + timedelta(seconds=seconds), **said)


def entry(name: str = "a", **fields: Any) -> CacheEntry:
    return cache_entry(name, prompt=PROMPT.model_dump(), **fields)


def seen(worker: Experience, about: CacheEntry) -> tuple[int, int]:
    """Answers that agreed and that differed."""
    bands = worker.learned(about, PROMPT).bands
    return sum(band.agreed for band in bands), sum(band.differed for band in bands)


def test_what_one_worker_observed_all_others_know_once_it_is_read_back() -> None:
    topic = Topic()
    one, two = Experience("one", topic.read), Experience("two", topic.read)
    assert seen(two, entry()) == (0, 0)

    first = one.note(entry(), PROMPT, asked())
    # Before anything was read back: it knows itself.
    assert seen(one, entry()) == (1, 0)
    topic.write(first, one, two)
    topic.write(two.note(entry(), PROMPT, asked(agreed=False)), one, two)

    assert seen(one, entry()) == seen(two, entry()) == (1, 1)


def test_what_a_worker_notes_while_its_record_is_on_its_way_is_not_lost() -> None:
    topic = Topic()
    one = Experience("one", topic.read)

    records = [one.note(entry(), PROMPT, asked(seconds=n)) for n in range(5)]
    topic.write(records[1], one)
    assert seen(one, entry()) == (5, 0)
    topic.write(records[-1], one)

    assert seen(one, entry()) == (5, 0)
    # After a restart as well.
    assert seen(Experience("one", topic.read), entry()) == (5, 0)


def test_a_restarted_worker_counts_on_where_it_was() -> None:
    topic = Topic()
    topic.write(Experience("one", topic.read).note(entry(), PROMPT, asked()))

    again = Experience("one", topic.read).note(entry(), PROMPT, asked(seconds=60))

    assert again.days[0].serve is not None
    assert again.days[0].serve.asked == 2


def test_another_answer_under_the_key_begins_anew_and_one_that_says_the_same_does_not() -> None:
    topic = Topic()
    one = Experience("one", topic.read)
    topic.write(one.note(entry(), PROMPT, asked()), one)
    later = AT + timedelta(seconds=60)

    assert seen(one, entry(answered_at=later)) == (1, 0)
    other = entry(answer={"text": "something else"}, answered_at=later + timedelta(seconds=1))
    assert seen(one, other) == (0, 0)
    topic.write(one.note(other, PROMPT, asked(agreed=False)), one)
    assert seen(one, other) == (0, 1)


def test_what_is_gone_is_not_known_any_more() -> None:
    topic = Topic()
    one = Experience("one", topic.read)
    one.note(entry(), PROMPT, asked())

    one.gone(cache_key("a"))

    assert seen(one, entry()) == (0, 0)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_OWN", 3)
    monkeypatch.setattr(module, "_MOST_KNOWN", 3)
    topic = Topic()
    one = Experience("one", topic.read)

    for n in range(10):
        one.note(entry(f"{n}"), PROMPT, asked())

    assert [seen(one, entry(f"{n}")) for n in range(7, 10)] == [(1, 0)] * 3
    assert seen(one, entry("0")) == (0, 0)


def test_prompts_nearby_that_were_given_the_same_answer_are_one() -> None:
    topic = Topic()
    one = Experience("one", topic.read)
    said = {"answer": {"text": "the same"}}
    first, second, other = entry("a", **said), entry("b", **said), entry("c")
    for about, agreed in ((first, True), (second, True), (second, False), (other, False)):
        topic.write(one.note(about, PROMPT, asked(agreed=agreed)), one)

    def together(about: CacheEntry, *near: CacheEntry) -> tuple[int, int]:
        bands = one.learned_among(about, near).bands
        return sum(band.agreed for band in bands), sum(band.differed for band in bands)

    assert together(first, first, second, other) == together(second, first) == (2, 1)
    assert together(first) == (1, 0)
    assert together(other, first, second) == (0, 1)


def test_what_is_expected_of_a_tenant_s_answers_is_learned_of_its_own_alone() -> None:
    topic = Topic()
    worker = Experience("one", topic.read)
    for number in range(150):
        worker.note(entry(f"a{number}", tenant="acme"), PROMPT, asked())

    def chance(tenant: str) -> float:
        about = entry("new", tenant=tenant)
        worker.note(about, PROMPT, asked())
        return worker.chance_to_explore(about, (), 0.95, 0.01)

    assert chance("acme") < 0.5
    assert chance("bolt") > 0.9


def test_of_tenants_without_number_the_last_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PRIORS", 3)
    worker = Experience("one", Topic().read)
    for number in range(9):
        worker.note(entry(f"a{number}", tenant=f"t{number}"), PROMPT, asked())

    assert [tenant for _, tenant, _ in worker._priors] == ["t6", "t7", "t8"]
