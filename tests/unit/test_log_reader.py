"""Questions about partitions: none waits behind a read that finds nothing."""

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher

from tollway_schemas.reading.consumer import RecordConsumer, _ReadingFetcher
from tollway_workers.kafka.read import log_reader
from tollway_workers.kafka.read.log_reader import LogReader


async def test_what_is_only_asked_about_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [TopicPartition("replies", 0), TopicPartition("replies", 1)]
    consumer = Mock(RecordConsumer)
    consumer.end_offsets = AsyncMock(return_value=dict.fromkeys(places, 7))
    monkeypatch.setattr(log_reader, "RecordConsumer", lambda **_: consumer)

    async def existing(_: Any) -> dict[str, int]:
        return {"replies": 2}

    monkeypatch.setattr(log_reader, "existing_topics", existing)

    ends = await LogReader({}).ends(["replies"])

    assert ends == {("replies", 0): 7, ("replies", 1): 7}
    assert [call[0] for call in consumer.mock_calls] == ["assign", "pause", "end_offsets"]
    assert set(consumer.pause.call_args.args) == set(places)


async def test_only_being_woken_ends_a_wait_without_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fetched_records(*_: Any) -> dict[TopicPartition, list[Any]]:
        raise TimeoutError

    monkeypatch.setattr(Fetcher, "fetched_records", fetched_records)
    fetcher = _ReadingFetcher.__new__(_ReadingFetcher)
    fetcher._budget = Mock()

    with pytest.raises(TimeoutError):
        await fetcher.fetched_records(())
