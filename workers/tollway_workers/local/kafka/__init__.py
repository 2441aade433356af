"""A real Apache Kafka on this machine: no Docker, no system Java, no Maven."""

from tollway_workers.local.kafka.broker import LocalKafka, LocalKafkaGone, RunningBroker
from tollway_workers.local.kafka.properties import BrokerOptions, SecureListener

__all__ = ["BrokerOptions", "LocalKafka", "LocalKafkaGone", "RunningBroker", "SecureListener"]
