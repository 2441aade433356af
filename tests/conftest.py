"""What every test may use: a real broker, names of its own, and no way out of this machine."""

import asyncio
import os
import re
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import HealthCheck, settings

from tollway_workers.app.event_loop import new_event_loop
from tollway_workers.errors import FleetError
from tollway_workers.local.kafka import BrokerOptions, LocalKafka, SecureListener
from tollway_workers.local.kafka.broker import default_jars_folder
from tollway_workers.local.kafka.jars import ensure_jars, read_lock
from tollway_workers.local.kafka.properties import MESSAGE_MAX_BYTES

# On a fresh clone Hypothesis first builds a table of all characters, and a loaded machine takes its
# time: neither is a fault of the test that meets it.
settings.register_profile("tollway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tollway")

MakeTopic = Callable[..., Awaitable[str]]
CreateTopics = Callable[..., Awaitable[None]]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]

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


def pytest_collection_finish(session: pytest.Session) -> None:
    """Download the jars, where one of the tests needs them, before any test's time runs."""
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
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Kafka: the given one, else a container's, else a local one of this run."""
    given = os.environ.get("TOLLWAY_BOOTSTRAP_SERVERS")
    with ExitStack() as stack:
        if given:
            servers = given
        elif _docker_answers():
            servers = stack.enter_context(_container())
        else:
            kafka = LocalKafka(tmp_path_factory.mktemp("kafka"))
            servers = stack.enter_context(kafka.use()).bootstrap_servers
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
async def make_topic(bootstrap_servers: str, topic_prefix: str) -> AsyncIterator[MakeTopic]:
    """Create topics and delete them afterwards.

    `await make_topic(name, partitions=1, config=None)` returns the topic's name; without `name`
    it makes one.
    """
    made: list[str] = []
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()

    async def make(
        name: str | None = None, partitions: int = 1, config: dict[str, str] | None = None
    ) -> str:
        topic = name or f"{topic_prefix}-{len(made)}"
        await _create(admin, NewTopic(topic, partitions, 1, topic_configs=config or {}))
        made.append(topic)
        return topic

    try:
        yield make
        if made:
            await admin.delete_topics(made)
    finally:
        await admin.close()


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


def _docker_answers() -> bool:
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


def _container() -> Any:  # pragma: no cover - needs an engine
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
