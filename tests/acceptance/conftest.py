"""The command as a person or a script starts it: a process in an empty folder and home."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Tollway = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def tollway_environment(
    tmp_path: Path, bootstrap_servers: str, topic_prefix: str
) -> dict[str, str]:
    """Nothing but a path, an empty home, the broker and this test's prefix."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TOLLWAY_BOOTSTRAP_SERVERS": bootstrap_servers,
        "TOLLWAY_PREFIX": topic_prefix,
    }


@pytest.fixture
def tollway(tmp_path: Path, tollway_environment: dict[str, str]) -> Tollway:
    """`tollway(*arguments, status=0, **environ)`: run it in the test's folder to its end."""

    def run(
        *arguments: object, status: int = 0, **environ: str
    ) -> "subprocess.CompletedProcess[bytes]":
        done = subprocess.run(
            [sys.executable, "-m", "tollway_workers.cli.entry", *map(str, arguments)],
            cwd=tmp_path,
            env=tollway_environment | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr.decode() + done.stdout.decode()
        assert b"Traceback" not in done.stderr
        return done

    return run
