"""What in the brokers' own configuration would break a promise."""

import pytest

from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.topics.brokers import BROKER_SETTINGS, broker_remarks

#: Apache Kafka's own defaults, but for the first.
GOOD = {
    "auto.create.topics.enable": "false",
    "offset.metadata.max.bytes": "4096",
    "offsets.retention.minutes": "10080",
}


def test_a_sound_broker_is_not_spoken_of() -> None:
    assert list(broker_remarks(KafkaSettings(), GOOD)) == []
    assert GOOD.keys() == set(BROKER_SETTINGS)


def test_nothing_is_said_of_what_we_may_not_see() -> None:
    assert list(broker_remarks(KafkaSettings(), {})) == []


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("auto.create.topics.enable", "true", "ask for false"),
        ("offset.metadata.max.bytes", "1024", "ask for 4096"),
        ("offsets.retention.minutes", "1440", "forget offsets 24 hours after"),
    ],
)
def test_what_breaks_a_promise_is_said(setting: str, value: str, words: str) -> None:
    (remark,) = broker_remarks(KafkaSettings(), GOOD | {setting: value})

    assert words in remark
