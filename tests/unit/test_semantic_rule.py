"""The semantic cache's rule: how often a stored answer is given for a similar prompt."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from size import sized

from tollway_workers.cache.semantic.rule import (
    BANDS,
    FLOOR,
    LEAST_EXPLORED,
    Band,
    Learned,
    Observation,
    chance_to_explore,
)

SIMILAR = 0.93
OBSERVATIONS = st.lists(st.builds(Observation, st.floats(-1, 1), st.booleans()), max_size=80)
BOUNDS = st.floats(0.001, 0.2)


def wrong_share(q: float, error_bound: float, jobs: int, rng: Random) -> float:
    """Of so many candidates of one band, of which a part `q` is wrong, those given and wrong.

    Between two that are explored the rule knows the same: how many are given is drawn at once.
    """
    band, done, wrong = Band(), 0, 0.0
    number = BANDS.index(0.85)
    while done < jobs:
        learned = Learned().with_band(number, band)
        explored = learned.chance_to_explore(SIMILAR, error_bound)
        given = 0
        if explored < 1.0:
            given = int(math.log(1.0 - rng.random()) / math.log(1.0 - explored))
        wrong += q * min(given, jobs - done)
        done += given + 1
        band += (0, 1) if rng.random() < q else (1, 0)
    return wrong / jobs


@pytest.mark.parametrize("error_bound", [0.01, 0.05])
@pytest.mark.parametrize("q", [0.002, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 0.9])
def test_however_many_candidates_are_wrong_the_bound_holds_over_every_history(
    q: float, error_bound: float
) -> None:
    rng, histories = Random(7), sized(50, 150)

    for jobs in (30, 100, 300, 1_000):
        shares = [wrong_share(q, error_bound, jobs, rng) for _ in range(histories)]
        mean = sum(shares) / histories
        spread = math.sqrt(sum((each - mean) ** 2 for each in shares)) / histories
        assert mean <= error_bound + 2 * spread


def test_an_answer_that_is_always_right_is_soon_given_nearly_always() -> None:
    seen = [Observation(SIMILAR, agreed=True)] * 70

    assert chance_to_explore(SIMILAR, seen, 0.01) == LEAST_EXPLORED
    assert chance_to_explore(SIMILAR, seen[:35], 0.01) == pytest.approx(0.5)


def test_what_is_wrong_in_one_band_says_nothing_of_another() -> None:
    swapped = [Observation(0.985, agreed=False)] * 20
    reworded = [Observation(0.92, agreed=True)] * 70

    assert chance_to_explore(0.985, swapped + reworded, 0.01) == 1.0
    assert chance_to_explore(0.93, swapped + reworded, 0.01) == LEAST_EXPLORED


@given(OBSERVATIONS, st.floats(-1, 1), BOUNDS)
def test_a_right_answer_never_makes_it_shyer_and_a_wrong_one_never_bolder(
    seen: list[Observation], similarity: float, error_bound: float
) -> None:
    known = Learned.of(seen)
    chance = known.chance_to_explore(similarity, error_bound)
    right = known.having_seen(Observation(similarity, agreed=True))
    wrong = known.having_seen(Observation(similarity, agreed=False))

    assert LEAST_EXPLORED <= chance <= 1.0
    assert right.chance_to_explore(similarity, error_bound) <= chance + 1e-12
    assert wrong.chance_to_explore(similarity, error_bound) >= chance - 1e-12


def test_where_much_is_wrong_nothing_is_given() -> None:
    often = Learned().with_band(BANDS.index(0.85), Band(agreed=80, differed=20))
    never = Learned().with_band(BANDS.index(0.85), Band(differed=500))

    assert often.chance_to_explore(SIMILAR, 0.01) == 1.0
    assert never.chance_to_explore(SIMILAR, 0.01) == 1.0


@given(OBSERVATIONS, st.floats(-1, FLOOR, exclude_max=True), BOUNDS)
def test_below_the_floor_nothing_is_ever_given(
    seen: list[Observation], similarity: float, error_bound: float
) -> None:
    assert chance_to_explore(similarity, seen, error_bound) == 1.0


@given(st.floats(-1, 1), BOUNDS)
def test_of_what_nobody_found_out_about_nothing_is_given(
    similarity: float, error_bound: float
) -> None:
    assert chance_to_explore(similarity, (), error_bound) == 1.0
