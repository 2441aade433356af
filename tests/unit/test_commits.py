"""What a group committed, and what is no answer to that question."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import OffsetAndMetadata

from tollway_workers.kafka.group.committed import commits_of

HERE, THERE = TopicPartition("t", 0), TopicPartition("t", 1)
NOTHING = OffsetAndMetadata(-1, "")


class Admin:
    """Answers as it is told."""

    def __init__(self, answer: dict[TopicPartition, Any]) -> None:
        self._answer = answer

    async def list_consumer_group_offsets(
        self, group: str, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, Any]:
        assert group == "g"
        assert all(isinstance(partition, TopicPartition) for partition in partitions)
        return self._answer


def admin_that_says(answer: dict[TopicPartition, Any]) -> Any:
    return Admin(answer)


async def test_an_answer_names_every_partition_even_those_without_a_commit() -> None:
    answer = {HERE: OffsetAndMetadata(7, "o1:"), THERE: NOTHING}

    assert await commits_of(admin_that_says(answer), "g", {HERE, THERE}) == answer


@pytest.mark.parametrize("answer", [{}, {HERE: NOTHING}])
async def test_a_partition_that_is_not_spoken_of_is_an_error_and_not_a_beginning(
    answer: dict[TopicPartition, Any],
) -> None:
    with pytest.raises(GroupCoordinatorNotAvailableError):
        await commits_of(admin_that_says(answer), "g", [HERE, THERE])
