"""How large tests are: quick for `make test`, thorough for `make test-slow`."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

_T = TypeVar("_T")

# On a fresh clone Hypothesis first builds a table of all characters, and a loaded machine takes its
# time: neither is a fault of the test that meets it.
_ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _ANY_TIME, max_examples=25)
settings.register_profile("thorough", _ANY_TIME, max_examples=200)
settings.load_profile("quick")


def is_thorough() -> bool:
    """Whether this run was given `--hypothesis-profile thorough`."""
    return settings.default is settings.get_profile("thorough")


def sized(quick: int, thorough: int) -> int:
    """How many, in this run."""
    return thorough if is_thorough() else quick


def thinned(cases: Sequence[_T], *, every: int, first: int = 0) -> Sequence[_T]:
    """All cases in a thorough run; in a quick one every so many, from another one each time."""
    return cases if is_thorough() else cases[first % every :: every]


def slow_but(quick: Collection[str], names: Iterable[str]) -> list[Any]:
    """Parameters of which all but these are for a thorough run alone."""
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in names]
