"""Ports that nobody listens on."""

import random
import socket
from collections.abc import Sequence

from tollway_workers.errors import LocalError
from tollway_workers.local.kafka.properties import HOST, BrokerOptions, NodePorts

#: Below the ports that Linux (32768) and macOS (49152) give to outgoing connections: a client that
#: tries a stopped broker's port again and again could otherwise be given that port, and keep it.
_CANDIDATES = range(20_000, 32_000)


def choose_ports(options: BrokerOptions, last_time: Sequence[NodePorts]) -> list[NodePorts]:
    """A place for every node, the same as `last_time` where that is still free.

    Raises LocalError if the port that was asked for is taken.
    """
    taken: set[int] = set()
    before = {each.node_id: each for each in last_time}
    return [
        _place(node_id, options, before.get(node_id), taken)
        for node_id in range(1, options.nodes + 1)
    ]


def is_free(port: int) -> bool:
    """Whether a broker could listen on `port` of this machine now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the broker does it: closed connections that linger do not make a port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _place(
    node_id: int, options: BrokerOptions, before: NodePorts | None, taken: set[int]
) -> NodePorts:
    if node_id == 1 and options.port is not None:
        port = _demand(options.port, taken)
    else:
        port = _any_free(before.port if before else None, taken)
    controller_port = _any_free(before.controller_port if before else None, taken)
    secure_port = None
    if options.secure is not None:
        secure_port = _any_free(before.secure_port if before else None, taken)
    return NodePorts(
        node_id=node_id, port=port, controller_port=controller_port, secure_port=secure_port
    )


def _demand(port: int, taken: set[int]) -> int:
    if not is_free(port):
        raise LocalError(
            f"port {port} is in use by another program: end that program, or choose another port"
        )
    taken.add(port)
    return port


def _any_free(wanted: int | None, taken: set[int]) -> int:
    tries = random.sample(_CANDIDATES, k=200)
    for port in tries if wanted is None else [wanted, *tries]:
        if port not in taken and is_free(port):
            taken.add(port)
            return port
    raise LocalError(
        f"no free port between {_CANDIDATES.start} and {_CANDIDATES.stop}: name one with --port"
    )
