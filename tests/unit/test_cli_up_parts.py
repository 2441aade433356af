import json
from pathlib import Path

import pytest

from tollway_workers.cli.up.figures import FleetFigures
from tollway_workers.cli.up.fleet import plan_up
from tollway_workers.cli.up.log import LogFollower, log_line
from tollway_workers.errors import ConfigError
from tollway_workers.local.fleet.worker_look import WorkerLook
from tollway_workers.local.simulator import SimulatorOptions

METRICS = """\
# TYPE tollway_jobs_total counter
tollway_jobs_total{{outcome="completed",route="a"}} {done}
tollway_jobs_total{{outcome="completed",route="b"}} 1.0
tollway_jobs_total{{outcome="dead_lettered",route="a"}} 2.0
# TYPE gen_ai_client_token_usage_tokens histogram
gen_ai_client_token_usage_tokens_count{{gen_ai_token_type="input"}} 3.0
gen_ai_client_token_usage_tokens_sum{{gen_ai_token_type="input"}} 300.0
gen_ai_client_token_usage_tokens_sum{{gen_ai_token_type="output"}} 40.0
# TYPE tollway_cost_usd_total counter
tollway_cost_usd_total{{lane="x"}} 0.25
# TYPE tollway_calls_in_flight gauge
tollway_calls_in_flight{{lane="x"}} 4.0
# TYPE tollway_lane_state gauge
tollway_lane_state{{lane="x",state="{state}"}} 1.0
"""


def look(
    done: int, *, pid: int = 1, ready: bool = True, state: str = "open", text: bool = True
) -> WorkerLook:
    metrics = METRICS.format(done=float(done), state=state) if text else None
    return WorkerLook(slot=0, pid=pid, is_ready=ready, metrics=metrics)


def test_figures_are_summed_over_labels() -> None:
    (figures,) = FleetFigures().update([look(4)], now=0)

    assert (figures.completed, figures.dead_lettered, figures.done) == (5, 2, 7)
    assert (figures.input_tokens, figures.output_tokens) == (300, 40)
    assert (figures.cost, figures.in_flight) == (0.25, 4)


def test_a_restarted_worker_goes_on_from_what_its_predecessors_did() -> None:
    fleet = FleetFigures()
    fleet.update([look(4)], now=0)
    (dead,) = fleet.update([look(0, pid=2, text=False)], now=1)
    (restarted,) = fleet.update([look(6, pid=2)], now=2)
    (again,) = fleet.update([look(6, pid=2)], now=3)

    assert dead.completed == 5
    assert restarted.completed == again.completed == 12
    assert again.cost == 0.5


def test_jobs_per_second_are_those_of_the_last_seconds() -> None:
    fleet = FleetFigures()
    for second in range(40):
        fleet.update([look(min(second, 35) * 10)], now=second)

    assert fleet.jobs_per_second == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (look(0), "ready"),
        (look(0, state="parked"), "lane parked"),
        (look(0, state="broken"), "lane broken"),
        (look(0, state="retired"), "ready"),
        (look(0, ready=False), "joining"),
        (look(0, text=False), "starting"),
    ],
)
def test_a_workers_state_is_one_word(seen: WorkerLook, state: str) -> None:
    (figures,) = FleetFigures().update([seen], now=0)

    assert figures.state == state


def test_a_log_line_is_short_and_safe() -> None:
    line = {"event": "lane parked\x1b[2J", "level": "warning", "lane": "x", "n": 2}
    line["timestamp"] = "2026-01-01T10:11:12.345Z"

    shown = log_line(json.dumps(line).encode())

    assert shown == "10:11:12 warning lane parked\\u001b[2J lane=x n=2"


def test_a_line_that_is_no_log_is_shown_as_it_is() -> None:
    assert log_line(b"Traceback \xff\x1b") == "Traceback \ufffd\\u001b"
    assert log_line(b"[1]") == "[1]"


def test_a_log_is_told_line_by_line_however_it_is_written(tmp_path: Path) -> None:
    told: list[str] = []
    file = tmp_path / "log"
    follower = LogFollower(file, told.append)

    follower.catch_up()
    for written in (b"one\ntw", b"o\n\n", b"three"):
        with file.open("ab") as log:
            log.write(written)
        follower.catch_up()

    assert told == ["one", "two"]


def test_without_a_configuration_there_is_a_demo_fleet_with_a_simulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    plan = plan_up(None, environ={}, simulate=False, simulator=SimulatorOptions(), workers=2)

    assert plan.simulator is not None
    assert sorted(plan.settings.routes) == ["demo", "extract"]
    assert plan.settings.kafka.bootstrap_servers is None


def test_a_configuration_keeps_its_providers_unless_they_are_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tollway.toml").write_text(
        '[providers.p]\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[lanes.l]\nprovider = "p"\nmodel = "m"\nconcurrency = 2\n[routes.r]\nlanes = ["l"]\n'
    )
    options = SimulatorOptions()

    given = plan_up(None, environ={}, simulate=False, simulator=options, workers=2)
    simulated = plan_up(None, environ={}, simulate=True, simulator=options, workers=2)

    assert given.simulator is None
    assert simulated.simulator is options
    with pytest.raises(ConfigError, match="does not exist"):
        plan_up(Path("no.toml"), environ={}, simulate=False, simulator=options, workers=2)
