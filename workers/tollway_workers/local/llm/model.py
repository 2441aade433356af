"""A local model as an object: its process is started, found and ended."""

import json
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import IO, Self

from tollway_workers.errors import LocalError
from tollway_workers.local.llm.options import ModelOptions
from tollway_workers.local.llm.weights import PACKAGES, require

_DEFAULTS = ModelOptions()

#: Seconds until a model must be at work; joining and loading the shipped one takes five.
_START_SECONDS = 180.0
#: Seconds in which a process that was told to end may do so by itself.
_STOP_SECONDS = 5.0


class LocalLLM:
    """A small real model behind llama.cpp's OpenAI-compatible server, in a process of its own.

        with LocalLLM() as llm:
            print(llm.base_url, llm.model)

    It listens on 127.0.0.1 only, reaches no network, and ends with the process that started it,
    even one that is killed. Ctrl-C does not reach it, so that calls in flight can be finished.
    """

    def __init__(self, options: ModelOptions = _DEFAULTS) -> None:
        self.options = options
        # What a start makes and a stop takes away, together.
        self._process: subprocess.Popen[bytes] | None = None
        self._base_url = ""

    def __repr__(self) -> str:
        where = self._base_url or "stopped"
        return f"<LocalLLM {self.model} [{where}]>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where OpenAI's paths begin. Raises LocalError while it does not run."""
        if not self._base_url:
            raise LocalError("the local model does not run: start it first")
        return self._base_url

    @property
    def model(self) -> str:
        """What calls name as their model."""
        return self.options.name

    @property
    def pid(self) -> int | None:
        """The server's process while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server and return when it answers. Blocks: 3 s with the shipped weights.

        Raises MissingExtra without `tollway[local-llm]`, LocalError if it cannot start.
        """
        if self._process is not None:
            return
        require("xllamacpp", *(PACKAGES if self.options.model is None else ()))
        with tempfile.TemporaryFile() as log:
            self._process = _spawn(self.options, log)
            try:
                self._base_url = _wait_until_ready(self._process, log)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End the server, calls in flight with it. Idempotent."""
        process, self._process, self._base_url = self._process, None, ""
        if process is None:
            return
        # The end of its stdin tells it to leave.
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _spawn(options: ModelOptions, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own module, with options that were read
        [sys.executable, "-m", "tollway_workers.local.llm", *options.arguments()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        # Ctrl-C goes to a whole group: the caller decides when calls in flight have ended.
        start_new_session=True,
    )


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: IO[bytes]) -> str:
    """Its address, from the line it writes when it listens. Raises LocalError if none comes."""
    assert process.stdout is not None  # noqa: S101 - it was asked for, for the type checker
    too_long = threading.Timer(_START_SECONDS, process.kill)
    too_long.start()
    try:
        line = process.stdout.readline()
    finally:
        too_long.cancel()
    if line:
        return str(json.loads(line)["base_url"])
    status = process.wait()
    log.seek(0)
    said = log.read().decode(errors="replace").splitlines()
    raise LocalError(f"the local model cannot start: {_reason(said, status)}")


def _reason(said: list[str], status: int) -> str:
    """One sentence out of its log: the process's own last line, and llama.cpp's first error."""
    if status < 0:
        return f"its process was ended by signal {-status}"
    own = said[-1] if said else f"its process ended with status {status}"
    first_error = next((line.partition(" E ")[2] for line in said if " E " in line), "")
    return f"{own} ({first_error.strip()})" if first_error else own
