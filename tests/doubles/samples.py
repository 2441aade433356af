"""Jobs, records and lanes with everything filled in, so that a test names only what it is about."""

from datetime import UTC, datetime
from random import Random
from typing import Any

from tollway_schemas.attempt import Attempt
from tollway_schemas.codec import encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.headers import Headers
from tollway_schemas.job import Job
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.cli.run.identity.state import RunState
from tollway_workers.clock import Clock
from tollway_workers.config.shape.contract import Contract
from tollway_workers.config.shape.fleet import FleetSettings, LaneConfig
from tollway_workers.config.shape.groups import LimitGroup, contract_of
from tollway_workers.config.shape.price import price_list
from tollway_workers.config.shape.provider import LimitSettings
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.progress import JobProgress
from tollway_workers.limits.estimate import TokenCount, text_tokens
from tollway_workers.limits.quota import whole
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.admit import Admission

#: The time of all samples, in seconds since 1970; a ManualClock begins here too.
NOW = 1_700_000_000.0


def job(job_id: str = "job-1", *, seconds: float = 3600.0, **fields: Any) -> Job:
    """A bulk job of the route `extract` whose deadline is `seconds` from NOW."""
    given: dict[str, Any] = {
        "route": "extract",
        "request": ChatRequest(messages=(Message(role="user", content="hello"),)),
        "created_at": datetime.fromtimestamp(NOW, UTC),
        "deadline": datetime.fromtimestamp(NOW + seconds, UTC),
    }
    return Job(id=job_id, **{**given, **fields})


def run_state(**fields: Any) -> RunState:
    """Of a `tollway run` that has asked nothing yet."""
    given: dict[str, Any] = {
        "run": "r",
        "input_sha256": "0" * 64,
        "route": None,
        "cluster": "c",
        "prefix": "tollway",
        "reply_partition": 0,
        "reply_start": 0,
        "reply_offset": 0,
    }
    return RunState(**{**given, **fields})


def record(value: bytes | None, *, offset: int = 0, headers: Headers = ()) -> ReceivedRecord:
    """A record of `tollway.jobs.extract.bulk` that its tracker has started."""
    tracker = OffsetTracker(offset)
    tracker.start(offset)
    return ReceivedRecord(
        "tollway.jobs.extract.bulk", 0, offset, None, value, headers, NOW, tracker
    )


def progress(
    the_job: Job | None = None, *, route: RouteSettings | None = None, headers: Headers = ()
) -> JobProgress:
    """A job that was just read and waits for the lane `main`."""
    the_job = the_job or job()
    return JobProgress(
        job=the_job,
        record=record(encode(the_job), headers=headers),
        route=route or RouteSettings(lanes=("main",)),
        lane="main",
        deadline=the_job.deadline.timestamp(),
        request=the_job.request,
    )


def attempt(number: int = 1, failure_class: FailureClass | None = None, **fields: Any) -> Attempt:
    """A call of the lane `main` that took a second."""
    given: dict[str, Any] = {
        "number": number,
        "lane": "main",
        "provider": "scripted",
        "model": "scripted",
        "started_at": datetime.fromtimestamp(NOW, UTC),
        "latency": 1.0,
        "failure_class": failure_class,
    }
    return Attempt(**{**given, **fields})


def lane(name: str = "main", **fields: Any) -> LaneConfig:
    """A lane without limits, unless they are given by their names in the configuration."""
    limits = {key: fields.pop(key) for key in LimitSettings.model_fields if key in fields}
    given: dict[str, Any] = {
        "name": name,
        "provider_name": "scripted",
        "model": "scripted",
        "limits": LimitSettings(**limits),
        "token_rule": "openai_max",
        "call_timeout": 30.0,
        "connect_timeout": 5.0,
        "max_tokens_field": "max_completion_tokens",
        "structured_output": "json_schema",
        "prices": price_list(fields.pop("price", None), ()),
    }
    return LaneConfig(**{**given, **fields})


def lane_contract(config: LaneConfig) -> Contract:
    """What its provider allows a lane that is a group of its own, of one shard if it says none."""
    name, provider = config.name, config.provider_name
    limits = config.limits.model_dump(exclude_unset=True)
    settings = FleetSettings.model_validate(
        {
            "providers": {
                provider: {"base_url": "http://127.0.0.1/v1", "call_timeout": config.call_timeout}
            },
            "lanes": {name: {"provider": provider, "model": config.model, **limits}},
        }
    )
    shards = config.limits.shards or 1
    group = LimitGroup(name=name, lanes=(name,), shards=shards, ownership_topic=name)
    return contract_of(group, settings)


def admission_of(config: LaneConfig, clock: Clock, count: TokenCount = text_tokens) -> Admission:
    """A lane of which all limits are here, as in a fleet of one worker."""
    quota = whole(lane_contract(config), clock.monotonic())
    return Admission(config, quota.of(config.name), clock, count, Random(1))
