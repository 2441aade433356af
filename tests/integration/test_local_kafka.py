"""The local Kafka as its users meet it: started, shared, killed, tampered with."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from eventually import eventually_sync

from tollway_workers.errors import LocalError
from tollway_workers.local.kafka import BrokerOptions, LocalKafka
from tollway_workers.local.kafka.jars import read_lock
from tollway_workers.local.kafka.nodes import NodeFolder

CreateTopics = Callable[..., Awaitable[None]]

#: Seconds. Each test starts a broker or two, on machines that may be busy with others.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

USER = """
import signal, sys
from pathlib import Path
from tollway_workers.local.kafka import LocalKafka
# What a shell starts in the background is born deaf to Ctrl-C, with all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
with LocalKafka(Path(sys.argv[1])).use() as broker:
    print(broker.pid, broker.bootstrap_servers, flush=True)
    sys.stdin.readline()
"""

StartUser = Callable[[], "User"]


class User:
    """A command of its own that shares the broker until it is told to end."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def broker(self) -> tuple[int, str]:
        """Wait until it has the broker: the broker's process and address."""
        assert self.process.stdout is not None
        pid, address = self.process.stdout.readline().split()
        return int(pid), address

    def end(self) -> None:
        self.process.communicate("\n", timeout=30)


@pytest.fixture
def folder(tmp_path: Path, kafka_jars: tuple[Path, ...]) -> Iterator[Path]:
    """An empty data folder; what still runs in it is ended afterwards."""
    yield tmp_path / "broker"
    LocalKafka(tmp_path / "broker").stop(force=True)


@pytest.fixture
def start_user(folder: Path) -> Iterator[StartUser]:
    users: list[User] = []

    def start() -> User:
        users.append(User(folder))
        return users[-1]

    yield start
    for user in users:
        if user.process.poll() is None:
            user.process.kill()
        user.process.communicate()


async def write(servers: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait(topic, value)


async def read_one(servers: str, topic: str) -> object:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    async with consumer:
        return (await consumer.getone()).value


async def test_a_broker_keeps_its_data_and_its_port_over_a_restart(
    folder: Path, create_topics: CreateTopics
) -> None:
    said: list[str] = []
    kafka = LocalKafka(folder, on_progress=said.append)
    first = await asyncio.to_thread(kafka.start)
    await create_topics("kept", bootstrap_servers=first.bootstrap_servers)
    await write(first.bootstrap_servers, "kept", b"a job")
    assert await asyncio.to_thread(kafka.stop)
    assert kafka.status() is None

    second = await asyncio.to_thread(kafka.start)

    assert second.bootstrap_servers == first.bootstrap_servers
    assert await read_one(second.bootstrap_servers, "kept") == b"a job"
    assert said.count("starting Kafka") == 2


def test_starting_twice_finds_the_same_broker_and_status_describes_it(folder: Path) -> None:
    first = LocalKafka(folder).start()
    second = LocalKafka(folder).start()
    status = LocalKafka(folder).status()

    assert first == second == status
    assert first.persistent
    assert oct(folder.stat().st_mode)[-3:] == "700"
    assert LocalKafka(folder).logs(5)
    assert repr(LocalKafka(folder)).endswith(f"[{first.bootstrap_servers}]>")


def test_two_processes_share_one_broker_and_the_last_one_ends_it(
    folder: Path, start_user: StartUser
) -> None:
    one, two = start_user(), start_user()
    assert one.broker() == two.broker()
    assert LocalKafka(folder).status() is not None

    one.end()
    status = LocalKafka(folder).status()
    assert status is not None
    assert status.users == 1

    two.end()
    assert LocalKafka(folder).status() is None


def test_a_broker_that_was_started_by_hand_outlives_its_users(folder: Path) -> None:
    kafka = LocalKafka(folder)
    started = kafka.start()

    with LocalKafka(folder).use() as shared:
        assert shared.pid == started.pid

    assert kafka.status() == started


def test_nobody_stops_it_under_a_living_user_unless_told_twice(folder: Path) -> None:
    kafka = LocalKafka(folder)
    with kafka.use():
        with pytest.raises(LocalError, match=rf"in use by 1 command\(s\) \(process {os.getpid()}"):
            kafka.stop()
        assert kafka.status() is not None

        assert kafka.stop(force=True)

    assert kafka.status() is None


def test_a_user_that_was_killed_neither_ends_the_broker_nor_keeps_it(
    folder: Path, start_user: StartUser
) -> None:
    killed = start_user()
    pid, _ = killed.broker()
    killed.process.kill()
    killed.process.wait()
    status = LocalKafka(folder).status()
    assert status is not None
    assert (status.pid, status.users) == (pid, 0)

    with LocalKafka(folder).use() as broker:
        assert broker.pid == pid

    assert LocalKafka(folder).status() is None


def test_a_command_killed_while_it_prepares_the_data_spoils_nothing(
    folder: Path, start_user: StartUser
) -> None:
    starter = start_user()
    eventually_sync((folder / "node-1" / "server.properties").exists)
    starter.process.kill()
    starter.process.wait()

    with LocalKafka(folder).use() as broker:
        assert broker.users == 1

    assert LocalKafka(folder).status() is None


def test_a_command_killed_while_it_starts_leaves_a_broker_that_the_next_one_takes(
    folder: Path, start_user: StartUser
) -> None:
    starter = start_user()
    eventually_sync((folder / "state.json").exists)
    starter.process.kill()
    starter.process.wait()

    with LocalKafka(folder).use() as broker:
        assert broker.users == 1

    assert LocalKafka(folder).status() is None


def test_a_broker_nobody_wrote_down_is_ended_before_its_data_are_used_again(folder: Path) -> None:
    lost = LocalKafka(folder).start()
    (folder / "state.json").unlink()

    found = LocalKafka(folder).start()

    assert found.pid != lost.pid
    eventually_sync(lambda: not psutil.pid_exists(lost.pid))


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """Once, and again where nothing follows: Python drops an interrupt that meets a destructor."""
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
            return
    process.wait(timeout=15)


def test_ctrl_c_for_the_command_is_not_for_the_broker(folder: Path, start_user: StartUser) -> None:
    user = start_user()
    pid, _ = user.broker()
    LocalKafka(folder).start()
    assert os.getpgid(pid) != user.process.pid

    press_ctrl_c(user.process)

    status = LocalKafka(folder).status()
    assert status is not None
    assert (status.pid, status.users) == (pid, 0)


def test_a_stale_pid_of_another_program_is_left_alone(folder: Path) -> None:
    kafka = LocalKafka(folder)
    kafka.start()
    kafka.stop()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        state = json.loads((folder / "state.json").read_text())
        # It started a minute after the broker that had its pid.
        state["nodes"][0]["process"] = {
            "pid": other.pid,
            "started_at": psutil.Process(other.pid).create_time() - 60.0,
        }
        (folder / "state.json").write_text(json.dumps(state))

        assert kafka.status() is None
        kafka.start()
        kafka.stop()

        assert other.poll() is None
        other.kill()


def test_a_busy_port_is_refused_by_name_and_a_running_broker_is_not_moved(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(LocalError, match=f"port {port} is in use"):
            LocalKafka(folder, BrokerOptions(port=port)).start()
    running = LocalKafka(folder).start()

    with pytest.raises(LocalError, match="already runs on port"):
        LocalKafka(folder, BrokerOptions(port=port)).start()

    assert LocalKafka(folder).status() == running


def test_a_jar_that_was_tampered_with_never_runs(
    folder: Path, tmp_path: Path, kafka_jars: tuple[Path, ...]
) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    for jar in kafka_jars:
        (jars / jar.name).symlink_to(jar)
    victim = jars / read_lock()[0].file_name
    content = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(content + b"\0")

    with pytest.raises(LocalError, match=rf"{victim.name} is not the .* SHA-256 differs"):
        LocalKafka(folder, jars_folder=jars).start()

    assert LocalKafka(folder).status() is None


def test_a_start_that_fails_shows_the_end_of_the_log_and_leaves_nothing(folder: Path) -> None:
    kafka = LocalKafka(folder)
    kafka.start()
    kafka.stop()
    meta = NodeFolder(folder, 1).data / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))

    with pytest.raises(LocalError, match=r"(?s)ended while it started; the end of .*\n.*node.id"):
        kafka.start()

    assert kafka.status() is None


async def test_an_event_loop_shares_it_and_a_cancelled_start_leaves_nothing(
    folder: Path, create_topics: CreateTopics
) -> None:
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(line: str) -> None:
        loop.call_soon_threadsafe(reached.set)

    kafka = LocalKafka(folder, on_progress=tell)

    async def command() -> None:
        async with kafka.shared():
            raise AssertionError("it was cancelled before")

    starting = asyncio.create_task(command())
    await reached.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert kafka.status() is None

    async with kafka.shared() as broker:
        await create_topics("shared", bootstrap_servers=broker.bootstrap_servers)
    assert kafka.status() is None
