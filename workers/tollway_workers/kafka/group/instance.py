"""Instance ids: a member of the group keeps its name over restarts, and no two processes share it.

With ids that change, a crash and a restart stop the whole fleet for the session timeout (measured:
26.7 s at 30 s; with static ids 0.06 s). Two processes with one id fight without any error, so each
id is held by a lock file on its host.
"""

import socket
from pathlib import Path

import platformdirs
import structlog
from filelock import FileLock, Timeout

from tollway_workers.errors import FleetError
from tollway_workers.plain_name import plain_name

log = structlog.get_logger(__name__)

#: More workers than this on one host are a mistake.
_MOST_SLOTS = 1_000


class InstanceIdInUse(FleetError):
    """Another process on this host has the instance id."""


def take_instance_id(
    wanted: str | None, *, prefix: str, wait: float, folder: Path | None = None
) -> tuple[str, FileLock]:
    """An instance id and the lock that holds it; the lock ends with the process.

    The first free `<host>-<slot>` if none is wanted. A wanted one is waited for up to `wait`
    seconds: its last holder may be finishing its calls.

    Raises:
        InstanceIdInUse: its holder did not end in time, or no slot is free.
    """
    folder = folder or Path(platformdirs.user_state_dir("tollway")) / "instances" / plain_name(
        prefix
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if wanted is not None:
        if (lock := _lock(folder, wanted, 0.0)) is None:
            log.info(
                "another process on this host has this worker's instance id: waiting for its end",
                worker=wanted,
                seconds=wait,
            )
            lock = _lock(folder, wanted, wait)
        if lock is None:
            raise InstanceIdInUse(
                f"another process on this host is the worker {wanted!r} and did not end within "
                f"{wait:.0f} s: stop it, or give another --instance-id"
            )
        return wanted, lock
    host = plain_name(socket.gethostname())
    for slot in range(_MOST_SLOTS):
        name = f"{host}-{slot}"
        if (lock := _lock(folder, name, 0.0)) is not None:
            return name, lock
    raise InstanceIdInUse(f"{_MOST_SLOTS} workers run on this host already")


def _lock(folder: Path, name: str, wait: float) -> FileLock | None:
    lock = FileLock(folder / f"{plain_name(name)}.lock")
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        return None
    return lock
