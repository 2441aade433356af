"""One set of lane settings for each route on a broker, held by the runs that bring workers.

Otherwise a job of one run would be answered by the other's model, under the other's limits. The
lock is a `flock` that the workers inherit: it holds until the run *and* its workers have ended,
however they end.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import platformdirs

from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import InputError
from tollway_workers.local.fleet.disk import OTHER_FOLDER, writing
from tollway_workers.plain_name import plain_name
from tollway_workers.topics.run_names import run_name


def runs_folder() -> Path:
    """Where this user's runs keep what is not beside OUT: locks, logs and worker settings."""
    return platformdirs.user_state_path("tollway") / "runs"


def digests(plan: FleetPlan) -> dict[str, str]:
    """By the name of a lock, a word that is equal for equal lanes.

    Who answers in a lane of the run's own has one lock whatever `--route` says: two such lanes
    would each spend the whole limit.
    """
    return {
        run_name((), route.who.digest_input) if plan.own_topics else route.name: _digest(
            plan.settings, route.name, route.who.script
        )
        for route in (plan.routes or {}).values()
    }


@dataclass(frozen=True, slots=True)
class LaneLocks:
    """The locks of a run."""

    #: First part of its workers' instance ids.
    name: str
    #: What workers inherit, so that the locks hold as long as any of them lives.
    descriptors: tuple[int, ...]
    #: Whether others, with the same lanes, hold one of them too.
    shared: bool

    def alone(self) -> bool:
        """Whether nobody else holds any of them: from now on nobody else can, until we end."""
        return all(map(_exclusive, self.descriptors))


@contextmanager
def lane_locks(
    folder: Path, cluster: str, prefix: str, wanted: dict[str, str], name: str
) -> Iterator[LaneLocks]:
    """Hold the locks in `wanted` (see `digests`) for workers that are called `name`.

    Raises InputError if one is held with another digest.
    """
    place = folder / "lanes" / plain_name(cluster)
    if wanted:
        with writing(place, OTHER_FOLDER):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        descriptors = []
        shared = False
        for route, digest in sorted(wanted.items()):
            file = place / f"{plain_name(prefix)}.{route}"
            with writing(file, OTHER_FOLDER):
                descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            stack.callback(os.close, descriptor)
            with writing(file, OTHER_FOLDER):
                first = _claim(descriptor, digest)
            shared |= not first
            if not _share(descriptor, digest):
                raise InputError(
                    f"another run, or its workers that are finishing, calls the models of "
                    f"{route!r} on this Kafka with other limits, another --route or other "
                    "settings: wait for it, or give the same"
                )
            descriptors.append(descriptor)
        yield LaneLocks(name, tuple(descriptors), shared)


def _exclusive(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _claim(descriptor: int, digest: str) -> bool:
    """Whether nobody had the lock; then it is ours, and says so."""
    if not _exclusive(descriptor):
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


def _digest(settings: FleetSettings, route: str, script: str | None) -> str:
    route_settings = settings.routes[route]
    lanes = {name: settings.lanes[name] for name in route_settings.lanes}
    providers = {lane.provider: settings.providers[lane.provider] for lane in lanes.values()}
    facts = {
        "route": [route, route_settings.model_dump(mode="json")],
        "lanes": {name: lane.model_dump(mode="json") for name, lane in lanes.items()},
        "providers": {
            name: provider.model_dump(mode="json", exclude={"base_url"} if script else None)
            for name, provider in providers.items()
        },
        "script": script,
    }
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()
