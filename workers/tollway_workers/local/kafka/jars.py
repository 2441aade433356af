"""The jars of Kafka: exactly those that `jars.lock` names, byte for byte."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from filelock import FileLock

from tollway_workers.errors import LocalError, MissingExtra
from tollway_workers.local.kafka.folders import make_private

#: Downloads at once: the jars are many and small, so most of the time is waiting.
_DOWNLOADS = 6
_ATTEMPTS = 3
#: Seconds without an answer after which one attempt counts as failed.
_TIMEOUT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedJar:
    """One artifact: where Maven repositories keep it, and what it must contain."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def read_lock() -> tuple[LockedJar, ...]:
    """The committed lock: which jars make a broker."""
    text = resources.files("tollway_workers.local.kafka").joinpath("jars.lock").read_text("utf-8")
    return parse_lock(text)


def parse_lock(text: str) -> tuple[LockedJar, ...]:
    """The jars of a lock: one `group:artifact:version sha256` a line, `#` begins a comment."""
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(_parse_line(coordinate, sha256) for coordinate, sha256 in lines)


def ensure_jars(
    folder: Path, locked: tuple[LockedJar, ...], report: Callable[[str], None]
) -> tuple[Path, ...]:
    """The class path: every locked jar in `folder`, downloaded where missing, and verified.

    Raises LocalError if one cannot be downloaded or is not the file the lock names, and
    MissingExtra without the extra `[local]`. What was downloaded stays for the next try.
    """
    make_private(folder)
    # Brokers of other data folders, started at the same time, wait for one download.
    with FileLock(folder / ".lock"):
        missing = [jar for jar in locked if not (folder / jar.file_name).exists()]
        if missing:
            _download_all(missing, folder, report)
    paths = class_path(folder, locked)
    for jar, path in zip(locked, paths, strict=True):
        _verify(jar, path)
    return paths


def class_path(folder: Path, locked: tuple[LockedJar, ...]) -> tuple[Path, ...]:
    """Where each locked jar lies."""
    return tuple(folder / jar.file_name for jar in locked)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def maven_context() -> Iterator[Any]:
    """jgo's view of Maven: an empty cache of its own that is gone afterwards.

    Repositories named in jgo's own settings (a company's mirror) are asked first. Raises
    MissingExtra without jgo.
    """
    try:
        # Imported only when something is missing: a broker with all its jars needs no jgo.
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError as error:
        raise MissingExtra("a local Kafka needs: pip install 'tollway[local]'") from error
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    with tempfile.TemporaryDirectory(prefix="tollway-jars-") as cache:
        yield MavenContext(repo_cache=Path(cache), remote_repos=repositories, timeout=_TIMEOUT)


def fetch(context: Any, jar: LockedJar) -> Path:
    """Download one jar into the context's cache. Raises LocalError after three failures."""
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    problem: Exception | None = None
    for _ in range(_ATTEMPTS):
        # A download that broke off leaves its half, which the next attempt would take for whole.
        artifact.cached_path.unlink(missing_ok=True)
        try:
            return Path(artifact.resolve())
        except (OSError, RuntimeError) as error:
            problem = error
    raise LocalError(
        f"{jar} cannot be downloaded ({type(problem).__name__}): "
        "check the network and its proxy settings, then start again"
    ) from problem


def _download_all(missing: list[LockedJar], folder: Path, report: Callable[[str], None]) -> None:
    report(f"downloading Kafka, once: {len(missing)} jars, about 45 MB")
    with maven_context() as context, ThreadPoolExecutor(_DOWNLOADS) as pool:
        try:
            done = pool.map(lambda jar: _download(context, jar, folder), missing)
            for count, jar in enumerate(done, start=1):
                report(f"downloading Kafka, once: {count} of {len(missing)} jars ({jar.artifact})")
        except BaseException:
            # Ctrl-C or a failure: those under way end, the others never begin.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report(f"downloaded Kafka: {len(missing)} jars")


def _download(context: Any, jar: LockedJar, folder: Path) -> LockedJar:
    downloaded = fetch(context, jar)
    _verify(jar, downloaded)
    # Copied beside its place and then renamed: a jar in the folder is always whole.
    draft = folder / f".{jar.file_name}"
    shutil.copyfile(downloaded, draft)
    os.replace(draft, folder / jar.file_name)
    return jar


def _verify(jar: LockedJar, path: Path) -> None:
    if sha256_of(path) != jar.sha256:
        raise LocalError(
            f"{path} is not the {jar} that Tollway was tested with (its SHA-256 differs from "
            "jars.lock): delete the file and start again to download it anew"
        )


def _parse_line(coordinate: str, sha256: str) -> LockedJar:
    group, artifact, version = coordinate.split(":")
    return LockedJar(group=group, artifact=artifact, version=version, sha256=sha256)


def format_lock(jars: Iterable[LockedJar]) -> str:
    """The text of a lock, in the order of the coordinates."""
    lines = sorted(f"{jar} {jar.sha256}\n" for jar in jars)
    header = "# Made by: python -m tollway_workers.local.kafka.lock\n"
    return header + "".join(lines)
