"""`tollway run --dry-run`: what it finds without a call."""

from io import BytesIO
from typing import Any

import orjson

from tollway_workers.cli.batch.batch import BatchReader, BatchRules
from tollway_workers.cli.batch.file import BatchFile
from tollway_workers.cli.run.dry_run import Estimate, estimate
from tollway_workers.cli.run.identity.who import Who
from tollway_workers.cli.run.settings import FleetPlan, PlannedRoute
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.fleet import FleetSettings


def fleet(*protocols: str) -> FleetSettings:
    providers = {each: {"base_url": "https://a.example/v1", "protocol": each} for each in protocols}
    lanes = {
        each: {"provider": each, "model": "m", "concurrency": 1, "price": {"input": 1, "output": 1}}
        for each in protocols
    }
    routes = {"r": {"lanes": list(protocols)}}
    given = {"providers": providers, "lanes": lanes, "routes": routes}
    return build_fleet(given, source="a test", environ={}, overrides={})


def found(settings: FleetSettings, *bodies: dict[str, Any]) -> Estimate:
    asked = {"model": "r", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    lines = [
        {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions"}
        | {"body": asked | body}
        for number, body in enumerate(bodies)
    ]
    plan = FleetPlan(
        settings=settings,
        route=None,
        routes={"r": PlannedRoute(name="r", who=Who(models=()))},
        own_topics=False,
        workers=1,
        simulated=False,
    )
    rules = BatchRules(route=None, routes={"r": "r"}, max_job_bytes=100_000)
    file = BatchFile(BytesIO(b"\n".join(map(orjson.dumps, lines))), 100_000)
    return estimate(BatchReader(file, rules, lambda _: None), plan, now=0.0)


def test_lines_that_no_lane_can_say_are_told_before_they_are_dead_letters() -> None:
    both = found(fleet("anthropic", "openai"), {}, {"seed": 1})
    alone = found(fleet("anthropic", "responses"), {}, {"seed": 1})

    assert both.inexpressible == ()
    assert alone.jobs == 2
    [unsaid] = alone.inexpressible
    assert (unsaid.line, unsaid.message) == (
        2,
        "lane anthropic (anthropic): request.seed: Anthropic has none; "
        "lane responses (responses): request.seed: Responses have none",
    )
    assert alone.cost is not None
    assert both.cost == 2 * alone.cost
