"""What a worker writes of one stored answer, and what all workers know together."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tollway_schemas.codec import decode, encode
from tollway_schemas.semantic import MOST_DAYS, Observations, Tally, is_observations
from tollway_schemas.usage import MOST_PICO_USD, MOST_TOKENS
from tollway_workers.cache.records import CacheRecord, read
from tollway_workers.cache.semantic.merged import merged
from tollway_workers.cache.semantic.observing import Asked, about, with_asked
from tollway_workers.cache.semantic.rule import BANDS, Band, Learned, band_of

AT = datetime(2026, 11, 29, 18, tzinfo=UTC)
KEY, ANSWER, OTHER = "ab" * 32, "01" * 16, "02" * 16


def observations(worker: str = "w1", **fields: object) -> Observations:
    given: dict[str, Any] = {
        "key": KEY,
        "worker": worker,
        "route": "extract",
        "answer": ANSWER,
        "embedder": "minilm",
        "written_at": AT,
    }
    return Observations.model_validate({**given, **fields})


def asked(**fields: object) -> Asked:
    given: dict[str, Any] = {
        "mode": "serve",
        "similarity": 0.93,
        "served": False,
        "agreed": True,
        "teaches": True,
        "tokens": 100,
        "cost": 7,
        "at": AT,
    }
    return Asked(**{**given, **fields})


def after(record: Observations, *jobs: Asked) -> Observations:
    for each in jobs:
        record = with_asked(record, each)
    return record


def test_it_comes_back_from_the_topic_as_it_was_written() -> None:
    record = after(observations(tenant="acme"), asked(), asked(mode="shadow", served=True))

    place = CacheRecord(0, 1, record.record_key, encode(record))

    assert record.record_key == f"observed/{KEY}/w1".encode()
    assert is_observations(record.record_key) and not is_observations(KEY.encode())
    assert read(place) == record == decode(Observations, encode(record))


@pytest.mark.parametrize("key", [b"observed/" + KEY.encode() + b"/w2", b"observed/x/w1"])
def test_a_record_under_the_key_of_another_says_nothing(key: bytes) -> None:
    assert read(CacheRecord(0, 1, key, encode(observations()))) is None
    assert read(CacheRecord(0, 1, observations().record_key, b"{")) is None


def test_what_was_found_out_is_counted_by_band_and_what_was_not_is_no_observation() -> None:
    record = after(
        observations(),
        asked(similarity=0.93),
        asked(similarity=0.95, agreed=False),
        asked(similarity=0.98),
        asked(served=True, agreed=None),
        asked(served=True, agreed=False, teaches=False),
        asked(similarity=0.2, agreed=False),
    )

    assert [(each.least, each.agreed, each.differed) for each in record.bands] == [
        (0.85, 1, 1),
        (0.97, 1, 0),
    ]


def test_counts_are_kept_by_day_and_mode() -> None:
    record = after(
        observations(),
        asked(served=True, agreed=None),
        asked(served=True, agreed=False),
        asked(agreed=False),
        asked(mode="shadow", served=True, agreed=True, at=AT + timedelta(days=1)),
    )

    first, second = record.days
    assert (first.day, second.day) == (date(2026, 11, 29), date(2026, 11, 30))
    assert first.serve == Tally(asked=3, served=2, checked=1, wrong=1, tokens=200, cost=14)
    assert second.shadow == Tally(asked=1, served=1, checked=1, wrong=0, tokens=100, cost=7)
    assert (first.shadow, second.serve) == (None, None)


def test_of_the_days_the_last_ones_are_kept_and_a_clock_that_goes_back_adds_none() -> None:
    later = [asked(at=AT + timedelta(days=number)) for number in range(40)]

    record = after(observations(), *later, asked(at=AT))

    assert len(record.days) == MOST_DAYS
    assert record.days[-1].day == date(2027, 1, 7)
    assert record.days[-1].serve == Tally(asked=2)


def test_what_was_found_out_about_another_answer_is_dropped_and_counts_stay() -> None:
    record = after(observations(), asked(served=True))

    assert about(record, ANSWER, "minilm") is record
    for renewed in (about(record, OTHER, "minilm"), about(record, ANSWER, "another")):
        assert (renewed.bands, renewed.days) == ((), record.days)


def test_workers_learn_from_each_other() -> None:
    one = after(observations("w1"), asked(), asked(agreed=False))
    two = after(observations("w2"), asked(), asked(similarity=0.98))
    renewed = after(observations("w3", answer=OTHER), asked())
    elsewhere = after(observations("w4", embedder="another"), asked())
    newer = observations("w5", bands=[{"least": 0.94, "agreed": 9}])

    learned = merged([one, two, renewed, elsewhere, newer], ANSWER, "minilm")

    by_band = dict(zip(BANDS, learned.bands, strict=True))
    assert by_band[0.85] == Band(agreed=2, differed=1)
    assert by_band[0.97] == Band(agreed=1)
    assert sum(map(sum, learned.bands)) == 4
    assert merged([], ANSWER, "minilm") == Learned()


def test_a_similarity_belongs_to_the_band_that_it_begins() -> None:
    assert [band_of(each) for each in (-1.0, 0.69, 0.7, 0.85, 0.96, 0.97, 1.0)] == [
        *(None, None, 0, 1, 1, 2, 2)
    ]


def test_sums_stay_within_what_readers_can_count_with() -> None:
    most = Tally(asked=2**53 - 1, tokens=MOST_TOKENS, cost=MOST_PICO_USD)

    assert most + most == most

    huge = after(observations(), asked(served=True, tokens=2 * MOST_TOKENS))
    assert huge.days[-1].serve == Tally(asked=1, served=1, checked=1, tokens=MOST_TOKENS, cost=7)


def test_a_count_that_is_at_the_most_stays_there_when_one_more_is_observed() -> None:
    band = {"least": 0.85, "agreed": 2**53 - 1, "differed": 2**53 - 1}
    full = observations(bands=[band])

    record = after(full, asked(), asked(agreed=False), asked(served=True, tokens=2 * MOST_TOKENS))

    assert record.bands == full.bands
    assert record.days[0].serve is not None and record.days[0].serve.tokens == MOST_TOKENS
