"""The Kafka of a test run: one for all its processes, gone with the last of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import run_kafka
from eventually import eventually_sync
from run_kafka import NoKafka, is_kept, shared_kafka

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_USER = """
import sys
from pathlib import Path
from run_kafka import shared_kafka
with shared_kafka(Path(sys.argv[1])) as servers:
    print(servers, flush=True)
    sys.stdin.readline()
"""


class User:
    """A process of a run."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _USER, str(folder)],
            env=os.environ | {"PYTHONPATH": str(Path(run_kafka.__file__).parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def servers(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> None:
        self.process.communicate("\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def folder(tmp_path: Path, kafka_jars: tuple[Path, ...]) -> Iterator[Path]:
    yield tmp_path / "run"
    eventually_sync(lambda: not is_kept(tmp_path / "run"))


def brokers(folder: Path) -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if any(str(folder) in word for word in each.info["cmdline"] or ())
        and "java" in each.info["cmdline"][0]
    ]


def test_processes_that_start_together_share_one_and_the_last_to_go_ends_it(folder: Path) -> None:
    one, two = User(folder), User(folder)
    same = one.servers(), two.servers()
    running = brokers(folder)

    one.end()
    after_one = is_kept(folder)
    two.end()
    eventually_sync(lambda: not is_kept(folder))

    assert same[0] == same[1] != ""
    assert len(running) == 1
    assert after_one
    assert brokers(folder) == []


def test_it_ends_when_all_who_use_it_are_killed(folder: Path) -> None:
    users = [User(folder), User(folder)]
    for user in users:
        assert user.servers()

    for user in users:
        user.kill()
    eventually_sync(lambda: not is_kept(folder))

    assert brokers(folder) == []


def test_one_that_does_not_start_says_why(folder: Path) -> None:
    folder.mkdir()
    (folder / "kafka").write_text("no folder")

    with pytest.raises(NoKafka, match="did not start:"), shared_kafka(folder):
        raise AssertionError("there is none")
