"""`tollway cache report`: counts to shares, their bounds, and what is said of them."""

import math
from collections.abc import AsyncIterator
from datetime import date
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tollway_schemas.cache import Forget
from tollway_schemas.codec import encode
from tollway_schemas.heartbeat import MOST_COUNT
from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic.bounds import beta_below, bounds, clopper_pearson, forecast
from tollway_workers.cache.semantic.report import report
from tollway_workers.cache.semantic.rule import BANDS, Band, Learned
from tollway_workers.cli.cache.reporting import facts, observed, sentences, show
from tollway_workers.kafka.read.log_reader import LoggedRecord

AT = "2026-11-29T18:00:00Z"
ONE, TWO = "01" * 16, "02" * 16


def record(key: str = ONE, worker: str = "w1", **fields: object) -> Observations:
    given: dict[str, Any] = {
        "key": key,
        "worker": worker,
        "route": "extract",
        "answer": "ab" * 16,
        "embedder": "minilm",
        "written_at": AT,
    }
    return Observations.model_validate({**given, **fields})


def day(of: str, **modes: dict[str, int]) -> dict[str, Any]:
    return {"day": of, **modes}


SHADOW = {"asked": 100, "served": 40, "checked": 40, "wrong": 1, "tokens": 4_000, "cost": 10**12}
SERVE = {"asked": 50, "served": 30, "checked": 3, "wrong": 0, "tokens": 3_000, "cost": 10**12}


def in_topic(*records: Observations | Forget, partition: int = 0) -> AsyncIterator[LoggedRecord]:
    async def logged() -> AsyncIterator[LoggedRecord]:
        for offset, each in enumerate(records):
            at = ("tollway.cache", partition)
            yield LoggedRecord(at, offset, each.record_key, encode(each))

    return logged()


# Of R's binom.test.
@pytest.mark.parametrize(
    ("part", "whole", "least", "most"),
    [
        (0, 10, 0.0, 0.3084971),
        (10, 10, 0.6915029, 1.0),
        (5, 100, 0.01643188, 0.1128349),
        (1, 1_000, 2.531781e-05, 0.005558924),
        (3_000, 20_000, 0.1450775, 0.1550245),
    ],
)
def test_bounds_of_independent_draws_are_those_of_clopper_and_pearson(
    part: int, whole: int, least: float, most: float
) -> None:
    assert clopper_pearson(part, whole) == pytest.approx((least, most), rel=1e-4)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=30))
def test_a_share_lies_within_its_bounds_and_groups_make_them_no_narrower(
    drawn: list[tuple[int, int]],
) -> None:
    parts = [(min(each), max(each)) for each in drawn]
    part, whole = sum(part for part, _ in parts), sum(whole for _, whole in parts)

    least, most = bounds(parts)

    assert 0.0 <= least <= most <= 1.0
    if whole:
        alone = clopper_pearson(part, whole)
        assert least <= part / whole <= most
        assert least <= alone[0] + 1e-9 and most >= alone[1] - 1e-9


def test_nothing_was_counted_means_that_anything_may_be() -> None:
    assert bounds([]) == bounds([(0, 0)]) == forecast([]) == (0.0, 1.0)
    assert beta_below(0.0, 2.0, 3.0) == 0.0
    assert beta_below(1.0, 2.0, 3.0) == 1.0


@given(st.lists(st.tuples(st.integers(0, MOST_COUNT), st.integers(0, MOST_COUNT)), max_size=9))
@example([(MOST_COUNT // 2, MOST_COUNT)] * 3)
@example([(MOST_COUNT // 2, MOST_COUNT)] * 2_000)
@example([(1, MOST_COUNT)])
def test_bounds_of_counts_that_nobody_ever_counted_are_bounds(drawn: list[tuple[int, int]]) -> None:
    parts = [(min(each), max(each)) for each in drawn]

    for least, most in (bounds(parts), forecast(parts)):
        assert 0.0 <= least <= most <= 1.0


@pytest.mark.parametrize(
    ("part", "least", "most"),
    # Of Poisson counts: the next y where x of x + y by a fair coin is no surprise.
    [(0, 0.0, 5.32), (1, 0.0, 7.45), (5, 0.0, 14.1), (6, 0.3, 15.7), (30, 16.4, 48.8)],
)
def test_where_few_were_wrong_none_or_several_may_be_next_time(
    part: int, least: float, most: float
) -> None:
    whole = 10_000
    bound = forecast([(part, whole)])

    assert (bound[0] * whole, bound[1] * whole) == pytest.approx((least, most), abs=0.6)
    mirrored = forecast([(whole - part, whole)])
    assert mirrored == pytest.approx((1.0 - bound[1], 1.0 - bound[0]))


def one_answer(jobs: int, q: float, rng: Random) -> tuple[int, int, int]:
    """Jobs of one answer, those that were given it, and of them the wrong ones."""
    band, number, done, served, wrong = Band(), BANDS.index(0.85), 0, 0, 0
    while done < jobs:
        explored = Learned().with_band(number, band).chance_to_explore(0.93, 0.02)
        given = 0 if explored >= 1.0 else int(math.log(1 - rng.random()) / math.log(1 - explored))
        given = min(given, jobs - done)
        served, wrong = served + given, wrong + sum(rng.random() < q for _ in range(given))
        done += given + 1
        band += (0, 1) if rng.random() < q else (1, 0)
    return jobs, served, wrong


def test_what_shadow_forecasts_is_what_serve_then_does_within_the_bounds() -> None:
    answers = [(6_000 // (rank + 1), (0.0, 0.0, 0.004, 0.02, 0.2)[rank % 5]) for rank in range(200)]
    runs = [[one_answer(*each, Random(31 * seed + rank)) for rank, each in enumerate(answers)]
            for seed in range(8)]  # fmt: skip
    inside = total = 0

    for part, whole in ((1, 0), (2, 1), (2, 0)):
        shares = [
            sum(each[part] for each in run) / sum(each[whole] for each in run) for run in runs
        ]
        for run in runs:
            bounded = bounds if part == 1 else forecast
            least, most = bounded([(each[part], each[whole]) for each in run])
            inside += sum(least <= share <= most for share in shares)
            total += len(shares)

    assert inside / total >= 0.95


def test_workers_and_days_are_counted_together_by_answer() -> None:
    records = [
        record(days=[day("2026-11-28", shadow=SHADOW), day("2026-11-29", shadow=SHADOW)]),
        record(worker="w2", days=[day("2026-11-29", shadow=SHADOW, serve=SERVE)]),
        record(TWO, days=[day("2026-11-29", shadow=SHADOW)]),
        record(TWO, route="another", days=[day("2026-11-01", shadow=SHADOW)]),
    ]

    found = report(records, "extract")

    shadow, serve = found.modes["shadow"], found.modes["serve"]
    assert found.days == (date(2026, 11, 28), date(2026, 11, 29))
    assert (shadow.answers, shadow.served.part, shadow.served.whole) == (2, 160, 400)
    assert (shadow.wrong.part, shadow.wrong.whole) == (4, 160)
    assert (shadow.tokens, shadow.cost) == (16_000, 4 * 10**12)
    assert (serve.answers, serve.served.part, serve.wrong.whole) == (1, 30, 3)
    assert shadow.wrong_of_all is not None and shadow.wrong_of_all[0] == pytest.approx(0.01)


def test_only_days_within_the_time_are_counted() -> None:
    records = [record(days=[day("2026-11-20", shadow=SHADOW), day("2026-11-29", serve=SERVE)])]

    found = report(records, "extract", since=date(2026, 11, 29))

    assert list(found.modes) == ["serve"]
    assert report(records, "extract", since=date(2026, 12, 1)).days is None


@pytest.mark.parametrize("lie", [{"served": 101}, {"checked": 41}, {"wrong": 41}])
async def test_a_record_whose_counts_cannot_be_is_none(lie: dict[str, int]) -> None:
    value = encode(record(days=[day("2026-11-29", shadow=SHADOW)])).decode()
    count, forged = next(iter(lie.items()))
    value = value.replace(f'"{count}":{SHADOW[count]}', f'"{count}":{forged}')

    async def logged() -> AsyncIterator[LoggedRecord]:
        yield LoggedRecord(("tollway.cache", 0), 0, record().record_key, value.encode())

    assert f'"{count}":{forged}' in value
    assert await observed(logged(), "extract") == []


async def test_the_last_record_of_each_worker_counts_and_a_mark_hides_what_it_names() -> None:
    mark = Forget.model_validate({"id": "0" * 32, "tenant": "globex", "at": AT})
    old, new = record(days=[day("2026-11-29", shadow=SHADOW)]), record()
    gone, later = record(TWO, tenant="globex"), record(TWO, worker="w2", tenant="globex")
    elsewhere = record(TWO, route="another")

    found = await observed(in_topic(old, gone, elsewhere, new, mark, later), "extract")

    assert found == [new, later]


@pytest.mark.parametrize(
    ("mode", "counts", "said"),
    [
        ("shadow", SHADOW, "too few answers were checked to say whether it holds"),
        ("shadow", SHADOW | {"wrong": 30}, "and wrong answers are more"),
        ("serve", SERVE | {"checked": 0}, "no answer was checked yet"),
        ("serve", {"asked": 5_000, "served": 4_000, "checked": 2_000, "wrong": 1}, "are at most"),
    ],
)
def test_it_says_whether_the_bound_is_held(mode: str, counts: dict[str, int], said: str) -> None:
    found = report([record(days=[day("2026-11-29", **{mode: counts})])], "extract")

    assert said in sentences(found, 0.01)[-1]
    assert len(sentences(found, None)) == 1


def test_people_and_machines_are_told_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    found = report([record(days=[day("2026-11-29", shadow=SHADOW)])], "extract")

    show(found, 0.01)
    said = facts(found, 0.01)

    shown = capsys.readouterr().out
    assert "40.00% (30.33% to 50.28%)" in shown and "$1.000000" in shown
    served = said["modes"]["shadow"]["served"]
    assert (served["count"], served["of"], served["share"]) == (40, 100, 0.4)
    assert served["least"] == pytest.approx(0.3033, abs=1e-4)
    assert (said["first_day"], said["error_bound"]) == ("2026-11-29", 0.01)


def test_where_nothing_was_observed_it_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    show(report([], "extract"), None)

    assert 'set routes.extract.cache.semantic to "shadow"' in capsys.readouterr().out
