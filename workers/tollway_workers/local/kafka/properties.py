"""What a local broker is configured with: options in, the text of server.properties out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Every listener is bound to it: nothing beyond this machine can reach a local broker.
HOST = "127.0.0.1"

#: Bytes. The largest record batch a local broker takes; a producer stays 200 bytes below it.
MESSAGE_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureListener:
    """One more listener, TLS with SCRAM-SHA-512, for tests of what clients do with it.

    `keystore_file` is PEM: a PKCS#8 private key and then its certificate chain.
    """

    keystore_file: Path
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """What may differ between local brokers; the defaults are what the commands start."""

    #: The first node's port; None: the one it had last time, else any free one.
    port: int | None = None
    #: Three nodes make a cluster with replication factor 3 and min.insync.replicas 2.
    nodes: int = 1
    #: Seconds until the controller gives up a silent node; None: Kafka's own 9 s.
    session_timeout_seconds: float | None = None
    secure: SecureListener | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePorts:
    """Where one node listens, on `HOST`."""

    node_id: int
    port: int
    controller_port: int
    #: The TLS + SCRAM listener's; None without one.
    secure_port: int | None = None


def server_properties(
    node: NodePorts, cluster: Sequence[NodePorts], data: Path, options: BrokerOptions
) -> str:
    """The server.properties of `node`, a broker and controller of `cluster` that keeps `data`."""
    settings = (
        _identity(node, cluster, data)
        | _listeners(node)
        | _replication(len(cluster))
        | _behaviour(options)
    )
    if options.secure is not None:
        settings |= _security(options.secure)
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _identity(node: NodePorts, cluster: Sequence[NodePorts], data: Path) -> dict[str, str]:
    # Voters in the file, not in the data: the ports may be others at the next start.
    voters = ",".join(f"{each.node_id}@{HOST}:{each.controller_port}" for each in cluster)
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.node_id),
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data.as_posix(),
    }


def _listeners(node: NodePorts) -> dict[str, str]:
    for_clients = [f"PLAINTEXT://{HOST}:{node.port}"]
    protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"]
    if node.secure_port is not None:
        for_clients.append(f"SASL_SSL://{HOST}:{node.secure_port}")
        protocols.append("SASL_SSL:SASL_SSL")
    return {
        "listeners": ",".join([*for_clients, f"CONTROLLER://{HOST}:{node.controller_port}"]),
        "advertised.listeners": ",".join(for_clients),
        "listener.security.protocol.map": ",".join(protocols),
        "inter.broker.listener.name": "PLAINTEXT",
    }


def _replication(nodes: int) -> dict[str, str]:
    copies, in_sync = str(min(nodes, 3)), "2" if nodes >= 3 else "1"
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def _behaviour(options: BrokerOptions) -> dict[str, str]:
    settings = {
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(MESSAGE_MAX_BYTES),
        "replica.fetch.max.bytes": str(MESSAGE_MAX_BYTES),
        "group.initial.rebalance.delay.ms": "0",
        # One machine, few groups: 50 partitions each would only cost time and files.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "log.cleaner.dedupe.buffer.size": str(10 * 1024 * 1024),
    }
    if options.session_timeout_seconds is not None:
        milliseconds = round(options.session_timeout_seconds * 1000)
        settings["broker.session.timeout.ms"] = str(milliseconds)
        settings["broker.heartbeat.interval.ms"] = str(max(100, milliseconds // 6))
    return settings


def _security(secure: SecureListener) -> dict[str, str]:
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": secure.keystore_file.as_posix(),
        "ssl.client.auth": "none",
    }
