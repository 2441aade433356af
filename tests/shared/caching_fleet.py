"""A fleet whose route gives known answers again, and what is seen of that from outside."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eventually import eventually
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_job

from tollway_schemas.reply import Reply
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.local.simulator import Simulator

#: Questions of one round.
QUESTIONS = 20
TENANT = "acme"
#: A Kafka that has just started has no place for the offsets of groups yet.
_NO_COORDINATOR = "Kafka's client: Group Coordinator Request failed"


class CachingFleet:
    """Asks its workers the same questions again and again.

    Mutable state: `_rounds`, and all replies so far, by job.
    """

    def __init__(self, fleet: LiveFleet, simulator: Simulator, copies: Path) -> None:
        """`copies`: where the workers' copies lie."""
        self.fleet = fleet
        self.simulator = simulator
        self._copies = copies
        self._rounds = 0
        self._replies: dict[str, Reply] = {}

    @property
    def calls(self) -> int:
        """Calls that were made so far."""
        return len(self.simulator.calls)

    @property
    def file(self) -> Path:
        """The copy of the one worker that has any."""
        (file,) = self._copies.rglob("cache.sqlite3")
        return file

    async def ask(self, first: int = 0) -> list[Reply]:
        """Each question once, numbered from `first`; the replies in their order.

        A known answer among them is one to the same question.
        """
        self._rounds += 1
        jobs = [
            fresh_job(f"{self._rounds}-{n}", tenant=TENANT, request=_question(n))
            for n in range(first, first + QUESTIONS)
        ]
        await self.fleet.publish(*jobs)
        self._replies = by_job(await self.fleet.until_answered(jobs))
        replies = [self._replies[each.id] for each in jobs]
        for reply in replies:
            self._require_own(reply)
        return replies

    def _require_own(self, reply: Reply) -> None:
        if reply.cached_from is None:
            return
        earlier = self._replies[reply.cached_from.job_id]
        assert reply.answer == earlier.answer
        assert reply.job_id.partition("-")[2] == earlier.job_id.partition("-")[2]

    async def serves(self, worker: str = "one", times: int = 1) -> None:
        """Wait until a worker has caught up with what is known, so often in its life."""

        def has_caught_up() -> bool:
            said = self.fleet.log(worker).read_text()
            return said.count("stored answers are served") >= times

        await eventually(has_caught_up, 60)

    def warnings(self, worker: str = "one") -> list[str]:
        """What a worker has warned of, or reported as an error."""
        lines = map(json.loads, self.fleet.log(worker).read_text().splitlines())
        said = [each["event"] for each in lines if each["level"] not in ("debug", "info")]
        return [each for each in said if not each.startswith(_NO_COORDINATOR)]


async def caching_fleet(
    open_fleet: OpenFleet, simulator: Simulator, copies: Path, **worker: Any
) -> CachingFleet:
    """One on a topic of its own; `worker`: settings of `[worker]`."""
    fleet = await open_fleet(
        simulator.base_url,
        routes={"extract": {"lanes": ["main"], "cache": {"exact": True}}},
        worker={"cache_folder": str(copies), **worker},
        telemetry={"log_format": "json"},
    )
    return CachingFleet(fleet, simulator, copies)


def given_again(replies: Iterable[Reply]) -> int:
    """How many of them are known answers."""
    return sum(reply.cached_from is not None for reply in replies)


def _question(number: int) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=f"question {number}"),))
