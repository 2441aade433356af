"""What a worker is put together from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tollway_workers.clock import Clock
from tollway_workers.job.ports import RecordSink, RecordSource
from tollway_workers.kafka.consume.relay_loop import Relay
from tollway_workers.kafka.read.one_record import ReplyFinder
from tollway_workers.operators.commands import Commands
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.check import Checks
from tollway_workers.pipeline.exact_cache import ExactCache
from tollway_workers.pipeline.publish import OutcomePublisher
from tollway_workers.pipeline.queue import Fairness
from tollway_workers.pipeline.read import JobReader
from tollway_workers.pipeline.semantic_cache import SemanticCache
from tollway_workers.pipeline.stand_in import StandIns
from tollway_workers.pipeline.stored import StoredAnswers
from tollway_workers.pipeline.sweep import Surroundings
from tollway_workers.telemetry.events import FleetEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a worker is put together from."""

    source: RecordSource
    sink: RecordSink
    relay: Relay
    replies: ReplyFinder
    reader: JobReader
    #: Asked in their order whether a job need not be called.
    checks: Checks
    lanes: Mapping[str, Lane]
    executor: JobExecutor
    publisher: OutcomePublisher
    #: Holds the answers that redriven jobs carry to them.
    stored: StoredAnswers
    #: The answers that are given again, on the routes that want it.
    cache: ExactCache
    #: The answers to similar prompts; None: no route looks for them.
    semantic: SemanticCache | None = None
    events: FleetEvents
    clock: Clock
    #: Bytes of jobs that may be in memory.
    memory_bytes: int
    fairness: Fairness = field(default_factory=Fairness)
    #: What may answer where no lane does.
    stand_ins: StandIns = field(default_factory=StandIns)
    #: What is known of other workers and of what is not read yet.
    surroundings: Surroundings = field(default_factory=Surroundings)
    #: What operators said; others fill it.
    commands: Commands = field(default_factory=Commands)

    @property
    def longest_call(self) -> float:
        """Seconds that a call may take on the slowest of the lanes."""
        return max((lane.config.call_timeout for lane in self.lanes.values()), default=0.0)
