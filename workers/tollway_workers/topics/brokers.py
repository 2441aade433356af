"""Settings of the brokers themselves that a fleet depends on. Pure."""

from collections.abc import Iterator, Mapping

from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.ownership.offset_map import METADATA_LIMIT

_AUTO_CREATE = "auto.create.topics.enable"
_METADATA = "offset.metadata.max.bytes"
_OFFSETS_KEPT = "offsets.retention.minutes"

#: What to look at.
BROKER_SETTINGS = (_AUTO_CREATE, _METADATA, _OFFSETS_KEPT)


def broker_remarks(kafka: KafkaSettings, config: Mapping[str, str]) -> Iterator[str]:
    """The settings of a broker that break promises of the fleet; one sentence each."""
    if config.get(_AUTO_CREATE, "false") == "true":
        yield (
            f"the brokers have {_AUTO_CREATE}=true: a topic that is deleted, or misspelt, comes "
            "(back) with the brokers' defaults; ask for false"
        )
    if int(config.get(_METADATA, METADATA_LIMIT)) < METADATA_LIMIT:
        yield (
            f"the brokers have {_METADATA}={config[_METADATA]}: what is done behind a running job "
            f"may not fit, and would be repeated after a crash; ask for {METADATA_LIMIT}"
        )
    hours = int(config.get(_OFFSETS_KEPT, 10**9)) / 60
    if hours < kafka.jobs_retention_hours / 2:
        yield (
            f"the brokers forget offsets {hours:g} hours after the last worker has left "
            f"({_OFFSETS_KEPT}), and the longest deadline may be "
            f"{kafka.jobs_retention_hours / 2:g}: a fleet that was down for longer does such jobs "
            "again; ask for more"
        )
