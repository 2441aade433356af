"""The watch over a run's fleet, where nobody tells it anything."""

import asyncio

import structlog
from eventually import eventually

from tollway_workers.cli.run.watching.watch import FleetWatch, Sight
from tollway_workers.config.shape.fleet import FleetSettings


async def test_heartbeats_that_cannot_be_read_are_told_of_to_who_debugs_and_end_no_run() -> None:
    settings = FleetSettings.model_validate(
        {
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "providers": {"p": {"base_url": "http://127.0.0.1/v1"}},
            "lanes": {"main": {"provider": "p", "model": "m", "concurrency": 4}},
            "routes": {"a": {"lanes": ["main"]}},
        }
    )
    watch = FleetWatch(settings, None, knows_routes=False)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(watch.run())
        await eventually(lambda: logs)
        assert await watch.look({}) == Sight()
        await watch.stop(running)

    (line,) = logs
    assert (line["log_level"], line["error"]) == ("debug", "BrokerUnavailable")
    assert "heartbeats cannot be read" in line["event"]
