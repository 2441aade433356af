"""From `[kafka]` to the arguments of Kafka clients, by way of the SDK's own connection."""

from typing import Any

from tollway.connection import KafkaConnection, Security
from tollway_workers.config.load.secrets import resolve
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import ConfigError, ConfigMistake


def connection_of(kafka: KafkaSettings) -> KafkaConnection:
    """The connection that `[kafka]` describes. Raises ConfigError, without quoting a secret."""
    if kafka.bootstrap_servers is None:
        raise ConfigError.of(
            ConfigMistake(
                key="kafka.bootstrap_servers",
                problem="no Kafka is named",
                remedy="set it, or the environment variable TOLLWAY_BOOTSTRAP_SERVERS; "
                "`tollway kafka start` starts a local one",
            )
        )
    return KafkaConnection(kafka.bootstrap_servers, _security(kafka))


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """What every aiokafka client of the fleet takes to connect. Raises ConfigError."""
    return connection_of(kafka).client_options()


def _security(kafka: KafkaSettings) -> Security | None:
    given = kafka.security
    if given.protocol == "PLAINTEXT":
        return None
    return Security(
        tls=given.protocol.endswith("SSL"),
        ca_file=given.ca_file,
        cert_file=given.certificate_file,
        key_file=given.key_file,
        mechanism=given.mechanism if given.protocol.startswith("SASL") else None,
        username=given.username,
        password=resolve(given.password).get_secret_value() if given.password else None,
    )
