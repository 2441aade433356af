"""`tollway run --budget`: the run ends within it, and says which lines it had nothing left for."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from run_command import Start, good_line, results

from tollway_schemas.usage import pico_usd
from tollway_workers.local.simulator.server import Simulator

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

BUDGET = Decimal("0.0006")
LINES = 400
#: Pico-USD that a call claims at most: the last one's is not spent.
CLAIM = 300 * 200_000 + 64 * 600_000
FLEET = """
[providers.p]
base_url = "{url}"
[lanes.l]
provider = "p"
model = "m"
concurrency = 16
max_output_tokens = 64
tool_tokens = 50
price = {{input = 0.15, output = 0.60}}
[routes.any]
lanes = ["l"]
"""


async def test_a_run_spends_its_budget_and_no_more_and_names_it_in_each_line_that_is_left(
    start: Start, simulator: Simulator, tmp_path: Path
) -> None:
    config, source, out = (tmp_path / name for name in ("fleet.toml", "in.jsonl", "out.jsonl"))
    config.write_text(FLEET.format(url=simulator.base_url))
    source.write_text("".join(good_line(number) for number in range(LINES)))

    given = ("--config", config, "--budget", BUDGET, "--workers", "1")
    run = await start(source, "-o", out, *given, answering=False)
    status, _, said = await run.end()

    found = results(out)
    spent = sum(call.cost_pico_usd for call in simulator.calls if call.billed)
    failed = [json.dumps(each) for each in found if "budget_exceeded" in json.dumps(each)]
    assert len({each["custom_id"] for each in found}) == LINES, said
    assert 0 < len(failed) < LINES, spent
    assert all("budget of the run ($0.000600" in each for each in failed)
    assert pico_usd(BUDGET) - CLAIM <= spent <= pico_usd(BUDGET)
    assert status == 1
