"""What is written down about a local broker, so that the next command finds it."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tollway_workers.errors import LocalError
from tollway_workers.local.kafka.processes import ProcessId, is_alive
from tollway_workers.local.kafka.properties import NodePorts


class NodeState(BaseModel):
    """One node: its process and where it listens."""

    model_config = ConfigDict(frozen=True)

    process: ProcessId
    ports: NodePorts


class BrokerState(BaseModel):
    """A broker that was started: its nodes, and who keeps it alive.

    Says what was true when it was written; `is_running` and `with_living_users` ask again.
    """

    model_config = ConfigDict(frozen=True)

    nodes: tuple[NodeState, ...]
    #: Seconds since 1970.
    started_at: float
    #: Stays without users until it is stopped.
    persistent: bool = False
    #: The commands that share it. A process that uses it twice stands here twice.
    users: tuple[ProcessId, ...] = ()
    #: It was told to end, by its last user or by `tollway kafka stop`: it did not die.
    stopped: bool = False

    @property
    def living_nodes(self) -> tuple[NodeState, ...]:
        return tuple(node for node in self.nodes if is_alive(node.process))

    @property
    def is_running(self) -> bool:
        return bool(self.living_nodes)

    @property
    def ports(self) -> tuple[NodePorts, ...]:
        return tuple(node.ports for node in self.nodes)

    def with_node(self, node: NodeState) -> "BrokerState":
        """The same broker with `node` in the place of its predecessor."""
        same_id = node.ports.node_id
        nodes = (node if each.ports.node_id == same_id else each for each in self.nodes)
        return self.model_copy(update={"nodes": tuple(nodes)})

    def with_living_users(self) -> "BrokerState":
        """Without the users that ended and could not say so."""
        return self._with_users([user for user in self.users if is_alive(user)])

    def with_user(self, user: ProcessId) -> "BrokerState":
        return self._with_users([*self.users, user])

    def without_user(self, user: ProcessId) -> "BrokerState":
        """One use of `user` less; the other uses of the same process remain."""
        users = list(self.users)
        mine = next((each for each in users if each.pid == user.pid), None)
        if mine is not None:
            users.remove(mine)
        return self._with_users(users)

    def ended(self) -> "BrokerState":
        """As it is once it was told to end. The ports stay: the next start can have them again."""
        return self.model_copy(update={"persistent": False, "stopped": True})

    def kept(self, persistent: bool) -> "BrokerState":
        return self.model_copy(update={"persistent": persistent})

    def _with_users(self, users: Sequence[ProcessId]) -> "BrokerState":
        return self.model_copy(update={"users": tuple(users)})


def read_state(file: Path) -> BrokerState | None:
    """What `file` says, or None if there is none. Raises LocalError if it cannot be understood."""
    try:
        return BrokerState.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise LocalError(f"{file} cannot be understood: delete it and start again") from error


def write_state(file: Path, state: BrokerState) -> None:
    """Replace `file` in one step: a reader sees the old state or the new one."""
    draft = file.with_suffix(".new")
    draft.write_text(state.model_dump_json(indent=1))
    os.replace(draft, file)
