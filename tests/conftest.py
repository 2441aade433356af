"""What every test may use: a real broker, names of its own, and no way out of this machine."""

import asyncio
import gc
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from eventually import eventually_sync
from live_fleet import LiveFleet, OpenFleet, fleet_table
from run_kafka import is_kept, shared_kafka
from size import is_thorough

from tollway_workers.app.event_loop import new_event_loop
from tollway_workers.errors import FleetError
from tollway_workers.local.kafka import BrokerOptions, LocalKafka, SecureListener
from tollway_workers.local.kafka.broker import default_jars_folder
from tollway_workers.local.kafka.jars import ensure_jars, read_lock

MakeTopic = Callable[..., Awaitable[str]]
MakeTopics = Callable[..., Awaitable[None]]
CreateTopics = Callable[..., Awaitable[None]]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]

#: Seconds that a test on Kafka has: its processes start in a few, on a busy machine in many.
_KAFKA_TIMEOUT = 180
#: Names the folder of this run to all its processes.
_RUN_FOLDER = "TOLLWAY_TEST_RUN_FOLDER"

#: Hosts a test may reach beside loopback: those of the broker it was given.
_allowed_hosts: set[str] = set()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have to show, from all workers: `record_property("shown", text)`."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "shown" and report.when == "call":
                terminalreporter.write_line(str(text))


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, LoopFactory]:
    """asyncio's own loop, and with the mark `both_loops` that of worker processes too."""
    factories: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    if item.get_closest_marker("both_loops"):
        factories["uvloop"] = new_event_loop
    return factories


def pytest_configure(config: pytest.Config) -> None:
    """The processes of a run find what they share by its folder, which the first one makes."""
    if not hasattr(config, "workerinput"):
        os.environ[_RUN_FOLDER] = tempfile.mkdtemp(prefix="tollway-tests-")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on Kafka have longer."""
    for item in items:
        if item.get_closest_marker("kafka") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_KAFKA_TIMEOUT))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """See spread.py."""
    from spread import Spread

    return Spread(config, log)


def pytest_report_header() -> str:
    return f"size: {'thorough' if is_thorough() else 'quick'}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind: all processes have let go of Kafka now, and it ends."""
    if not hasattr(config, "workerinput"):
        folder = Path(os.environ.pop(_RUN_FOLDER))
        eventually_sync(lambda: not is_kept(folder))
        shutil.rmtree(folder, ignore_errors=True)


# Ten thousand tests are objects that stay: no collection has to look at them again and again.
gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Download the jars, where one of the tests needs them, before any test's time runs."""
    gc.freeze()
    gc.enable()
    needed = {"kafka_jars", "secure_kafka"}
    if "TOLLWAY_BOOTSTRAP_SERVERS" not in os.environ:
        needed.add("bootstrap_servers")
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if needed & fixtures and not session.config.option.collectonly:
        try:
            ensure_jars(default_jars_folder(), read_lock(), lambda line: None)
        except FleetError as error:
            raise pytest.UsageError(f"no local Kafka for the tests: {error}") from error


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """What the processes of this run share."""
    return Path(os.environ[_RUN_FOLDER])


@pytest.fixture(scope="session")
def bootstrap_servers(run_folder: Path) -> Iterator[str]:
    """A real Kafka: the given one, else a container's, else a local one, of all this run."""
    given = os.environ.get("TOLLWAY_BOOTSTRAP_SERVERS")
    with ExitStack() as stack:
        servers = given or stack.enter_context(shared_kafka(run_folder))
        _allowed_hosts.update(each.rpartition(":")[0] for each in servers.split(","))
        yield servers


@pytest.fixture(scope="session")
def kafka_jars() -> tuple[Path, ...]:
    """The jars of the local Kafka, for tests that start one of their own."""
    return ensure_jars(default_jars_folder(), read_lock(), lambda line: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureKafka:
    """A local broker with a TLS + SCRAM-SHA-512 listener, and what opens it."""

    bootstrap_servers: str
    ca_file: Path
    username: str
    password: str = field(repr=False)


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A local broker of its own, whatever broker the other tests were given."""
    folder = tmp_path_factory.mktemp("secure-kafka")
    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    keystore = folder / "keystore.pem"
    keystore.write_bytes(_keystore(authority.issue_cert("127.0.0.1", "localhost")))
    secure = SecureListener(keystore_file=keystore, username="service", password="correct-horse")
    with LocalKafka(folder / "broker", BrokerOptions(secure=secure)).use() as broker:
        assert broker.secure_bootstrap_servers is not None
        yield SecureKafka(
            bootstrap_servers=broker.secure_bootstrap_servers,
            ca_file=ca_file,
            username=secure.username,
            password=secure.password,
        )


@pytest.fixture
def unique() -> str:
    """A short name that no other test has, in this run or another."""
    return uuid.uuid4().hex[:10]


@pytest.fixture
def topic_prefix(unique: str) -> str:
    """A prefix for topics and groups of this test alone."""
    return f"test-{unique}"


async def _create(admin: AIOKafkaAdminClient, *topics: NewTopic) -> None:
    # aiokafka raises no error of this: it returns them.
    answer: Any = await admin.create_topics(list(topics))
    for topic, error, why in answer.topic_errors:
        assert not error, f"Kafka did not make {topic}: {why}"
    # A broker shows a topic some time after it said that it is made: late, where it is busy.
    names = {topic.name for topic in topics}
    while not names <= set(await admin.list_topics()):  # noqa: ASYNC110 brokers set no events
        await asyncio.sleep(0.05)


@pytest.fixture
def create_topics() -> CreateTopics:
    """`await create_topics(*names, **client_options)`: each with one partition, at any broker."""

    async def create(*names: str, **client_options: Any) -> None:
        admin = AIOKafkaAdminClient(**client_options)
        await admin.start()
        try:
            await _create(admin, *(NewTopic(name, 1, 1) for name in names))
        finally:
            await admin.close()

    return create


@pytest.fixture
async def make_topics(bootstrap_servers: str) -> AsyncIterator[MakeTopics]:
    """`await make_topics(*topics)`: all at once; they are deleted afterwards."""
    made: list[str] = []
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()

    async def make(*topics: NewTopic) -> None:
        await _create(admin, *topics)
        made.extend(topic.name for topic in topics)

    try:
        yield make
        if made:
            await admin.delete_topics(made)
    finally:
        await admin.close()


@pytest.fixture
async def make_topic(make_topics: MakeTopics, topic_prefix: str) -> MakeTopic:
    """`await make_topic(name, partitions=1, config=None)`: the topic's name; it may have none."""
    numbers = count()

    async def make(
        name: str | None = None, partitions: int = 1, config: dict[str, str] | None = None
    ) -> str:
        topic = name or f"{topic_prefix}-{next(numbers)}"
        await make_topics(NewTopic(topic, partitions, 1, topic_configs=config or {}))
        return topic

    return make


@pytest.fixture
async def live_fleet(
    bootstrap_servers: str, topic_prefix: str, make_topics: MakeTopics, tmp_path: Path
) -> AsyncIterator[OpenFleet]:
    """`await live_fleet(base_url, **tables)`: one lane and one route on a real Kafka.

    The tables of its configuration are merged into the plain ones (`fleet_table`).
    """
    async with AsyncExitStack() as fleets:

        async def opened(base_url: str, **tables: Any) -> LiveFleet:
            table = fleet_table(base_url, tables)
            fleet = LiveFleet(bootstrap_servers, topic_prefix, tmp_path, table)
            await make_topics(
                *(
                    NewTopic(each.name, each.partitions, 1, topic_configs=dict(each.config))
                    for each in fleet.topics
                )
            )
            fleets.push_async_callback(fleet.close)
            await fleet.open()
            return fleet

        yield opened


@pytest.fixture
def forgotten_connections() -> Iterator[None]:
    """Collects, while their test runs, connections that aiokafka drops without closing them.

    Of brokers that ended, and of a start that is cancelled: a later test would be told of them.
    """
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _no_provider_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test, and no process it starts, can spend money."""
    for name in list(os.environ):
        if re.search(r"(_API_KEY|_API_TOKEN|^AWS_.*|^GOOGLE_APPLICATION_CREDENTIALS)$", name):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection beyond this machine fails the test that tries it."""
    connect, connect_ex, look_up = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _refuse_beyond_loopback(self.family, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_beyond_loopback(self.family, address)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_host(host)
        found = look_up(host, *args, **kwargs)
        if host in _allowed_hosts:
            _allowed_hosts.update(str(each[4][0]) for each in found)
        return found

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


def _refuse_beyond_loopback(family: int, address: Any) -> None:
    if family in (socket.AF_INET, socket.AF_INET6):
        _refuse_host(address[0])


def _refuse_host(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", "::1", "0.0.0.0", "::") or name in _allowed_hosts:  # noqa: S104 - names to listen on, not a choice to
        return
    if not str(name).startswith("127."):
        raise AssertionError(f"a test tried to reach {name}: tests stay on this machine")


def _keystore(certificate: trustme.LeafCert) -> bytes:
    """Key and chain as Kafka reads them: PKCS#8, which trustme does not write."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pkcs8 + b"".join(each.bytes() for each in certificate.cert_chain_pems)
