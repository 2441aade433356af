"""What a run starts before it is imported: which processes, what they are told, and their end."""

import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tollway_workers.cli.worker import waiting
from tollway_workers.cli.worker.waiting import Order, become, hear
from tollway_workers.importing import importing
from tollway_workers.local.fleet.disk import DiskError
from tollway_workers.local.fleet.early import Early, SimulatorProcess, WaitingWorker, workers_wanted
from tollway_workers.local.fleet.worker_process import WorkerPlan
from tollway_workers.local.fleet.workers import RunWorkers

_NOTHING_SAID: dict[str, Any] = {
    "workers": None,
    "dry_run": False,
    "simulate": False,
    "base_url": None,
    "config": None,
    "bootstrap_servers": None,
}


@pytest.mark.parametrize(
    ("said", "environ", "count"),
    [
        ({"simulate": True}, {}, 1),
        ({"base_url": "http://127.0.0.1/v1"}, {}, 1),
        ({"simulate": True, "dry_run": True}, {}, 0),
        ({"simulate": True, "workers": 0}, {}, 0),
        ({"simulate": True, "workers": 2}, {}, 2),
        ({"simulate": True, "workers": 64}, {}, 2),
        ({"simulate": True, "bootstrap_servers": "127.0.0.1:1"}, {}, 0),
        ({"simulate": True}, {"TOLLWAY_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 0),
        ({"simulate": True, "bootstrap_servers": "127.0.0.1:1", "workers": 1}, {}, 1),
        ({}, {}, 0),
    ],
)
def test_as_many_workers_start_early_as_the_run_surely_brings(
    said: dict[str, Any],
    environ: dict[str, str],
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert workers_wanted(_NOTHING_SAID | said, environ) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("[lanes.a]\nconcurrency = 1\n", 1),
        ('[kafka]\nprefix = "mine"\n', 1),
        ('[kafka]\nbootstrap_servers = "127.0.0.1:1"\n', 0),
        ("no TOML", 0),
        ("kafka = 1", 0),
    ],
)
def test_a_configuration_brings_workers_unless_it_names_a_kafka_or_cannot_be_read(
    text: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tollway.toml"
    file.write_text(text)

    assert workers_wanted(_NOTHING_SAID, {}) == count
    assert workers_wanted(_NOTHING_SAID | {"config": file}, {}) == count
    assert workers_wanted(_NOTHING_SAID | {"config": tmp_path / "none.toml"}, {}) == 0


@pytest.fixture
def worker() -> Iterator[WaitingWorker]:
    """One that waits."""
    started = WaitingWorker(waiting.__name__)
    yield started
    started.end()


def test_a_waiting_worker_becomes_what_it_is_told_with_the_log_it_is_given(
    worker: WaitingWorker, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("wb") as log:
        worker.become(["--version"], log=log.fileno(), inherited=(), unset=())

    assert worker.process.wait(timeout=30) == 0
    assert (tmp_path / "log").read_text().startswith("tollway ")


def test_a_waiting_worker_ends_with_the_process_that_started_it(worker: WaitingWorker) -> None:
    worker.line.close()

    assert worker.process.wait(timeout=30) == 0


def test_a_worker_that_has_ended_hears_nothing_and_nobody_fails(worker: WaitingWorker) -> None:
    worker.process.kill()
    worker.process.wait()

    with Path(os.devnull).open("wb") as log:
        worker.become(["worker"], log=log.fileno(), inherited=(), unset=())


async def test_a_log_that_cannot_be_made_anew_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "w-0.log").mkdir()
    plan = WorkerPlan(
        count=1, config=tmp_path / "c", folder=tmp_path, name="w", module=waiting.__name__
    )

    with pytest.raises(DiskError, match=r"w-0\.log cannot be written: .* XDG_STATE_HOME$"):
        async with RunWorkers.open(plan, print):
            pass


def test_what_nobody_took_is_ended() -> None:
    taken, left = WaitingWorker(waiting.__name__), WaitingWorker(waiting.__name__)
    simulator = SimulatorProcess(None, None)
    early = Early([taken, left], simulator)
    assert early.take_worker() is taken

    early.end()

    assert (left.process.returncode, simulator.process.returncode) == (-9, -9)
    assert taken.process.poll() is None
    assert (early.take_worker(), early.take_simulator()) == (None, None)
    taken.end()


def test_an_order_arrives_whole_with_more_descriptors_than_one_message_takes() -> None:
    ours, theirs = socket.socketpair()
    sender = WaitingWorker.__new__(WaitingWorker)
    sender.line = ours
    with ours, theirs, Path(os.devnull).open("wb") as file:
        sender.become(["a", "ü"], log=file.fileno(), inherited=[file.fileno()] * 500, unset={"X"})

        order = hear(theirs)

    assert order is not None
    assert (order.arguments, order.unset, len(order.descriptors)) == (("a", "ü"), ("X",), 501)
    for descriptor in order.descriptors:
        os.close(descriptor)


def test_an_order_that_never_comes_is_none() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(b'{"arguments": ')
        ours.close()

        assert hear(theirs) is None


def test_a_worker_does_not_see_what_the_run_alone_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOLLWAY_PREFIX", "other")
    monkeypatch.setattr(sys, "argv", ["tollway"])
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    seen: list[object] = []

    log = os.open(os.devnull, os.O_WRONLY)
    become(
        Order(("worker", "--x"), ("TOLLWAY_PREFIX", "NONE"), (log,)),
        lambda: seen.extend([sys.argv[1:], "TOLLWAY_PREFIX" in os.environ]),
    )

    assert seen == [["worker", "--x"], False]


def _loaded(module: str) -> set[str]:
    """The packages that importing a module brings along."""
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("tollway_workers.cli.run.command", {"pydantic", "aiokafka", "aiohttp", "httpx", "orjson"}),
        ("tollway_workers.cli.run.play", {"aiohttp", "httpx", "prometheus_client"}),
        ("tollway_workers.cli.run.session", {"aiohttp"}),
        ("tollway_workers.local.fleet.simulated", {"aiokafka", "httpx", "prometheus_client"}),
    ],
)
def test_a_part_of_a_run_imports_nothing_that_it_does_not_need(
    module: str, heavy: set[str]
) -> None:
    assert _loaded(module) & heavy == set()


def test_nothing_is_collected_while_a_command_is_imported_and_afterwards_as_before() -> None:
    seen = []
    for before in (gc.enable, gc.disable):
        before()
        with importing():
            seen.append(gc.isenabled())
        seen.append(gc.isenabled())
    gc.enable()

    assert seen == [False, True, False, False]
    gc.unfreeze()
