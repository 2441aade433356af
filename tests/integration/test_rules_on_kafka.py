"""A route's rule in a worker process on a real Kafka: its answers are replies like any others."""

import signal
from pathlib import Path

import pytest
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_jobs

from tollway_schemas.attempt import JournalRecord
from tollway_schemas.codec import decode
from tollway_schemas.failure import FailureClass
from tollway_schemas.provenance import Provenance
from tollway_workers.local.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.kafka

_RULES = """
def answer(job):
    if job.id.endswith("3"):
        raise SystemExit("no answer")
    if job.id.endswith("7"):
        return None
    return {"job": job.id}
"""


async def _fleet(base_url: str, live_fleet: OpenFleet, rule: str) -> LiveFleet:
    return await live_fleet(base_url, routes={"extract": {"rule": rule}})


async def test_jobs_that_take_the_rule_alone_are_answered_without_a_call(
    live_fleet: OpenFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_rules.py").write_text(_RULES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    only_rule = fresh_jobs(20, accept=(Provenance.RULE,))
    any_answer = fresh_jobs(25, first=20)
    async with Simulator(SimulatorOptions()) as simulator:
        fleet = await _fleet(simulator.base_url, live_fleet, "shop_rules:answer")
        await fleet.publish(*only_rule, *any_answer)
        async with fleet.workers("one") as (worker,):
            replies = by_job(await fleet.until_answered(25))
            lines = await fleet.until_records(fleet.names.journal, 16 + 5)
        told = await fleet.tollway("journal", "job-0001")
        called = {call.job_id for call in simulator.calls}

    assert worker.returncode in (0, -signal.SIGTERM)
    unanswered = {name for name, reply in replies.items() if reply.failure is not None}
    assert unanswered == {"job-0003", "job-0007", "job-0013", "job-0017"}
    assert {replies[name].failure.failure_class for name in unanswered} == {  # type: ignore[union-attr]  # each has one
        FailureClass.INVALID_JOB
    }
    by_rule = {name for name, reply in replies.items() if reply.provenance is Provenance.RULE}
    assert by_rule == {each.id for each in only_rule} - unanswered
    assert replies["job-0001"].answer is not None
    assert replies["job-0001"].answer.text == '{"job": "job-0001"}'
    assert called == {each.id for each in any_answer}
    journal = [decode(JournalRecord, line.value) for line in lines]
    assert {each.job_id for each in journal if each.provenance is Provenance.RULE} == by_rule
    assert "answer without a call (rule)" in told


async def test_a_rule_that_cannot_be_imported_stops_a_worker_at_its_start_in_one_sentence(
    live_fleet: OpenFleet,
) -> None:
    fleet = await _fleet("http://127.0.0.1:9/v1", live_fleet, "nowhere.rules:answer")

    worker = await fleet.worker()
    assert await worker.wait() == 2

    said = fleet.log().read_text()
    assert "routes.extract.rule: 'nowhere.rules:answer' cannot be imported" in said
    assert "Traceback" not in said
