"""`[kafka]`: where the broker is, and what the topics are like."""

from typing import Annotated, Literal

from pydantic import Field

from tollway_schemas.topics import DEFAULT_PREFIX
from tollway_workers.config.shape.model import Section, Texts
from tollway_workers.config.shape.secret import SecretReference


class SecuritySettings(Section):
    """`[kafka.security]`: how to prove who we are and who the broker is."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Kafka's own word."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """SASL mechanism; needed by the two SASL protocols."""
    username: str | None = None
    """SASL user."""
    password: SecretReference | None = None
    """SASL password, by reference."""
    ca_file: str | None = None
    """PEM file of the certificate authority; the system's own if absent."""
    certificate_file: str | None = None
    """PEM file of our certificate, for mutual TLS."""
    key_file: str | None = None
    """PEM file of its key."""


class KafkaSettings(Section):
    """`[kafka]`: where the broker is, and what the topics are like."""

    bootstrap_servers: str | None = None
    """`host:port`, comma separated. `run` and `up` start a local Kafka if it is absent."""
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")] = DEFAULT_PREFIX
    """First word of every topic and group of this fleet."""
    security: SecuritySettings = SecuritySettings()
    partitions: Annotated[int, Field(ge=1, le=1000)] = 12
    """Partitions of every jobs topic, of replies, dead letters and journal."""
    replication_factor: Annotated[int, Field(ge=1, le=10)] = 1
    """Copies of every partition; 3 in production."""
    min_insync_replicas: Annotated[int, Field(ge=1, le=10)] = 1
    """Copies that must have a record before it counts as written; 2 in production."""
    max_job_bytes: Annotated[int, Field(ge=16_384, le=64 * 2**20)] = 1_048_576
    """Largest job record. Dead letters and journal records may be twice as large."""
    jobs_retention_hours: Annotated[float, Field(gt=0, le=87_600)] = 336.0
    """How long jobs topics keep a record: at least twice the longest deadline."""
    replies_retention_hours: Annotated[float, Field(gt=0, le=87_600)] = 168.0
    """How long replies are kept."""
    dead_letters_retention_days: Annotated[float, Field(gt=0, le=3_650)] = 90.0
    """How long dead letters are kept."""
    journal_retention_days: Annotated[float, Field(gt=0, le=3_650)] = 30.0
    """How long the journal is kept."""
    reply_topics: Texts = ()
    """Topics of services that jobs may name for their replies, besides `<prefix>.replies`."""
    session_timeout: Annotated[float, Field(ge=6, le=300)] = 15.0
    """Seconds after which a silent worker loses its partitions."""
