"""What a run remembers, what it refuses, and who may answer it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from samples import run_state

from tollway_workers.cli.batch.output_lines import Ending
from tollway_workers.cli.batch.tally import Progress, Tally
from tollway_workers.cli.run.identity.lane_lock import digests, lane_locks
from tollway_workers.cli.run.identity.resume import Identity
from tollway_workers.cli.run.identity.state import StateFile
from tollway_workers.cli.run.identity.who import Model, Who
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.settings import FleetPlan, plan_fleet
from tollway_workers.cli.run.watching.calls import Calls
from tollway_workers.cli.run.watching.screen import cost_text, duration
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.errors import ConfigError, InputError
from tollway_workers.local.fleet.endpoints import with_bootstrap_servers, with_simulator
from tollway_workers.local.fleet.worker_settings import write_settings

STATE = run_state(run="r1", input_sha256="abc", reply_partition=3, reply_start=10, reply_offset=10)


def options(**given: Any) -> RunOptions:
    return RunOptions(source=Path("in.jsonl"), out=Path("out.jsonl"), **given)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "out.jsonl")
    assert file.read() is None
    further = STATE.with_progress(7, {("t", 0): 5, ("t", 1): 6, ("u", 0): 1}, reply_offset=12)

    file.write(further)

    read = file.read()
    assert read == further
    assert read is not None and read.offsets() == {("t", 0): 5, ("t", 1): 6, ("u", 0): 1}
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl.tollway-state.json"]
    file.delete()
    file.delete()
    assert file.read() is None


def test_a_damaged_state_is_one_sentence(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "out.jsonl")
    file.path.write_text('{"version": 1}')

    with pytest.raises(InputError, match="--fresh"):
        file.read()


def who(model: str = "m", **more: Any) -> Who:
    return Who(models=(Model(base_url="http://h/v1", model=model, key=more.get("key")),))


SIMULATED = Who(models=(Model(base_url="", model="m"),), script="0123456789abcdef")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "other"}, "the input has changed"),
        ({"route": "fast"}, "no --route, now it is --route fast"),
        ({"prefix": "other"}, "topic prefix 'tollway'"),
        (
            {"who": {"run": who("x")}},
            "it holds answers of m at http://h/v1, and now it would get answers of x at",
        ),
        ({"who": {"run": who(key="environment variable K")}}, "with no key, and now .* variable K"),
        ({"who": {"run": SIMULATED}}, "and now it would get SIMULATED answers"),
        ({"who": {}}, "and now it would get answers of a fleet that others run"),
        ({"who": {"fast": who()}}, "answers of m at http://h/v1 to route 'run'"),
    ],
)
def test_a_state_of_another_command_is_refused(change: dict[str, Any], said: str) -> None:
    state = STATE.with_who({"run": who(), "unused": who()}, ["run"])
    same = Identity(sha256="abc", route=None, who={"run": who()}, prefix="tollway", out=Path("out"))
    same.check(state, "c")

    with pytest.raises(InputError, match=said):
        replace(same, **change).check(state)
    with pytest.raises(InputError, match="another Kafka cluster"):
        same.check(state, "other")


def test_simulated_answers_are_not_taken_for_a_models() -> None:
    state = STATE.with_who({"run": SIMULATED}, ["run"])
    real = Identity(sha256="abc", route=None, who={"run": who()}, prefix="tollway", out=Path("out"))

    with pytest.raises(InputError, match=r"it holds SIMULATED answers, and now .* --fresh"):
        real.check(state)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "m"}, "--model needs --base-url"),
        ({"base_url": "http://127.0.0.1/v1"}, "needs --model"),
        ({"base_url": "http://127.0.0.1/v1", "model": "m"}, "needs a limit"),
        ({"base_url": "http://127.0.0.1/v1", "simulate": True}, "exclude each other"),
        ({"config": Path("f"), "model": "m"}, "exclude each other"),
        ({"answers": Path("f")}, "add --simulate"),
        ({"protocol": "anthropic"}, "at --base-url speaks: give both"),
        ({"protocol": "anthropic", "simulate": True}, "at --base-url speaks: give both"),
    ],
)
def test_options_that_cannot_go_together_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        options(**given).check()


def test_results_and_a_summary_do_not_share_stdout() -> None:
    with pytest.raises(InputError, match="both want stdout"):
        RunOptions(source=Path("in"), out=Path("-"), json=True).check()


def test_in_and_out_are_not_one_file() -> None:
    with pytest.raises(InputError, match="same file"):
        RunOptions(source=Path("in"), out=Path("in")).check()


def own(**given: Any) -> FleetPlan:
    known: dict[str, Any] = {"base_url": "http://127.0.0.1:1/v1", "model": "m", "concurrency": 4}
    return plan_fleet(options(**(known | given)), {})


def test_a_lane_named_on_the_command_line_is_a_fleet_of_one_lane() -> None:
    plan = own(key_env="KEY", model="Org/Model:1")

    (name,) = plan.settings.lanes
    lane = plan.settings.lanes[name]
    assert name.startswith("run-org-model-1-")
    assert (plan.route, plan.workers, plan.own_topics) == ("run", 2, True)
    assert [route.name for route in (plan.routes or {}).values()] == [name]
    assert plan.settings.routes[name].lanes == (name,)
    assert (lane.model, lane.concurrency, lane.requests_per_minute) == ("Org/Model:1", 4, None)
    assert str(plan.settings.providers["run"].api_key) == "environment variable KEY"
    assert plan.uses_local_kafka


def test_runs_share_topics_where_the_same_answers_and_nowhere_else() -> None:
    def topics(plan: FleetPlan) -> set[str]:
        return {*plan.settings.lanes, *plan.settings.routes, *plan.settings.limit_groups}

    same = [own(), own(concurrency=9), own(base_url="http://127.0.0.1:1/v1/")]
    simulated: dict[str, Any] = {"base_url": None, "simulate": True}
    others = [
        own(model="n"),
        own(base_url="http://127.0.0.1:2/v1"),
        own(key_env="KEY"),
        own(route="mine"),
        own(**simulated),
        own(**simulated, answers=Path("a")),
    ]

    assert all(topics(plan) == topics(own()) for plan in same)
    found = [frozenset(topics(plan)) for plan in [own(), *others]]
    assert len(set(found)) == len(found)
    assert all(len(name) < 64 for name in frozenset().union(*found))


def test_a_simulator_in_the_place_of_a_configuration_has_topics_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(
        '[providers.p]\nbase_url = "http://h/v1"\n[limit_groups.g]\nrequests_per_minute = 600\n'
        '[lanes.fast]\nprovider = "p"\nmodel = "m"\nconcurrency = 4\nlimit_group = "g"\n'
        '[routes.extract]\nlanes = ["fast"]\n'
    )
    real = plan_fleet(options(config=file), {})

    plan = plan_fleet(options(config=file, simulate=True), {})

    assert (real.own_topics, plan.own_topics) == (False, True)
    assert set(real.settings.routes) == {"extract"}
    assert real.routes is not None and plan.routes is not None
    assert set(real.routes) == set(plan.routes) == {"extract"}
    route = plan.routes["extract"].name
    (lane,) = plan.settings.routes[route].lanes
    assert route.startswith("run-simulated-extract-") and lane.startswith("run-simulated-fast-")
    assert plan.settings.lanes[lane].limit_group in plan.settings.limit_groups
    assert not {"extract", "fast", "g"} & {
        *plan.settings.routes,
        *plan.settings.lanes,
        *plan.settings.limit_groups,
    }


def test_one_call_at_a_time_is_one_worker() -> None:
    assert plan_fleet(options(simulate=True, concurrency=1), {}).workers == 1


def test_nothing_answers_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match="nothing says who answers"):
        plan_fleet(options(), {})


def test_on_a_given_broker_it_only_publishes_and_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    plan = plan_fleet(options(bootstrap_servers="h:1"), {})

    assert (plan.workers, plan.routes, plan.uses_local_kafka) == (0, None, False)
    assert plan_fleet(options(), {"TOLLWAY_BOOTSTRAP_SERVERS": "h:1"}).workers == 0
    with pytest.raises(InputError, match="add --workers"):
        plan_fleet(options(bootstrap_servers="h:1", simulate=True), {})
    assert plan_fleet(options(bootstrap_servers="h:1", simulate=True, workers=1), {}).workers == 1


def test_a_route_that_the_configuration_lacks_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    write_settings(plan_fleet(options(simulate=True), {}).settings, file)

    with pytest.raises(InputError, match="no route 'fast'; the configuration has: run-simulated-"):
        plan_fleet(options(config=file, route="fast"), {})


def test_workers_read_the_settings_as_they_were_written(tmp_path: Path) -> None:
    settings = plan_fleet(options(simulate=True, concurrency=3), {}).settings
    settings = with_simulator(with_bootstrap_servers(settings, "h:1"), "http://127.0.0.1:5/v1")
    file = tmp_path / "fleet.toml"

    write_settings(settings, file)
    read = load_fleet(file, environ={})

    assert (read.kafka, read.lanes, read.routes) == (
        settings.kafka,
        settings.lanes,
        settings.routes,
    )
    assert read.providers == settings.providers
    assert read.telemetry.port == 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_mistake_on_the_command_line_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        plan_fleet(options(base_url="nowhere", model="m", concurrency=1), {})


def test_runs_share_a_route_only_with_equal_lanes(tmp_path: Path) -> None:
    first = {"run": "digest-1"}

    with lane_locks(tmp_path, "c", "p", first, "n") as locks:
        assert not locks.shared
        with lane_locks(tmp_path, "c", "p", first, "n") as again:
            assert again.shared
            assert not locks.alone()
        assert locks.alone()
        with (
            pytest.raises(InputError, match="with other limits"),
            lane_locks(tmp_path, "c", "p", {"run": "digest-2"}, "n"),
        ):
            pass
        with lane_locks(tmp_path, "c", "other", {"run": "digest-2"}, "n") as elsewhere:
            assert not elsewhere.shared
    with lane_locks(tmp_path, "c", "p", {"run": "digest-2"}, "n") as later:
        assert not later.shared


def test_limits_of_one_model_are_not_spent_twice_by_two_names_of_a_route() -> None:
    (one,), (two,) = digests(own()), digests(own(route="mine"))
    assert one == two
    assert digests(own()) == digests(own()) != digests(own(route="mine"))
    assert digests(own()) != digests(own(concurrency=9))
    assert set(digests(own(model="n"))) != {one}


def test_a_simulators_address_is_no_difference_of_lanes() -> None:
    plan = own(base_url=None, simulate=True)
    one, two = (
        replace(plan, settings=with_simulator(plan.settings, f"http://127.0.0.1:{port}/v1"))
        for port in (1, 2)
    )

    assert digests(one) == digests(two)


def ending(**fields: Any) -> Ending:
    known: dict[str, Any] = {
        "line": 1,
        "generation": 1,
        "answered": True,
        "dead_letter": False,
        "calls": Calls(total=1),
        "input_tokens": 5,
        "output_tokens": 2,
        "cost": 10**12,
    }
    return Ending(**(known | fields))


def test_a_cost_that_is_not_known_is_never_zero() -> None:
    known = Tally() + ending()

    assert cost_text(known) == "$1.0000"
    assert cost_text(known + ending(cost=None)) == "at least $1.0000 (1 jobs of unknown cost)"
    assert cost_text(Tally() + ending(cost=None)) == "unknown (no prices)"


def test_time_left_counts_this_process_only() -> None:
    tally = Tally() + ending() + ending() + ending(answered=False)

    progress = Progress(total=10, tally=tally, done=3, resumed=1, in_flight=None, elapsed=4.0)

    assert (progress.rate, progress.seconds_left) == (0.5, 14.0)
    assert [duration(each) for each in (1.24, 64, 7500)] == ["1.2 s", "1 m 04 s", "2 h 05 m"]
