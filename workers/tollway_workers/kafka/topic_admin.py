"""Reads and changes topics. aiokafka returns most of their errors instead of raising them."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import started
from tollway_workers.topics.plan import TopicPlan, TopicState

#: Kafka's error code of a topic that was made meanwhile.
_EXISTS = 36
#: Kafka's error code of a topic that was deleted meanwhile.
_UNKNOWN = 3
#: What is said of a topic that is not there.
MISSING = "does not exist"
#: Kafka's error codes of a topic that is not there for us; others pass, such as an election.
_UNUSABLE = {
    3: MISSING,
    17: "has a name that Kafka does not take",
    29: "is closed to this user",
}
#: Seconds until a broker must show a topic that it has made.
_SHOWN_WITHIN = 10
#: Seconds between two looks at what a broker is about to show.
_LOOK = 0.02
#: Where a setting comes from, in Kafka's numbers: it was given to this topic.
_OF_TOPIC = 1


async def existing_topics(client: dict[str, Any]) -> dict[str, int]:
    """Partition count of every topic that we may see. Raises BrokerUnavailable."""
    async with _Admin(client) as admin:
        return _partition_counts(await admin.describe_topics())


async def topic_state(client: dict[str, Any], name: str) -> int | str:
    """Its number of partitions, or why nobody can write to it. Raises BrokerUnavailable."""
    async with _Admin(client) as admin:
        (topic,) = await admin.describe_topics([name])
    why = _UNUSABLE.get(topic["error_code"])
    return max(len(topic["partitions"]), 1) if why is None else why


async def topic_states(client: dict[str, Any], names: Collection[str]) -> dict[str, TopicState]:
    """Those of the topics that are there, with their settings. Raises BrokerUnavailable."""
    async with _Admin(client) as admin:
        described = {
            topic["topic"]: topic["partitions"]
            for topic in await admin.describe_topics()
            if topic["topic"] in names
        }
        configs = await _configs(admin, ConfigResourceType.TOPIC, described)
    return {name: _state(partitions, configs.get(name)) for name, partitions in described.items()}


async def broker_settings(client: dict[str, Any], settings: Collection[str]) -> dict[str, str]:
    """These settings of one broker, those left out that we may not see. Raises BrokerUnavailable.

    All brokers of a cluster are taken to have the same.
    """
    async with _Admin(client) as admin:
        cluster = await admin.describe_cluster()
        node = str(cluster["brokers"][0]["node_id"])
        entries = await _configs(admin, ConfigResourceType.BROKER, [node])
    return {
        name: value
        for name, value, *_ in entries.get(node, ())
        if name in settings and value is not None
    }


async def apply(plan: TopicPlan, client: dict[str, Any]) -> set[str]:
    """Make what a plan asks for, as much of it as Kafka allows, until a look at Kafka shows it.

    Returns the topics that it made: what another made meanwhile may hold records.

    Raises:
        BrokerUnavailable: the broker is away, refuses a part (the text says what and why), or
            does not show a topic 10 s after it made it.
    """
    async with _Admin(client) as admin:
        made, refused = await _create(admin, plan)
        refused += await _grow(admin, plan.grow)
        refused += await _alter(admin, plan)
        if not refused:
            wanted = {topic.name: 1 for topic in plan.create}
            await _until_shown(admin, {**wanted, **plan.grow})
    if plan.delete and not refused:
        await delete(client, plan.delete)
    if refused:
        more = f", and refuses {len(refused) - 1} more" if len(refused) > 1 else ""
        raise BrokerUnavailable(
            f"Kafka does not {refused[0]}{more}; "
            "ask its operators for what `tollway topics apply` prints"
        )
    return made


async def delete(client: dict[str, Any], names: Collection[str], group: str | None = None) -> None:
    """Delete those of the topics that are there, until a look at Kafka shows none of them.

    `group`: whoever reads them; its commits are to be forgotten too, some moments later. A topic
    of that name that is made anew before would be read from where the old one was done.

    Raises:
        BrokerUnavailable: the broker is away, or refuses; the text says what and why.
    """
    async with _Admin(client) as admin:
        there = sorted(_partition_counts(await admin.describe_topics()).keys() & set(names))
        response: Any = await admin.delete_topics(there) if there else None
        refused = [
            f"{topic} ({_reason(code)})"
            for topic, code, *_ in (response.topic_error_codes if response else ())
            if code not in (0, _UNKNOWN)
        ]
        if refused:
            raise BrokerUnavailable(
                f"Kafka does not delete topic {refused[0]}: ask its operators to"
            )
        await _until_gone(admin, there)
        if group is not None:
            await _until_forgotten(admin, group, there)


async def _until_gone(admin: AIOKafkaAdminClient, names: Collection[str]) -> None:
    left = set(names)
    try:
        async with asyncio.timeout(_SHOWN_WITHIN):
            while left := left & _partition_counts(await admin.describe_topics()).keys():  # noqa: ASYNC110 no event
                await asyncio.sleep(_LOOK)
    except TimeoutError as error:
        raise BrokerUnavailable(
            f"Kafka still shows topic {min(left)} {_SHOWN_WITHIN} s after it deleted it"
        ) from error


async def _until_forgotten(admin: AIOKafkaAdminClient, group: str, names: Collection[str]) -> None:
    """Nothing is wrong where that takes longer: the broker does it by itself."""
    gone = set(names)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SHOWN_WITHIN):
            while gone & {at.topic for at in await admin.list_consumer_group_offsets(group)}:  # noqa: ASYNC110 no event
                await asyncio.sleep(_LOOK)


async def _until_shown(admin: AIOKafkaAdminClient, partitions: Mapping[str, int]) -> None:
    """Wait until the brokers show it: the controller acknowledges before they know."""
    behind = list(partitions)
    try:
        async with asyncio.timeout(_SHOWN_WITHIN):
            while behind and (behind := await _behind(admin, partitions)):  # noqa: ASYNC110 no event
                await asyncio.sleep(_LOOK)
    except TimeoutError as error:
        raise BrokerUnavailable(
            f"Kafka made or grew topic {behind[0]} and does not show it after {_SHOWN_WITHIN} s: "
            "its brokers may be starting or recovering, try again"
        ) from error


async def _behind(admin: AIOKafkaAdminClient, partitions: Mapping[str, int]) -> list[str]:
    shown = _partition_counts(await admin.describe_topics())
    return [name for name, count in partitions.items() if shown.get(name, 0) < count]


def _partition_counts(described: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _create(admin: AIOKafkaAdminClient, plan: TopicPlan) -> tuple[set[str], list[str]]:
    """The topics that were made, and what Kafka refuses."""
    new = [
        NewTopic(
            topic.name,
            topic.partitions,
            topic.replication_factor,
            topic_configs=dict(topic.config),
        )
        for topic in plan.create
    ]
    response: Any = await admin.create_topics(new) if new else None
    answers = response.topic_errors if response else ()
    refused = [
        f"make topic {topic} ({_reason(code, *rest)})"
        for topic, code, *rest in answers
        if code not in (0, _EXISTS)
    ]
    return {topic for topic, code, *_ in answers if code == 0}, refused


async def _grow(admin: AIOKafkaAdminClient, grow: Mapping[str, int]) -> list[str]:
    """One after the other: their order is the plan's."""
    refused = []
    for name, total in grow.items():
        try:
            await admin.create_partitions({name: NewPartitions(total)})
        except KafkaError as error:
            refused.append(f"grow topic {name} ({type(error).__name__})")
    return refused


async def _alter(admin: AIOKafkaAdminClient, plan: TopicPlan) -> list[str]:
    changes = [
        ConfigResource(ConfigResourceType.TOPIC, change.topic, dict(change.complete))
        for change in plan.alter
    ]
    responses = await admin.alter_configs(changes) if changes else ()
    return [
        f"change topic {name} ({_reason(code, message)})"
        for code, message, _, name in _resources(responses)
        if code
    ]


async def _configs(
    admin: AIOKafkaAdminClient, kind: ConfigResourceType, names: Collection[str]
) -> dict[str, Sequence[tuple[Any, ...]]]:
    """Entries (setting, value, read-only, source, ...) of those that we may look at."""
    if not names:
        return {}
    resources = [ConfigResource(kind, name) for name in names]
    responses = await admin.describe_configs(resources)
    return {name: entries for code, _, _, name, entries in _resources(responses) if not code}


def _resources(responses: Sequence[Any]) -> list[tuple[Any, ...]]:
    """aiokafka's types do not say what a response has."""
    return [resource for response in responses for resource in response.resources]


def _state(
    partitions: Sequence[Mapping[str, Any]], entries: Sequence[tuple[Any, ...]] | None
) -> TopicState:
    return TopicState(
        partitions=len(partitions),
        replicas=min(len(partition["replicas"]) for partition in partitions),
        config=None if entries is None else {name: value for name, value, *_ in entries},
        overrides={
            name: value for name, value, _, source, *_ in entries or () if source == _OF_TOPIC
        },
    )


def _reason(code: int, message: str | None = None) -> str:
    return f"{for_code(code).__name__}: {message}" if message else str(for_code(code).__name__)


class _Admin:
    """An admin client for a few requests."""

    def __init__(self, client: dict[str, Any]) -> None:
        self._client = client
        self._admin = AIOKafkaAdminClient(**client)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await started(self._admin, self._client)
        return self._admin

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._admin.close()
        if isinstance(error, KafkaError) and error.retriable:
            raise BrokerUnavailable(
                f"Kafka cannot answer about topics yet ({type(error).__name__}): "
                "its brokers may be starting or recovering, try again"
            ) from error
        if isinstance(error, KafkaError):
            raise BrokerUnavailable(
                f"Kafka refused a request about topics ({type(error).__name__}): "
                "check the rights of this user"
            ) from error
