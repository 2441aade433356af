"""aiokafka reports a missing broker about once a second and node; once in a while is enough."""

import logging
import time

#: Loggers that repeat themselves while a broker is away. A filter works on its own logger only.
_LOGGERS = (
    "aiokafka",  # aiokafka.client says so
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.producer.sender",
)

#: Seconds between two records of one kind.
_INTERVAL = 30.0


class OncePerInterval(logging.Filter):
    """Lets the first record of a kind (its message before formatting) through, then waits."""

    def __init__(self, interval: float = _INTERVAL) -> None:
        super().__init__()
        self._interval = interval
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        last = self._last.get(str(record.msg))
        if last is not None and now - last < self._interval:
            return False
        self._last[str(record.msg)] = now
        return True


def quieten_aiokafka() -> None:
    """Rate-limit aiokafka's warnings; once a process, whatever the number of producers."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, OncePerInterval) for each in logger.filters):
            logger.addFilter(OncePerInterval())
