"""Which process a producer was opened in."""

import os

from tollway.errors import OpenedElsewhere


class OpeningProcess:
    """The process whose threads and connections an open producer has.

    A child that was forked has copies of the objects, but no thread that runs them, and shares
    sockets with its parent: to wait there is to hang, and to close there is to disturb the parent.
    """

    # Mutable state: the process, None while the producer is not open.
    def __init__(self) -> None:
        self._pid: int | None = None

    @property
    def is_another(self) -> bool:
        """Whether the producer is open, and in another process than this one."""
        return self._pid is not None and self._pid != os.getpid()

    def require_this(self) -> None:
        """Raise OpenedElsewhere if it is another one."""
        if self._pid is not None and self._pid != os.getpid():
            raise OpenedElsewhere(self._pid)

    def enter(self) -> None:
        """The producer is opened here."""
        self._pid = os.getpid()

    def leave(self) -> None:
        """The producer is closed."""
        self._pid = None
