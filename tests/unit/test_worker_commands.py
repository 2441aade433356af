"""What a worker does when operators pause a lane or cancel jobs."""

from memory_fleet import NAMES, MemoryFleet
from samples import NOW, job, lane, progress
from scripted_provider import ScriptedProvider, completion

from tollway_schemas.attempt import Billed
from tollway_schemas.codec import encode
from tollway_schemas.command import Action, Command
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Priority
from tollway_workers.config.shape.route import RetrySettings, RouteSettings
from tollway_workers.errors import CallNotSent, ProviderFailure
from tollway_workers.job.envelopes import instant
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.state import LaneState
from tollway_workers.pipeline.admit import Permit
from tollway_workers.providers.base import Completion, ProviderCall

ROUTE = RouteSettings(
    lanes=("main",), retry=RetrySettings(backoff_initial=5.0, backoff_max=5.0), journal="full"
)
KEY = b"the command"


def fleet_of(provider: ScriptedProvider, *, concurrency: int = 2) -> MemoryFleet:
    return MemoryFleet({lane(concurrency=concurrency): provider}, {"extract": ROUTE})


def told(fleet: MemoryFleet, **target: object) -> bytes:
    now = fleet.clock.now()
    action = Action.PAUSE if "lane" in target else Action.CANCEL
    facts = {"action": action, "issued_at": instant(now), "expires_at": instant(now + 1_000)}
    return encode(Command.model_validate(facts | target))


def tell(fleet: MemoryFleet, **target: object) -> None:
    fleet.worker.operators.apply([(KEY, told(fleet, **target))])


def state(fleet: MemoryFleet) -> LaneState:
    return fleet.lanes["main"].admission.state


def resting(fleet: MemoryFleet) -> frozenset[str]:
    return fleet.source.partitions.resting


async def test_no_call_starts_on_a_paused_lane_until_it_is_resumed() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    tell(fleet, lane="main")
    async with fleet:
        await fleet.publish(job("a"), job("b"))
        await fleet.until(lambda: fleet.worker.dispatcher.waiting == 2)
        await fleet.until(lambda: fleet.clock.now() > NOW + 5)
        paused = len(provider.calls)

        fleet.worker.operators.apply([(KEY, None)])
        await fleet.until(lambda: len(fleet.replies) == 2)

    assert paused == 0
    assert {reply.status for reply in fleet.replies.values()} == {"completed"}


async def test_a_lane_that_an_operator_broke_calls_nobody_until_it_is_opened() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    tell(fleet, action=Action.BREAK, lane="main")
    async with fleet:
        await fleet.publish(job("a"), job("b"))
        await fleet.until(lambda: fleet.worker.dispatcher.waiting == 2)
        await fleet.until(lambda: fleet.clock.now() > NOW + 5)
        broken, calls = state(fleet), len(provider.calls)

        opened = told(fleet, action=Action.OPEN, lane="main")
        fleet.worker.operators.apply([(KEY, None), (b"open", opened)])
        await fleet.until(lambda: len(fleet.replies) == 2)

    assert (broken, calls) == (LaneState.BROKEN, 0)
    assert state(fleet) is LaneState.OPEN
    assert {reply.status for reply in fleet.replies.values()} == {"completed"}


async def test_a_break_that_expires_has_the_lane_probed() -> None:
    fleet = fleet_of(ScriptedProvider())
    tell(fleet, action=Action.BREAK, lane="main", expires_at=instant(NOW + 7))
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: len(fleet.replies) == 1)

    assert fleet.clock.now() >= NOW + 7
    assert state(fleet) is LaneState.PROBING


def test_a_break_that_is_taken_back_opens_the_lane_and_another_holds_it() -> None:
    fleet = fleet_of(ScriptedProvider())
    tell(fleet, action=Action.BREAK, lane="main")
    longer = told(fleet, action=Action.BREAK, lane="main", expires_at=instant(NOW + 5_000))
    fleet.worker.operators.apply([(b"another", longer)])
    first = next_try(fleet)

    fleet.worker.operators.apply([(b"another", None)])
    second, still = next_try(fleet), state(fleet)
    fleet.worker.operators.apply([(KEY, None)])

    assert (first, second, still) == (5_000, 1_000, LaneState.BROKEN)
    assert state(fleet) is LaneState.OPEN


def next_try(fleet: MemoryFleet) -> float:
    """Seconds from now."""
    hold = fleet.lanes["main"].admission.hold
    assert hold is not None
    return round(hold.next_try - fleet.clock.monotonic())


def test_a_resume_leaves_a_lane_broken_that_an_operator_broke() -> None:
    fleet = fleet_of(ScriptedProvider())
    tell(fleet, action=Action.BREAK, lane="main")

    fleet.worker.operators.apply([(b"r", told(fleet, action=Action.RESUME, lane="main"))])

    assert (state(fleet), next_try(fleet)) == (LaneState.BROKEN, 1_000)


class Connecting(ScriptedProvider):
    """Connects for as long as `hold` says, and then asks whether it may send."""

    def __init__(self) -> None:
        super().__init__()
        self.connecting = 0

    async def complete(self, call: ProviderCall) -> Completion:
        self.connecting += 1
        await self.hold.wait()
        if not call.may_send():
            raise CallNotSent
        return await super().complete(call)


async def test_a_call_that_still_connects_when_its_lane_is_paused_is_not_sent() -> None:
    provider = Connecting()
    provider.hold.clear()
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: provider.connecting == 1)

        tell(fleet, lane="main")
        provider.hold.set()
        await fleet.until(lambda: fleet.worker.dispatcher.waiting == 1)
        paused = len(provider.calls)
        fleet.worker.operators.apply([(KEY, None)])
        await fleet.until(lambda: "a" in fleet.replies)

    assert paused == 0
    assert len(fleet.replies["a"].attempts) == 1


async def test_the_source_is_told_which_topics_may_start_no_call() -> None:
    fleet = fleet_of(ScriptedProvider())
    async with fleet:
        tell(fleet, lane="main")
        await fleet.until(lambda: NAMES.jobs("extract", Priority.BULK) in resting(fleet))
        fleet.worker.operators.apply([(KEY, None)])
        await fleet.until(lambda: not resting(fleet))


async def test_a_pause_that_expires_lets_the_lane_go_on() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    tell(fleet, lane="main", expires_at=instant(NOW + 7))
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: len(fleet.replies) == 1)

    assert fleet.clock.now() >= NOW + 7


async def test_jobs_of_a_paused_lane_are_answered_at_their_deadline() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    tell(fleet, lane="main")
    async with fleet:
        await fleet.publish(job("late", seconds=10))
        await fleet.until(lambda: "late" in fleet.replies)

    failure = fleet.replies["late"].failure
    assert provider.calls == []
    assert failure is not None
    assert failure.failure_class is FailureClass.EXPIRED


async def test_a_cancelled_job_that_waits_is_answered_at_once_and_never_called() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(*(job(f"j{n}") for n in range(6)))
        await fleet.until(lambda: len(provider.calls) == 2 and fleet.worker.dispatcher.waiting == 4)
        waiting = {f"j{n}" for n in range(6)} - {c.call_id.split("/")[0] for c in provider.calls}
        gone = sorted(waiting)[:2]

        tell(fleet, jobs=tuple(gone))
        await fleet.until(lambda: len(fleet.replies) == 2)
        early = dict(fleet.replies)
        provider.hold.set()
        await fleet.until(lambda: len(fleet.replies) == 6)

    assert sorted(early) == gone
    assert {reply.status for reply in early.values()} == {"cancelled"}
    assert {r.failure.failure_class for r in early.values() if r.failure} == {"cancelled"}
    assert not any(reply.dead_letter for reply in early.values())
    assert fleet.broker.records(NAMES.dead_letters) == []
    assert len(provider.calls) == 4
    assert fleet.worker.held_bytes == 0


async def test_a_call_of_a_cancelled_job_is_broken_off_and_journaled_as_perhaps_billed() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider, concurrency=1)
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: len(provider.calls) == 1)

        tell(fleet, jobs=("a",))
        await fleet.until(lambda: "a" in fleet.replies)
        in_flight = fleet.lanes["main"].admission.in_flight
        provider.hold.set()
        await fleet.publish(job("b"))
        await fleet.until(lambda: "b" in fleet.replies)

    (attempt,) = fleet.replies["a"].attempts
    assert fleet.replies["a"].status == "cancelled"
    assert (attempt.failure_class, attempt.billed) == (FailureClass.CANCELLED, Billed.UNKNOWN)
    assert [entry.attempt for entry in fleet.journal if entry.job_id == "a"] == [attempt]
    assert in_flight == 0
    assert fleet.replies["b"].status == "completed"
    assert fleet.worker.held_bytes == 0


async def test_a_job_that_waits_for_its_retry_is_cancelled_too() -> None:
    failure = ProviderFailure(failure_class=FailureClass.TRANSIENT, message="a bad moment")
    provider = ScriptedProvider([failure])
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: len(provider.calls) == 1 and fleet.worker.dispatcher.waiting == 1)

        tell(fleet, jobs=("a",))
        await fleet.until(lambda: "a" in fleet.replies)

    assert fleet.replies["a"].status == "cancelled"
    assert len(fleet.replies["a"].attempts) == len(provider.calls) == 1


async def test_jobs_that_come_after_the_command_are_cancelled_while_it_lives() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    tell(fleet, tenant="acme", issued_at=instant(NOW + 1_000))
    async with fleet:
        await fleet.publish(job("a", tenant="acme"), job("b", tenant="other"))
        await fleet.send_on(progress(job("c", tenant="acme")), "main")
        await fleet.until(lambda: len(fleet.replies) == 3)

    statuses = {name: reply.status for name, reply in fleet.replies.items()}
    assert statuses == {"a": "cancelled", "b": "completed", "c": "cancelled"}
    assert len(provider.calls) == 1


async def test_a_call_that_ends_in_a_retry_as_its_job_is_cancelled_is_not_repeated() -> None:
    failure = ProviderFailure(failure_class=FailureClass.RATE_LIMIT, message="slowly")
    provider = ScriptedProvider([failure])
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job("a"))
        writing = fleet.worker.writer.write

        async def cancelled_meanwhile(*what: object) -> object:
            tell(fleet, jobs=("a",))
            return await writing(*what)  # type: ignore[arg-type]  # as it was called

        fleet.worker.writer.write = cancelled_meanwhile  # type: ignore[method-assign,assignment]  # a test in between
        await fleet.until(lambda: "a" in fleet.replies)

    assert fleet.replies["a"].status == "cancelled"
    assert len(provider.calls) == 1


async def test_a_permit_is_given_back_where_a_call_is_cancelled_before_it_began() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider, concurrency=1)
    begin = fleet.worker.start

    def cancelled_at_once(subject: JobProgress, permit: Permit) -> None:
        begin(subject, permit)
        tell(fleet, jobs=("a",))

    fleet.worker.start = cancelled_at_once  # type: ignore[method-assign,assignment]  # a test in between
    async with fleet:
        await fleet.publish(job("a"), job("b"))
        await fleet.until(lambda: len(fleet.replies) == 2)

    statuses = {name: reply.status for name, reply in fleet.replies.items()}
    assert statuses == {"a": "cancelled", "b": "completed"}
    assert len(provider.calls) == 1
    assert fleet.lanes["main"].admission.in_flight == 0


async def test_a_process_that_was_frozen_looks_for_commands_before_it_calls() -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    commands = fleet.worker._parts.commands
    commands.known_until = fleet.clock.boottime()
    async with fleet:
        await fleet.until(lambda: fleet.clock.now() > NOW + 3)
        await fleet.publish(job("a"))
        await fleet.until(lambda: fleet.worker.dispatcher.waiting == 1)
        await fleet.until(lambda: fleet.clock.now() > NOW + 6)
        blind = len(provider.calls)

        commands.known_until = fleet.clock.boottime() + 1_000
        await fleet.until(lambda: "a" in fleet.replies)

    assert blind == 0


async def test_a_lane_that_an_operator_resumes_is_tried_at_once_and_only_then() -> None:
    refused = ProviderFailure(
        failure_class=FailureClass.RATE_LIMIT, message="wait", retry_after=86_400.0
    )
    provider = ScriptedProvider([refused, completion()])
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: fleet.lanes["main"].admission.hold is not None)
        asked = fleet.clock.now()

        tell(fleet, lane="main", action=Action.RESUME)
        await fleet.until(lambda: len(fleet.replies) == 1)
        admission = fleet.lanes["main"].admission
        admission.on_failure(FailureClass.AUTH, None, 0.0)
        fleet.worker.operators.apply([])

    assert fleet.clock.now() - asked < 5.0
    assert admission.hold is not None
