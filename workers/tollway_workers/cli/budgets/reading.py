"""Reads the ledger, and the journal's last minutes, for as long as somebody looks."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tollway_schemas import SchemaError, TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.budgets.shown import Journaled
from tollway_workers.cli.budgets.spenders import SPAN, Spenders
from tollway_workers.cli.budgets.view import LedgerView, PartLine
from tollway_workers.cli.shared.topic_scan import Place
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.kafka.talk.ledger_log import PARTITION
from tollway_workers.ownership.partition import Partition

#: Seconds by which a journal line's time may lie before that of an earlier record of the ledger.
_SLACK = 600.0


class LedgerReader:
    """State: the view, and `unreadable`, how many records of the ledger were none."""

    def __init__(self, place: Place, reader: LogReader) -> None:
        budgets = place.fleet.budgets if place.fleet is not None else {}
        self.view = LedgerView(budgets, Spenders(budgets))
        self.unreadable = 0
        self._names = TopicNames(place.kafka.prefix)
        self._reader = reader

    async def start(self, *, spenders: bool) -> None:
        """Read all that is there. Raises BrokerUnavailable, also where there is no ledger."""
        ledger = (self._names.ledger, PARTITION)
        ends: dict[Partition, int] = {ledger: (await self._reader.ends([ledger[0]]))[ledger]}
        starts = await self._reader.starts(ends, None)
        if spenders:
            await self._add_journal(starts, ends)
        async for record in self._reader.between(starts, ends):
            self._apply(record)
        self._reader.follow(ends)

    async def read(self) -> None:
        """Take in what came since."""
        for record in await self._reader.read():
            self._apply(record)

    async def journaled(self, lines: Iterable[PartLine]) -> Journaled:
        """What the journal shows of processes since their last records in the ledger."""
        found = Journaled({line.process for line in lines})
        since = min((line.standing.at for line in lines), default=time.time()) - _SLACK
        try:
            ends = await self._reader.ends([self._names.journal])
        except BrokerUnavailable:
            # There is no journal: nothing is shown.
            return found
        starts = await self._reader.starts(ends, since)
        async for record in self._reader.between(starts, ends):
            found.hear(record.value)
        return found

    async def _add_journal(self, starts: dict[Partition, int], ends: dict[Partition, int]) -> None:
        try:
            journal = await self._reader.ends([self._names.journal])
            starts |= await self._reader.starts(journal, time.time() - SPAN)
        except BrokerUnavailable:
            # Who spends is beside the point: the ledger alone says how much.
            return
        ends |= journal

    def _apply(self, record: LoggedRecord) -> None:
        if record.partition[0] == self._names.journal:
            self.view.spenders.hear(record.value, record.timestamp)
            return
        try:
            self.view.apply(record.key, record.value, record.timestamp)
        except SchemaError:
            self.unreadable += 1


@asynccontextmanager
async def reading(place: Place, *, spenders: bool) -> AsyncIterator[LedgerReader]:
    """The ledger of a fleet, read to its end. Raises ConfigError, BrokerUnavailable."""
    quieten_client_logs()
    reader = LogReader(client_options(place.kafka))
    await reader.start()
    try:
        found = LedgerReader(place, reader)
        await found.start(spenders=spenders)
        yield found
    finally:
        await reader.stop()
