"""One Kafka for all processes of a test run, kept by a process of its own.

Each process that uses it holds a named pipe open. The keeper reads that pipe: it ends, and Kafka
stops, once nobody holds it any more, however the last one ended.
"""

import os
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from tollway_workers.local.kafka import LocalKafka
from tollway_workers.local.kafka.properties import MESSAGE_MAX_BYTES

#: Keepers that this process started: they outlive its use, and Python warns of what it forgets.
_keepers: list["subprocess.Popen[str]"] = []


class NoKafka(Exception):
    """The tests' Kafka did not start."""


@contextmanager
def shared_kafka(folder: Path) -> Iterator[str]:
    """The address of the Kafka of all processes that name this folder; the first one starts it."""
    pipe, address = folder / "users", folder / "address"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not pipe.exists():
            os.mkfifo(pipe, 0o600)
        # For reading too: so it opens at once, whoever else holds it.
        use = os.open(pipe, os.O_RDWR)
        if not address.exists():
            address.write_text(_start_keeper(folder))
    try:
        yield address.read_text()
    finally:
        os.close(use)


def is_kept(folder: Path) -> bool:
    """Whether a Kafka still runs for this folder."""
    return (folder / "address").exists()


def _start_keeper(folder: Path) -> str:
    log = folder / "keeper.log"
    with log.open("ab") as errors:
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # Ctrl-C is for the tests, which still need Kafka to clean up.
            start_new_session=True,
        )
    assert keeper.stdout is not None
    with keeper.stdout as said:
        address = said.readline().strip()
    if not address:
        keeper.wait()
        raise NoKafka(f"the Kafka of the tests did not start:\n{log.read_text()[-3_000:]}")
    _keepers.append(keeper)
    return address


def _keep(folder: Path) -> None:
    with (folder / "users").open("rb", buffering=0) as users, ExitStack() as kafka:
        print(kafka.enter_context(_any_kafka(folder)), flush=True)  # noqa: T201 its only word
        while True:
            users.read()
            # Who comes now waits for the lock, and starts another one.
            with FileLock(folder / "lock"):
                if not _is_held(users.fileno()):
                    kafka.close()
                    # All of it: who would have done so may have been killed.
                    shutil.rmtree(folder, ignore_errors=True)
                    return


def _is_held(pipe: int) -> bool:
    looking = select.poll()
    looking.register(pipe, select.POLLIN)
    return not any(event & select.POLLHUP for _, event in looking.poll(0))


@contextmanager
def _any_kafka(folder: Path) -> Iterator[str]:
    if docker_answers():
        with _container() as servers:
            yield servers
    else:
        with LocalKafka(folder / "kafka").use() as broker:
            yield broker.bootstrap_servers


def docker_answers() -> bool:
    """Whether an engine answers a ping; an engine behind TLS or ssh counts as none."""
    engine = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    local = engine.scheme == "unix"
    address = engine.path if local else (engine.hostname, engine.port)
    with socket.socket(socket.AF_UNIX if local else socket.AF_INET) as connection:
        connection.settimeout(2)
        try:
            connection.connect(address)
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def _container() -> AbstractContextManager[str]:  # pragma: no cover - needs an engine
    from testcontainers.community.kafka import KafkaContainer

    settings = {
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": str(MESSAGE_MAX_BYTES),
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
    }
    return _Container(KafkaContainer().with_kraft().with_envs(**settings))


class _Container:  # pragma: no cover - needs an engine
    """The container as a context that gives its address."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __enter__(self) -> str:
        return str(self._container.start().get_bootstrap_server())

    def __exit__(self, *error: object) -> None:
        self._container.stop()


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
