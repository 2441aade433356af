"""Ask a broker who is in its cluster, in two small messages of Kafka's own protocol."""

import socket
import struct

from tollway_workers.local.kafka.properties import HOST

#: Seconds one question may take.
_PATIENCE = 2.0
_METADATA = 3
#: Version 1: an empty list of topics asks for none, and the answer begins with the brokers.
_VERSION = 1
_NO_CLIENT_ID = -1


def brokers_known_to(port: int) -> int:
    """How many brokers the one at `port` says are up; 0 while it does not answer.

    A listening socket is not enough: a broker listens before the controller lets it work.
    """
    body = struct.pack(">hhihi", _METADATA, _VERSION, 1, _NO_CLIENT_ID, 0)
    try:
        with socket.create_connection((HOST, port), _PATIENCE) as connection:
            connection.settimeout(_PATIENCE)
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                # Length, correlation id, number of brokers.
                head = answer.read(12)
    except OSError:
        return 0
    return int(struct.unpack(">iii", head)[2]) if len(head) == 12 else 0
