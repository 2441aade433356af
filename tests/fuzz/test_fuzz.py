"""Mutations of each way in, the same in every run: none raises, stalls or swells."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fuzz import TARGETS, kept, repeat
from mutations import Case
from rich.console import Console
from size import sized
from target import Bounds, Culprit, Run, Target, fuzz

_CASES = sized(300, 2_000)


@pytest.mark.parametrize("name", TARGETS)
async def test_no_mutation_of_what_strangers_send_raises_stalls_or_takes_memory(name: str) -> None:
    target = TARGETS[name]

    culprit = await fuzz(target, (target.case(1, number) for number in range(_CASES)))

    assert culprit is None, f"{culprit.why}\n{[part[:500] for part in culprit.case]}"


def test_a_seed_is_one_list_of_cases() -> None:
    for target in TARGETS.values():
        numbers = range(len(target.seeds), len(target.seeds) + 40)
        cases = [[target.case(seed, number) for number in numbers] for seed in (7, 7, 8)]

        assert cases[0] == cases[1] != cases[2]
        assert len(set(cases[0])) > 25


async def _raise(case: Case) -> None:
    raise KeyError(case[0])


async def _stall(_: Case) -> None:
    time.sleep(0.06)  # noqa: ASYNC251 what a stalled event loop is


async def _stall_behind_an_await(case: Case) -> None:
    await asyncio.sleep(0)
    await _stall(case)
    await asyncio.sleep(0.05)


async def _swell(_: Case) -> None:
    assert len(b"x" * 2**29)


def _target(run: Run) -> Target:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:
        yield run

    return Target(name="bad", seeds=((b"\xff", b"b"),), opened=opened)


@pytest.mark.parametrize(
    ("run", "bounds", "why"),
    [
        (_raise, Bounds(), "KeyError"),
        (_stall, Bounds(pause=0.05), "stood still"),
        (_stall_behind_an_await, Bounds(pause=0.05), "stood still"),
        (_swell, Bounds(pause=60.0, memory=2**28), "MiB above idle"),
    ],
)
async def test_what_no_case_may_do_is_found(run: Run, bounds: Bounds, why: str) -> None:
    target = _target(run)

    culprit = await fuzz(target, [target.case(1, 0)], bounds=bounds)

    assert culprit is not None and why in culprit.why


def test_a_culprit_is_kept_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "bad", _target(_raise))
    culprit = Culprit(target="bad", case=(b"\xff", b"b"), why="KeyError")

    assert repeat(kept(culprit, tmp_path), Console(quiet=True)) == 1


def test_a_case_that_is_sound_again_says_so(tmp_path: Path) -> None:
    target = TARGETS["commits"]
    path = kept(Culprit(target="commits", case=target.case(1, 0), why="mended"), tmp_path)

    assert repeat(path, Console(quiet=True)) == 0
