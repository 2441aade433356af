"""Make `jars.lock` anew: `python -m tollway_workers.local.kafka.lock`.

Run it to move Tollway to another Kafka: change `ROOTS`, run, read the difference, commit.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tollway_workers.local.kafka.jars import (
    LockedJar,
    fetch,
    format_lock,
    maven_context,
    sha256_of,
)

ROOTS = (
    "org.apache.kafka:kafka_2.13:4.4.0",
    # Kafka's published dependencies name no logger for slf4j: without one it starts silent.
    "org.slf4j:slf4j-simple:1.7.36",
)


def resolve_lock() -> tuple[LockedJar, ...]:
    """Every artifact that `ROOTS` need to run, with the SHA-256 of what the repository has now."""
    with maven_context() as context:
        roots = [context.create_dependency(root) for root in ROOTS]
        resolved, transitive = context.resolver.resolve(roots)
        needed = [*resolved, *(each for each in transitive if each.scope in ("compile", "runtime"))]
        return tuple(_lock(context, each.artifact) for each in needed)


def _lock(context: Any, artifact: Any) -> LockedJar:
    jar = LockedJar(
        group=artifact.groupId, artifact=artifact.artifactId, version=artifact.version, sha256=""
    )
    return replace(jar, sha256=sha256_of(fetch(context, jar)))


def main() -> None:
    """Write the lock beside this file and say how many jars it names."""
    lock = Path(__file__).with_name("jars.lock")
    jars = resolve_lock()
    lock.write_text(format_lock(jars), encoding="utf-8")
    Console().print(f"{lock}: {len(jars)} jars")


if __name__ == "__main__":
    main()
