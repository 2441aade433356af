"""One set of lane settings for each route on a broker, held by the runs that bring workers.

Otherwise a job of one run would be answered by the other's model, under the other's limits. The
lock is a `flock` that the workers inherit: it holds until the run *and* its workers have ended,
however they end.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import platformdirs

from tollway_workers.config.fleet import FleetSettings
from tollway_workers.errors import InputError


def runs_folder() -> Path:
    """Where this user's runs keep what is not beside OUT: locks, logs and worker settings."""
    return platformdirs.user_state_path("tollway") / "runs"


def digests(settings: FleetSettings, simulator: str | None) -> dict[str, str]:
    """By route, a word that is equal for equal lanes.

    `simulator` names what its simulator says, whose address differs each time; None without one.
    """
    return {route: _digest(settings, route, simulator) for route in settings.routes}


@dataclass(frozen=True, slots=True)
class LaneLocks:
    """The locks of a run."""

    #: What workers inherit, so that the locks hold as long as any of them lives.
    descriptors: tuple[int, ...]
    #: Whether others, with the same lanes, hold one of them too.
    shared: bool


@contextmanager
def lane_locks(
    folder: Path, cluster: str, prefix: str, wanted: dict[str, str]
) -> Iterator[LaneLocks]:
    """Hold the lock of every route in `wanted` (a digest of its lanes by route).

    Raises InputError if a route is being served with other lanes.
    """
    place = folder / "lanes" / _plain(cluster)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        descriptors = []
        shared = False
        for route, digest in sorted(wanted.items()):
            descriptor = os.open(place / f"{_plain(prefix)}.{route}", os.O_RDWR | os.O_CREAT, 0o600)
            stack.callback(os.close, descriptor)
            first = _claim(descriptor, digest)
            shared |= not first
            if not _share(descriptor, digest):
                raise InputError(
                    f"route {route!r} on this Kafka is being served with other lane settings by "
                    "another run, or by its workers that are finishing: wait for them, or take "
                    "another --route"
                )
            descriptors.append(descriptor)
        yield LaneLocks(tuple(descriptors), shared)


def _claim(descriptor: int, digest: str) -> bool:
    """Whether nobody had the lock; then it is ours, and says so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, digest.encode(), 0)
    return True


def _share(descriptor: int, digest: str) -> bool:
    """Whether the lock is now shared, by those with the same digest only."""
    try:
        # From exclusive to shared is not one step: another may have come in between.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.pread(descriptor, 256, 0) == digest.encode()


def _digest(settings: FleetSettings, route: str, simulator: str | None) -> str:
    route_settings = settings.routes[route]
    lanes = {name: settings.lanes[name] for name in route_settings.lanes}
    providers = {lane.provider: settings.providers[lane.provider] for lane in lanes.values()}
    facts = {
        "route": route_settings.model_dump(mode="json"),
        "lanes": {name: lane.model_dump(mode="json") for name, lane in lanes.items()},
        "providers": {
            name: provider.model_dump(mode="json", exclude={"base_url"} if simulator else None)
            for name, provider in providers.items()
        },
        "simulator": simulator,
    }
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:200]
