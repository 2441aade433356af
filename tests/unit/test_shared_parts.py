"""What tests of several folders share: waiting, sizes, commands, and the fleets they describe."""

import gc
import logging
import os
from pathlib import Path
from threading import Event

import in_process
import pytest
from eventually import eventually, eventually_sync
from in_process import run_here
from live_fleet import fleet_table
from size import sized, slow_but, thinned


async def test_what_is_waited_for_is_given_as_soon_as_it_is_there() -> None:
    looks = iter(["", "", "there"])

    async def look() -> str:
        return next(looks)

    assert await eventually(look) == "there"
    assert await eventually(lambda: 7) == 7
    assert eventually_sync(lambda: 7) == 7


async def test_what_never_comes_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        await eventually(lambda: None, 0.01)
    with pytest.raises(TimeoutError):
        eventually_sync(lambda: None, 0.01)


def test_a_look_that_raises_ends_the_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually_sync(lambda: 1 / 0)


def test_quick_runs_with_all_starts_meet_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("size.is_thorough", lambda: False)
    cases = range(100)

    runs = [thinned(cases, every=7, first=first) for first in range(7)]

    assert sorted(each for run in runs for each in run) == [*cases]
    assert max(map(len, runs)) == 15
    assert sized(3, 100) == 3


def test_a_thorough_run_meets_every_case_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("size.is_thorough", lambda: True)

    assert thinned(range(100), every=7, first=3) == range(100)
    assert sized(3, 100) == 100


def test_what_is_not_named_as_quick_is_slow() -> None:
    parameters = slow_but({"a"}, ["a", "b"])

    assert [(each.values, [mark.name for mark in each.marks]) for each in parameters] == [
        (("a",), []),
        (("b",), ["slow"]),
    ]


async def test_a_command_in_the_process_of_a_test_is_as_one_of_its_own_and_leaves_no_trace(
    tmp_path: Path,
) -> None:
    before = Path.cwd(), dict(os.environ), logging.getLogger("aiokafka").level, gc.isenabled()
    frozen = gc.get_freeze_count()

    made = run_here(("config", "init"), tmp_path, {"HOME": str(tmp_path)})
    wrong = run_here(("journal", "a"), tmp_path, {"TOLLWAY_BOOTSTRAP_SERVERS": "127.0.0.1:9"})

    assert (made.returncode, made.stderr) == (0, b"")
    assert (tmp_path / "tollway.toml").exists()
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count(b"\n")) == (2, b"", 1)
    after = Path.cwd(), dict(os.environ), logging.getLogger("aiokafka").level, gc.isenabled()
    assert after == before
    assert gc.get_freeze_count() <= frozen


def test_a_command_that_hangs_ends_its_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = Event()
    monkeypatch.setattr(in_process, "main", let_go.wait)
    monkeypatch.setattr(in_process, "_PATIENCE", 0.01)

    with pytest.raises(TimeoutError):
        run_here(("lanes",), tmp_path, {})

    let_go.set()


def test_a_test_says_of_its_fleet_only_what_it_is_about() -> None:
    table = fleet_table("http://h/v1", {"lanes": {"main": {"shards": 2}}, "retry": {"tiers": []}})

    assert table["lanes"]["main"] == {
        "provider": "simulator",
        "model": "scripted",
        "concurrency": 24,
        "shards": 2,
    }
    assert (table["routes"], table["retry"]) == ({"extract": {"lanes": ["main"]}}, {"tiers": []})
