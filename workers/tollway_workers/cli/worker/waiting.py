"""A worker that waits to be told which one it is: `python -m tollway_workers.cli.worker.waiting`.

It imports what a worker needs, reads one line of JSON and some descriptors from the socket that is
its standard input, and then is `tollway worker` with these arguments. Descriptors: the first one
becomes stdout and stderr, the others are held until it ends. The end of the line before that, or
while it works, ends it.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tollway_workers.importing import importing

#: Bytes and descriptors that are taken at once; the latter are as many as Linux hands over.
_MOST_BYTES = 1 << 20
_MOST_DESCRIPTORS = 253


@dataclass(frozen=True, slots=True)
class Order:
    """What a waiting worker is told."""

    #: Those of the command `tollway`.
    arguments: tuple[str, ...]
    #: Environment variables that are not for it.
    unset: tuple[str, ...]
    descriptors: tuple[int, ...]


def hear(line: socket.socket) -> Order | None:
    """What it is told; None: nobody is left who could."""
    text, descriptors = b"", []
    while not text.endswith(b"\n"):
        more, found, _, _ = socket.recv_fds(line, _MOST_BYTES, _MOST_DESCRIPTORS)
        if not more:
            return None
        text += more
        descriptors += found
    told = json.loads(text)
    return Order(tuple(told["arguments"]), tuple(told["unset"]), tuple(descriptors))


def become(order: Order, command: Callable[[], None]) -> None:
    """Take over log, arguments and environment, then run the command."""
    log = order.descriptors[0]
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    for name in order.unset:
        os.environ.pop(name, None)
    sys.argv[1:] = order.arguments
    command()


def main() -> None:
    """Import, wait, work."""
    with importing():
        import tollway_workers.cli.worker.command  # noqa: F401 while nobody waits for it
        from tollway_workers.cli.entry import main as command

    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as line:
        order = hear(line)
    if order is not None:
        become(order, command)


if __name__ == "__main__":
    main()
