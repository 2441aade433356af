"""The parts of the local Kafka that need no Kafka: settings, lock, ports, processes, state."""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tollway_workers.errors import LocalError
from tollway_workers.local.kafka import BrokerOptions, LocalKafka, SecureListener
from tollway_workers.local.kafka.jars import (
    LockedJar,
    ensure_jars,
    fetch,
    format_lock,
    parse_lock,
    read_lock,
)
from tollway_workers.local.kafka.java import java_environment
from tollway_workers.local.kafka.nodes import cluster_id
from tollway_workers.local.kafka.ports import choose_ports, is_free
from tollway_workers.local.kafka.probe import brokers_known_to
from tollway_workers.local.kafka.processes import (
    ProcessId,
    end,
    identify,
    is_alive,
    this_process,
)
from tollway_workers.local.kafka.properties import NodePorts, server_properties
from tollway_workers.local.kafka.state import BrokerState, NodeState, read_state, write_state

ONE = NodePorts(node_id=1, port=20_001, controller_port=20_002)
TWO = NodePorts(node_id=2, port=20_003, controller_port=20_004)
THREE = NodePorts(node_id=3, port=20_005, controller_port=20_006)
GONE = ProcessId(pid=os.getpid(), started_at=1.0)


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_one_node_listens_on_this_machine_only_and_creates_no_topic_by_itself() -> None:
    found = settings(server_properties(ONE, [ONE], Path("/data"), BrokerOptions()))

    assert found["listeners"] == "PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert found["auto.create.topics.enable"] == "false"
    assert found["message.max.bytes"] == "4194304"
    assert found["default.replication.factor"] == "1"
    assert "broker.session.timeout.ms" not in found


def test_three_nodes_vote_together_and_keep_three_copies() -> None:
    options = BrokerOptions(nodes=3, session_timeout_seconds=3)

    found = settings(server_properties(TWO, [ONE, TWO, THREE], Path("/data"), options))

    assert found["node.id"] == "2"
    assert found["controller.quorum.voters"].split(",") == [
        "1@127.0.0.1:20002",
        "2@127.0.0.1:20004",
        "3@127.0.0.1:20006",
    ]
    assert (found["default.replication.factor"], found["min.insync.replicas"]) == ("3", "2")
    assert found["broker.session.timeout.ms"] == "3000"


def test_the_password_of_the_secure_listener_is_in_no_setting_and_no_repr() -> None:
    secure = SecureListener(keystore_file=Path("/k.pem"), username="service", password="hush")
    node = NodePorts(node_id=1, port=1, controller_port=2, secure_port=3)

    text = server_properties(node, [node], Path("/data"), BrokerOptions(secure=secure))

    assert "SASL_SSL://127.0.0.1:3" in text
    assert "hush" not in text + repr(BrokerOptions(secure=secure))


def test_the_committed_lock_names_kafka_and_no_address() -> None:
    locked = read_lock()

    assert "org.apache.kafka:kafka_2.13:4.4.0" in map(str, locked)
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert len({jar.file_name for jar in locked}) == len(locked)
    assert "://" not in format_lock(locked)
    assert parse_lock(format_lock(locked)) == tuple(sorted(locked, key=lambda jar: f"{jar} "))


def test_a_jar_that_differs_from_the_lock_stops_the_start_and_is_named(tmp_path: Path) -> None:
    jar = LockedJar(
        group="g", artifact="a", version="1", sha256=hashlib.sha256(b"good").hexdigest()
    )
    (tmp_path / jar.file_name).write_bytes(b"good")
    assert ensure_jars(tmp_path, (jar,), print) == (tmp_path / "a-1.jar",)

    (tmp_path / jar.file_name).write_bytes(b"evil")

    with pytest.raises(LocalError, match=r"a-1\.jar is not the g:a:1 .* delete the file"):
        ensure_jars(tmp_path, (jar,), print)


class Repository:
    """Stands for jgo's context and artifact: the first downloads break off half-way."""

    def __init__(self, cached_path: Path, failures: int) -> None:
        self.cached_path = cached_path
        self.failures = failures

    def project(self, group: str, artifact: str) -> "Repository":
        return self

    def at_version(self, version: str) -> "Repository":
        return self

    def artifact(self) -> "Repository":
        return self

    def resolve(self) -> Path:
        if self.cached_path.exists():
            return self.cached_path
        self.failures -= 1
        self.cached_path.write_bytes(b"half" if self.failures >= 0 else b"whole")
        if self.failures >= 0:
            raise ConnectionResetError("the connection broke off")
        return self.cached_path


def test_half_a_download_is_never_taken_for_a_jar(tmp_path: Path) -> None:
    jar = LockedJar(group="g", artifact="a", version="1", sha256="")

    assert fetch(Repository(tmp_path / "a", failures=2), jar).read_bytes() == b"whole"
    with pytest.raises(LocalError, match=r"g:a:1 cannot be downloaded \(ConnectionResetError\)"):
        fetch(Repository(tmp_path / "b", failures=3), jar)


def test_a_port_that_was_asked_for_and_is_busy_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]

        with pytest.raises(LocalError, match=f"port {port} is in use by another program"):
            choose_ports(BrokerOptions(port=port), [])


def test_ports_of_last_time_are_taken_again_unless_they_are_busy() -> None:
    first, second, third = choose_ports(BrokerOptions(nodes=3), [])
    assert choose_ports(BrokerOptions(nodes=3), [first, second, third])[1] == second

    with socket.create_server(("127.0.0.1", first.port)):
        again = choose_ports(BrokerOptions(), [first])[0]

    assert again.port != first.port
    assert again.controller_port == first.controller_port


def test_all_ports_are_free_different_and_never_given_to_outgoing_connections() -> None:
    places = choose_ports(BrokerOptions(nodes=3), [])

    ports = [port for place in places for port in (place.port, place.controller_port)]
    assert len(set(ports)) == 6
    assert all(is_free(port) and port < 32_768 for port in ports)


def test_a_pid_that_was_given_out_again_is_not_taken_for_the_old_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        real = identify(child.pid)
        stale = ProcessId(pid=child.pid, started_at=real.started_at - 3600)
        assert (is_alive(real), is_alive(stale)) == (True, False)

        end([stale], patience=5)
        assert is_alive(real)

        end([real], patience=5)
        assert not is_alive(real)


def test_a_child_that_ended_and_was_not_reaped_counts_as_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as child:
        process = identify(child.pid)
        assert child.stdout is not None
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert not is_alive(process)


def test_users_that_died_count_no_more_and_one_leaves_at_a_time() -> None:
    me = this_process()
    state = BrokerState(nodes=(), started_at=0, users=(GONE, me, me))

    state = state.with_living_users()
    assert state.users == (me, me)
    assert state.without_user(me).users == (me,)


def test_a_state_survives_its_file_and_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    state = BrokerState(nodes=(NodeState(process=GONE, ports=ONE),), started_at=5, users=(GONE,))
    assert read_state(file) is None

    write_state(file, state)
    assert read_state(file) == state

    file.write_text("{")
    with pytest.raises(LocalError, match=r"state\.json cannot be understood: delete it"):
        read_state(file)


def test_a_state_whose_processes_are_gone_is_no_running_broker(tmp_path: Path) -> None:
    node = NodeState(process=GONE, ports=ONE)
    write_state(tmp_path / "state.json", BrokerState(nodes=(node,), started_at=5))

    kafka = LocalKafka(tmp_path)

    assert kafka.status() is None
    assert kafka.stop() is False
    assert repr(kafka).endswith("[stopped]>")


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LocalError, match=r"file/broker cannot be made: Not a directory"):
        LocalKafka(tmp_path / "file" / "broker").start()


def test_a_cluster_id_is_made_once_and_has_kafkas_form(tmp_path: Path) -> None:
    made = cluster_id(tmp_path)

    assert len(made) == 22
    assert not made.startswith("-")
    assert cluster_id(tmp_path) == made


def test_the_broker_inherits_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "hush")

    assert "SOME_SECRET" not in java_environment()
    assert "PATH" in java_environment()


def test_a_port_where_nobody_or_no_kafka_answers_knows_no_brokers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert brokers_known_to(port) == 0


async def test_no_test_reaches_beyond_this_machine() -> None:
    with pytest.raises(AssertionError, match=r"tried to reach example\.com"):
        await asyncio.open_connection("example.com", 80)
    with pytest.raises(AssertionError, match=r"tried to reach 192\.0\.2\.1"):
        await asyncio.open_connection("192.0.2.1", 80)


def test_no_test_sees_a_providers_key() -> None:
    assert not [name for name in os.environ if name.endswith("_API_KEY")]
