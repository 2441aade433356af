"""`tollway kafka` as a person and as a script use it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tollway_workers.cli.kafka.command import app
from tollway_workers.local.kafka import LocalKafka

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, kafka_jars: tuple[Path, ...]) -> Iterator[Path]:
    yield tmp_path / "broker"
    LocalKafka(tmp_path / "broker").stop(force=True)


def tollway_kafka(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_start_status_logs_and_stop_tell_what_a_person_needs(folder: Path) -> None:
    started = tollway_kafka("start", "--data", folder)
    broker = LocalKafka(folder).status()
    assert broker is not None
    assert started.exit_code == 0
    assert started.stderr.splitlines() == ["starting Kafka"]
    assert f"export TOLLWAY_BOOTSTRAP_SERVERS={broker.bootstrap_servers}" in started.stdout

    status = tollway_kafka("status", "--data", folder)
    assert f"process  {broker.pid}" in status.stdout
    assert "\x1b" not in status.stdout

    facts = json.loads(tollway_kafka("status", "--json", "--data", folder).stdout)
    assert facts["bootstrap_servers"] == broker.bootstrap_servers
    assert facts["persistent"] is True

    logs = tollway_kafka("logs", "--lines", "1", "--data", folder)
    assert logs.stdout.splitlines() == LocalKafka(folder).logs(1)

    stopped = tollway_kafka("stop", "--data", folder)
    assert (stopped.exit_code, stopped.stdout) == (0, "Kafka has ended; its data are kept\n")


def test_without_a_broker_status_says_so_to_people_and_programs(folder: Path) -> None:
    status = tollway_kafka("status", "--data", folder)
    as_json = tollway_kafka("status", "--json", "--data", folder)

    assert (status.exit_code, as_json.exit_code) == (1, 1)
    assert status.stdout == "no local Kafka runs: tollway kafka start\n"
    assert json.loads(as_json.stdout) == {"running": False}
    assert tollway_kafka("stop", "--data", folder).stdout == "no local Kafka runs\n"


def test_a_failure_is_one_sentence_and_exit_code_2(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]

        failed = tollway_kafka("start", "--port", port, "--data", folder)

    assert failed.exit_code == 2
    assert failed.stderr.splitlines()[-1] == (
        f"tollway kafka: port {port} is in use by another program: "
        "end that program, or choose another port"
    )
    assert "Traceback" not in failed.output
