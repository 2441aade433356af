"""What is expected of an answer from others of its route: given sooner, within the same bound."""

from collections.abc import Callable
from itertools import accumulate
from random import Random

import pytest

from tollway_workers.cache.semantic.prior import Prior
from tollway_workers.cache.semantic.rule import BANDS, Band, Learned, Observation

SIMILAR = 0.93
NUMBER = BANDS.index(0.85)
BOUND, RECHECK = 0.01, 0.02
ANSWERS, JOBS, ROUTES = 200, 4_000, 6

#: How much is wrong of each answer of a route: of all the same, or of few much.
MIXTURES: dict[str, Callable[[Random], float]] = {
    "nearly nothing": lambda _: 0.002,
    "the bound": lambda _: 0.01,
    "thrice the bound": lambda _: 0.03,
    "much of all": lambda _: 0.1,
    "all of a tenth": lambda rng: float(rng.random() < 0.1),
    "a third of a tenth": lambda rng: 0.3 * (rng.random() < 0.1),
    "a tenth of half": lambda rng: 0.1 * (rng.random() < 0.5),
    "a little of a fifth": lambda rng: 0.05 * (rng.random() < 0.2),
    "anything": lambda rng: rng.betavariate(0.2, 4.0),
}


def route(wrong: Callable[[Random], float], rng: Random) -> tuple[float, float]:
    """Shares of a route's jobs that are given a wrong answer, and an answer at all."""
    parts = [wrong(rng) for _ in range(ANSWERS)]
    ranks = [*accumulate(1.0 / rank for rank in range(1, ANSWERS + 1))]
    learned, prior = [Learned()] * ANSWERS, Prior()
    given = wrongly = 0
    for answer in rng.choices(range(ANSWERS), cum_weights=ranks, k=JOBS):
        known, agreed = learned[answer], rng.random() >= parts[answer]
        chance = known.chance_to_explore(SIMILAR, BOUND, prior.expected_wrong(known, SIMILAR))
        if rng.random() >= chance and rng.random() >= RECHECK:
            given += 1
            wrongly += not agreed
            continue
        observation = Observation(SIMILAR, agreed)
        prior.add(known, observation)
        learned[answer] = known.having_seen(observation)
    return wrongly / JOBS, given / JOBS


@pytest.mark.parametrize("mixture", MIXTURES)
def test_however_wrong_answers_lie_among_a_route_s_the_bound_holds(mixture: str) -> None:
    rng = Random(7)

    shares = [route(MIXTURES[mixture], rng)[0] for _ in range(ROUTES)]

    assert sum(shares) / ROUTES <= BOUND


def test_where_others_are_hardly_ever_wrong_an_answer_is_given_the_second_time() -> None:
    prior, known = Prior(), Learned().with_band(NUMBER, Band(agreed=2))
    for _ in range(1_000):
        prior.add(Learned(), Observation(SIMILAR, agreed=True))

    expected = prior.expected_wrong(known, SIMILAR)

    assert expected is not None
    assert known.chance_to_explore(SIMILAR, BOUND) > 0.95
    assert known.chance_to_explore(SIMILAR, BOUND, expected) < 0.1


def test_an_answer_that_was_wrong_is_not_given_however_good_the_others_are() -> None:
    prior, known = Prior(), Learned().with_band(NUMBER, Band(agreed=1, differed=2))
    for _ in range(1_000):
        prior.add(Learned(), Observation(SIMILAR, agreed=True))

    assert known.chance_to_explore(SIMILAR, BOUND, prior.expected_wrong(known, SIMILAR)) == 1.0


def test_of_few_others_nothing_is_expected() -> None:
    prior = Prior()
    for _ in range(99):
        prior.add(Learned(), Observation(SIMILAR, agreed=True))
        prior.add(Learned(), Observation(0.99, agreed=True))

    assert prior.expected_wrong(Learned(), SIMILAR) is None
    prior.add(Learned(), Observation(SIMILAR, agreed=True))
    assert prior.expected_wrong(Learned(), SIMILAR) is not None
    assert prior.expected_wrong(Learned(), 0.99) is None
    assert prior.expected_wrong(Learned(), 0.1) is None
