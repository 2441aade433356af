"""Logs: text on a terminal, JSON lines elsewhere. They hold no prompt, answer or key."""

import logging
import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog

from tollway_workers.clock import SystemClock
from tollway_workers.telemetry.log_limit import RepeatLimit


class LogStream:
    """A stream for logs: a line that cannot be written is lost, and nothing else is.

    A worker logs while it pays for answers: a full disk under its log must not end it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it, or lose it."""
        with suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush it, or lose it."""
        with suppress(OSError):
            self._stream.flush()


def configure_logs(
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["auto", "console", "json"],
) -> None:
    """Set up structlog for this process; logs go to stderr."""
    people = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            RepeatLimit(SystemClock()),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, LogStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
