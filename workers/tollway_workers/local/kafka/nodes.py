"""One node of a broker: its folder, its format, its process."""

import base64
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tollway_workers.errors import LocalError
from tollway_workers.local.kafka.java import java_command, java_environment
from tollway_workers.local.kafka.probe import brokers_known_to
from tollway_workers.local.kafka.processes import end, find_by_argument, is_alive
from tollway_workers.local.kafka.properties import BrokerOptions, SecureListener
from tollway_workers.local.kafka.state import NodeState

#: Seconds a node has to end by itself before it is killed.
STOP_PATIENCE = 10.0
#: Seconds from the start of the process until the broker has to be at work.
_START_PATIENCE = 90.0
#: Seconds between two questions whether it is.
_POLL = 0.05
#: Bytes at the end of a log that are searched for its last lines.
_TAIL = 256 * 1024


class NodeFolder:
    """The files of one node: `server.properties`, `kafka.log` and its `data`."""

    def __init__(self, broker_folder: Path, node_id: int) -> None:
        self.path = broker_folder / f"node-{node_id}"
        self.properties = self.path / "server.properties"
        self.log = self.path / "kafka.log"
        self.data = self.path / "data"

    @property
    def is_formatted(self) -> bool:
        return (self.data / "meta.properties").exists()

    def write_properties(self, text: str) -> None:
        # The data are jobs and answers: for the owner only.
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.properties.write_text(text)

    def last_lines(self, count: int) -> list[str]:
        """The end of the node's log; empty without one."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(-min(_TAIL, self.log.stat().st_size), os.SEEK_END)
            return file.read().decode(errors="replace").splitlines()[-count:]


def format_nodes(
    folders: Sequence[NodeFolder], cluster_id: str, options: BrokerOptions, jars: Sequence[Path]
) -> None:
    """Prepare the data of every node that has none yet, all at once.

    Raises LocalError with what Kafka said if it refuses.
    """
    formats = [
        (folder, _start_format(folder, cluster_id, options, jars))
        for folder in folders
        if not folder.is_formatted
    ]
    for folder, process in formats:
        said, _ = process.communicate()
        if process.returncode != 0:
            raise LocalError(f"Kafka cannot prepare {folder.data}: {said.decode().strip()}")


def end_strays(folder: NodeFolder) -> None:
    """End what a command that was killed had started for this node and could not write down."""
    end(find_by_argument(folder.properties), patience=STOP_PATIENCE)


def start_node(
    folder: NodeFolder, jars: Sequence[Path], flags: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Start the node's process in a session of its own: a Ctrl-C is not for it.

    `flags`: Java's, besides those of every start.
    """
    command = java_command(jars, "kafka.Kafka", str(folder.properties), flags=flags)
    with folder.log.open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own Java and jars, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder.path,
            env=java_environment(),
            start_new_session=True,
        )


def wait_until_ready(nodes: Sequence[NodeState], folder: Path, check: Callable[[], None]) -> None:
    """Return when every one of `nodes` is at work and knows the others.

    Raises LocalError, with the end of the log, if one ends or takes too long; whatever `check`,
    which is called all the while, raises.
    """
    deadline = time.monotonic() + _START_PATIENCE
    while not all(brokers_known_to(node.ports.port) >= len(nodes) for node in nodes):
        check()
        for node in nodes:
            if not is_alive(node.process):
                raise _failure(node, folder, "ended while it started")
            if time.monotonic() > deadline:
                raise _failure(node, folder, f"is not at work after {_START_PATIENCE:.0f} s")
        time.sleep(_POLL)


def cluster_id(folder: Path) -> str:
    """The cluster's id, made at the first start: 16 bytes in Kafka's base64."""
    file = folder / "cluster.id"
    if not file.exists():
        # The name in front, so that an id never begins with a dash and reads as an option.
        made = base64.urlsafe_b64encode(b"tollway" + secrets.token_bytes(9))
        draft = file.with_suffix(".new")
        draft.write_text(made.decode().rstrip("="))
        os.replace(draft, file)
    return file.read_text().strip()


def _start_format(
    folder: NodeFolder, cluster_id: str, options: BrokerOptions, jars: Sequence[Path]
) -> subprocess.Popen[bytes]:
    arguments = ["format", "--ignore-formatted", "-t", cluster_id, "-c", str(folder.properties)]
    if options.secure is not None:
        arguments += ["--add-scram", _credential(options.secure)]
    return subprocess.Popen(  # noqa: S603 - our own Java and jars, no shell
        java_command(jars, "kafka.tools.StorageTool", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=java_environment(),
    )


def _credential(secure: SecureListener) -> str:
    return f"SCRAM-SHA-512=[name={secure.username},password={secure.password}]"


def _failure(node: NodeState, folder: Path, what: str) -> LocalError:
    files = NodeFolder(folder, node.ports.node_id)
    lines = "\n".join(files.last_lines(15)) or "(the log is empty)"
    return LocalError(f"the local Kafka {what}; the end of {files.log}:\n{lines}")
