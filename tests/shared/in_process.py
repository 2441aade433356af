"""A `tollway` command in the process of its test: one of its own takes a second of a core to start.

For commands that end by themselves, where the process is not the subject. Others are processes.
"""

import gc
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Thread
from unittest.mock import patch

import structlog

from tollway_workers.cli.entry import main

#: What a pipe is taken to be wide, whatever terminal the tests have.
_WIDTH = {"COLUMNS": "80"}
#: Seconds that a command takes at most, on a machine that is busy with others.
_PATIENCE = 120.0


def run_here(
    arguments: tuple[str, ...], folder: Path, environ: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    """Run the command to its end, with this folder and environment and nothing on stdin."""
    stdout, stderr = io.BytesIO(), io.BytesIO()
    out = io.TextIOWrapper(stdout, encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(stderr, encoding="utf-8", write_through=True)
    with (
        chdir(folder),
        patch.dict(os.environ, {**_WIDTH, **environ}, clear=True),
        patch.object(sys, "argv", ["tollway", *arguments]),
        patch.object(sys, "stdin", io.StringIO()),
        # What is frozen is never collected: a connection that a test forgot would not be told of.
        patch.object(gc, "freeze"),
        redirect_stdout(out),
        redirect_stderr(err),
        _logs_as_before(),
    ):
        ended: Future[int] = Future()
        # A command starts an event loop, and the test may have one. One that hangs holds up nobody.
        Thread(target=_run, args=(ended,), daemon=True).start()
        status = ended.result(timeout=_PATIENCE)
    return subprocess.CompletedProcess(arguments, status, stdout.getvalue(), stderr.getvalue())


@contextmanager
def _logs_as_before() -> Iterator[None]:
    """Commands silence Kafka's client for the rest of their process."""
    client = logging.getLogger("aiokafka")
    level, configured = client.level, structlog.get_config()
    try:
        yield
    finally:
        client.setLevel(level)
    # Loggers keep the set-up of their first use: nothing can take it back.
    assert structlog.get_config() == configured, "what sets up its log needs its own process"


def _run(ended: "Future[int]") -> None:
    try:
        main()
        ended.set_result(0)
    except SystemExit as end:
        ended.set_result(end.code if isinstance(end.code, int) else int(end.code is not None))
    except BaseException as error:  # noqa: BLE001 it is the test's
        ended.set_exception(error)
