"""A local Kafka of some tests alone, which may be frozen."""

import os
import signal

from tollway_workers.local.kafka import LocalKafka


class Broker:
    """State: whether it is frozen."""

    def __init__(self, kafka: LocalKafka, servers: str) -> None:
        self._kafka = kafka
        self.servers = servers
        self.frozen = False

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)
        self.frozen = False

    def _signal(self, number: int) -> None:
        broker = self._kafka.status()
        assert broker is not None
        os.kill(broker.pid, number)
