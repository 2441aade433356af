"""Logs of Kafka's client and of the event loop, as lines of our own log.

While a broker is away aiokafka logs an error a second and node; here they pass through our limit
(telemetry/log_limit.py). Of their arguments only numbers, names and types of errors are kept: the
text of an error may quote anything. The event loop logs tasks that the client left behind.
"""

import logging
from collections.abc import Collection

import structlog

from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Characters of a line.
_LONGEST = 300
#: What the client logs of a topic at every look at the cluster.
_MISSING = "Topic %s not found in cluster metadata"


class _ToOurs(logging.Handler):
    """Hands records of the standard library's logging to ours, one level lower.

    Lower, because the client mends by itself nearly everything that it complains about.
    """

    def __init__(self, speaker: str, apart: frozenset[str]) -> None:
        super().__init__(logging.WARNING)
        self._speaker = speaker
        self._apart = apart

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if record.msg == _MISSING and not self._apart.isdisjoint(map(str, record.args or ())):
            return
        error = record.exc_info[1] if record.exc_info else None
        fields = {} if error is None else error_fields(error)
        write = log.warning if record.levelno >= logging.ERROR else log.info
        # What follows the first line quotes whole objects, an error's text in them.
        said = _text(record).partition("\n")[0]
        write(f"{self._speaker}: {said}"[:_LONGEST], **fields)


def pass_on_client_logs(apart: Collection[str] = ()) -> None:
    """Write their warnings and errors to our own log alone, from now on.

    `apart`: topics of which we say ourselves what it means that they are missing.
    """
    for name, speaker in (("aiokafka", "Kafka's client"), ("asyncio", "the event loop")):
        logger = logging.getLogger(name)
        logger.handlers = [_ToOurs(speaker, frozenset(apart))]
        logger.propagate = False
        logger.setLevel(logging.WARNING)


def _text(record: logging.LogRecord) -> str:
    args = record.args if isinstance(record.args, tuple) else ()
    text = str(record.msg)
    try:
        return text % tuple(map(_safe, args)) if args else text
    except (TypeError, ValueError):
        return text


def _safe(value: object) -> object:
    """What may be said of an argument."""
    if isinstance(value, BaseException):
        return type(value).__name__
    if isinstance(value, type):
        return value.__name__
    return value if isinstance(value, int | str) else "..."
