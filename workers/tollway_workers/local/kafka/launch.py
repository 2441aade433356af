"""Start all nodes of a broker: ports, settings, format, processes."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tollway_workers.local.kafka.archive import ClassArchive
from tollway_workers.local.kafka.nodes import (
    STOP_PATIENCE,
    NodeFolder,
    cluster_id,
    end_strays,
    format_nodes,
    start_node,
    wait_until_ready,
)
from tollway_workers.local.kafka.ports import choose_ports
from tollway_workers.local.kafka.processes import end, identify
from tollway_workers.local.kafka.properties import BrokerOptions, NodePorts, server_properties
from tollway_workers.local.kafka.state import BrokerState, NodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a start needs to know, and whom it tells."""

    folder: Path
    options: BrokerOptions
    jars: Sequence[Path]
    archive: ClassArchive
    #: Written down before the wait: should this process be killed, the next one finds the broker.
    note: Callable[[BrokerState], None]
    #: Called all the while; what it raises ends the start.
    check: Callable[[], None]

    def run(self, last_time: BrokerState | None) -> BrokerState:
        """Start every node and return when the broker is at work. Who still uses it goes on so.

        Raises LocalError if it cannot start, and whatever `check` raises; then no node is left.
        """
        for node_id in range(1, self.options.nodes + 1):
            end_strays(NodeFolder(self.folder, node_id))
        forget_ended()
        places = choose_ports(self.options, () if last_time is None else last_time.ports)
        users = () if last_time is None else last_time.with_living_users().users
        self._prepare(places)
        started = [self.start(place) for place in places]
        try:
            state = BrokerState(nodes=tuple(started), started_at=time.time(), users=users)
            self.note(state)
            wait_until_ready(state.nodes, self.folder, self.check)
        except BaseException:
            end([node.process for node in started], patience=STOP_PATIENCE)
            forget_ended()
            raise
        return state

    def start(self, place: NodePorts) -> NodeState:
        """Start one node whose folder is prepared; it may not be at work yet."""
        process = start_node(
            NodeFolder(self.folder, place.node_id),
            self.jars,
            self.archive.flags(may_write=self.options.nodes == 1),
        )
        _children.append(process)
        return NodeState(process=identify(process.pid), ports=place)

    def _prepare(self, places: Sequence[NodePorts]) -> None:
        folders = [NodeFolder(self.folder, place.node_id) for place in places]
        for folder, place in zip(folders, places, strict=True):
            text = server_properties(place, places, folder.data, self.options)
            folder.write_properties(text)
        format_nodes(folders, cluster_id(self.folder), self.options, self.jars)


#: A broker may outlive the object that started it, and Python warns of a child it forgets.
_children: list[subprocess.Popen[bytes]] = []


def forget_ended() -> None:
    """Let go of those that have ended; Python warns of children whose end nobody noticed."""
    _children[:] = [child for child in _children if child.poll() is None]
