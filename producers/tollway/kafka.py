"""The transport that is Kafka."""

import secrets

from tollway.connection import KafkaConnection
from tollway.errors import InvalidSettings
from tollway.listener import Positions, ReplyListener
from tollway.mailbox import Mailbox
from tollway.quiet import quieten_aiokafka
from tollway.sender import JobSender, Timeouts
from tollway.topics import advice_for_replies, advice_for_route
from tollway.transport import OutgoingRecord
from tollway_schemas import ReplyAddress


class KafkaTransport:
    """Sends jobs to their route's topic and reads replies from one partition of the reply topic.

    The partition is picked when it starts, together with the offset it ends at, so that reading
    may begin at any later time and still find every reply to a job sent in between.
    """

    def __init__(
        self, connection: KafkaConnection, prefix: str, reply_topic: str, timeouts: Timeouts
    ) -> None:
        self._prefix = prefix
        self._reply_topic = reply_topic
        self._connection = connection
        self._timeouts = timeouts
        self._positions: Positions = {}
        self._sender = JobSender(connection, timeouts)
        self._listener: ReplyListener | None = None

    @property
    def reply_address(self) -> ReplyAddress:
        """The partition of the reply topic that this producer reads."""
        return ReplyAddress(topic=self._reply_topic, partition=next(iter(self._positions), None))

    async def start(self, mailbox: Mailbox) -> None:
        """Connect. Raises BrokerUnreachable, UnknownTopic, RepliesUnreadable, InvalidSettings."""
        quieten_aiokafka()
        self._listener = ReplyListener(self._connection, self._reply_topic, mailbox)
        try:
            await self._sender.start()
            partitions = await self._sender.partitions(self._reply_topic, advice_for_replies)
            mine = secrets.choice(sorted(partitions))
            self._positions = {mine: await self._listener.end_of(mine)}
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Flush what was sent and disconnect, within 10 seconds."""
        if self._listener is not None:
            await self._listener.stop()
        await self._sender.stop()

    async def send(self, record: OutgoingRecord) -> None:
        """See Transport.send."""
        await self._sender.partitions(record.topic, advice_for_route(self._prefix))
        await self._sender.send(record)

    async def listen(self) -> None:
        """Read this producer's partition from where it stood at the start."""
        self._started().listen(self._positions)

    async def search(self) -> None:
        """Read the whole reply topic once for the reattached slots, then its tail."""
        await self._started().search()

    def _started(self) -> ReplyListener:
        if self._listener is None:
            raise InvalidSettings("the transport was not started")
        return self._listener
