"""The parts of the chaos runs that decide before a run and tell after it."""

from collections import Counter
from io import StringIO

import pytest
import schedule
from fleet import owned_lanes
from report import Figure, Verdict, exactly, table
from rich.console import Console
from schedule import Act, Step
from worker_process import parsed

WORKERS = ("w0", "w1", "w2", "w3")
SEEDS = range(1, 30)


def churn(seed: int) -> list[Step]:
    return schedule.churn(seed, WORKERS, 180.0, 6.0)


def test_a_seed_is_a_schedule() -> None:
    assert churn(7) == churn(7)
    assert churn(7) != churn(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_churn_hits_often_with_everything_and_freezes_beyond_the_session(seed: int) -> None:
    steps = churn(seed)

    assert set(Act) == {step.act for step in steps}
    assert 30 <= len(steps) <= 90
    assert all(step.seconds > 6.0 for step in steps if step.act is Act.FREEZE)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_befalls_a_worker_that_is_down_or_frozen(seed: int) -> None:
    there, busy = set[str](WORKERS), dict[str, float]()
    for step in churn(seed):
        if step.act is Act.JOIN:
            there.add(step.worker)
        else:
            assert step.worker in there
            assert busy.get(step.worker, 0.0) <= step.at
        busy[step.worker] = step.at + step.seconds
        if step.act is Act.LEAVE:
            there.remove(step.worker)

        assert 3 <= len(there) <= 6


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_planned_kills_nobody(seed: int) -> None:
    acts = Counter(step.act for step in schedule.planned(seed, WORKERS, 90.0))

    assert set(acts) == {Act.RESTART, Act.JOIN, Act.LEAVE}


def test_a_bound_is_kept_or_broken_and_a_figure_without_one_is_for_information() -> None:
    assert Figure(name="a", value=3).holds
    assert Figure(name="a", value=3, bound=3).holds
    assert not Figure(name="a", value=4, bound=3).holds
    assert Figure(name="a", value=0.96, bound=0.95, kind="least").holds
    assert not Figure(name="a", value=0.94, bound=0.95, kind="least").holds
    assert [exactly("a", value, 2)[0].holds for value in (1, 2, 3)] == [False, True, False]


def test_the_table_shows_each_figure_with_its_bound_and_whether_it_is_kept() -> None:
    figures = [
        Figure(name="jobs lost", value=2, bound=0, note="of 10"),
        Figure(name="ratio", value=0.987, bound=0.95, kind="least"),
    ]
    verdict = Verdict(scenario="slow", seed=3, seconds=61.0, figures=figures)

    console = Console(width=120, file=StringIO(), record=True)
    console.print(table([verdict]))

    said = console.export_text()
    assert not verdict.holds
    for text in ("slow (seed 3, 61 s)", "jobs lost", "<= 0", "BROKEN", "of 10", ">= 0.95", "kept"):
        assert text in said


def test_metrics_are_read_with_their_labels() -> None:
    text = '# HELP a b\n# TYPE a gauge\na{x="1",y="z"} 2.5\nb +Inf\n'

    assert parsed(text) == {'a{x="1",y="z"}': 2.5, "b": float("inf")}


def test_the_lanes_that_a_worker_owns_shards_of_are_in_its_metrics() -> None:
    told = {
        'tollway_shards_owned{group="first"}': 2.0,
        'tollway_shards_owned{group="second"}': 0.0,
        "tollway_partitions_owned": 6.0,
    }

    assert owned_lanes(told) == {"first"}
