"""The brokers of the contract suites."""

from collections.abc import AsyncIterator

import pytest
from two_brokers import Broker, InMemory, OnKafka, Open


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "memory":
        return InMemory()
    servers, prefix, make_topic = (
        request.getfixturevalue(each)
        for each in ("bootstrap_servers", "topic_prefix", "make_topic")
    )
    return OnKafka(servers, prefix, make_topic)


@pytest.fixture
async def opened(broker: Broker) -> AsyncIterator[Open]:
    opened = Open(broker)
    await opened.sink.start()
    yield opened
    await opened.close()
