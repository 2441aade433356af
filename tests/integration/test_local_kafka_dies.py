"""A local Kafka that dies under those who use it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tollway_workers.errors import LocalError
from tollway_workers.local.kafka import LocalKafka, LocalKafkaGone
from tollway_workers.local.kafka.processes import end, identify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

#: A parent that takes no note of its child's end.
_PARENT = """
import subprocess, sys
child = subprocess.Popen(["sleep", "100"])
print(child.pid, flush=True)
sys.stdin.readline()
child.wait()
"""


@pytest.fixture
def folder(tmp_path: Path, kafka_jars: tuple[Path, ...]) -> Iterator[Path]:
    """An empty data folder; what still runs in it is ended afterwards."""
    yield tmp_path / "broker"
    LocalKafka(tmp_path / "broker").stop(force=True)


async def test_a_broker_that_died_comes_back_to_all_its_users_at_its_address(folder: Path) -> None:
    one, two = LocalKafka(folder), LocalKafka(folder)
    async with one.shared() as before:
        async with two.shared():
            one.kill_node(1)
            assert one.status() is None

            first, second = await asyncio.gather(one.revived(), two.revived())

            assert first.bootstrap_servers == before.bootstrap_servers
            assert (first.pid, first.users) == (second.pid, 2)
            assert first.pid != before.pid
        left = one.status()
        assert left is not None
        assert left.users == 1
    assert one.status() is None


async def test_a_broker_that_was_kept_is_kept_when_it_comes_back(folder: Path) -> None:
    kafka = LocalKafka(folder)
    kafka.start()
    async with kafka.shared():
        kafka.kill_node(1)
        await kafka.revived()
    running = kafka.status()

    assert running is not None
    assert running.persistent


async def test_a_broker_that_was_stopped_on_purpose_is_not_brought_back(folder: Path) -> None:
    kafka = LocalKafka(folder)
    async with kafka.shared():
        kafka.stop(force=True)
        with pytest.raises(LocalKafkaGone, match="was stopped while this command used it"):
            await kafka.revived()

    assert kafka.status() is None


async def test_who_leaves_while_it_is_dead_uses_it_no_longer(folder: Path) -> None:
    kafka = LocalKafka(folder)
    async with kafka.shared():
        kafka.kill_node(1)
    kafka.start()

    try:
        assert kafka.stop()
    except LocalError as error:
        raise AssertionError("its last user is still counted") from error


def test_a_process_that_ended_is_not_waited_for_where_its_parent_takes_no_note() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = identify(int(parent.stdout.readline()))
    began = time.monotonic()

    end([child], patience=20.0)

    assert time.monotonic() - began < 10.0
    assert os.path.exists(f"/proc/{child.pid}") or sys.platform != "linux"
    parent.communicate("\n", timeout=30)
