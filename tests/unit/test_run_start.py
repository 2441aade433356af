"""What a run finds out before it starts anything, and how little it says of what it starts."""

import io
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tollway.new_job import NewJob, ReadyJob, ready
from tollway_schemas import TopicNames
from tollway_workers.cli.batch.acknowledged import Acknowledged
from tollway_workers.cli.batch.enqueue import Enqueuer
from tollway_workers.cli.batch.tally import Tally
from tollway_workers.cli.main import app
from tollway_workers.cli.run import fleet as fleet_module
from tollway_workers.cli.run.conduct import Played
from tollway_workers.cli.run.fleet import own_locks
from tollway_workers.cli.run.needed_keys import require_keys
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.report import show_result
from tollway_workers.cli.run.session import Result
from tollway_workers.cli.run.settings import plan_fleet
from tollway_workers.cli.run.sizes import size
from tollway_workers.cli.run.watching.screen import Screen
from tollway_workers.errors import ConfigError, InputError
from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge
from tollway_workers.local.fleet.progress_lines import once_each

_MAIN = "from tollway_workers.cli.entry import main; main()"
_TWO_LANES = """
[kafka]
bootstrap_servers = "127.0.0.1:1"
[providers.a]
base_url = "http://127.0.0.1:1/v1"
api_key = {env = "KEY_A"}
[providers.b]
base_url = "http://127.0.0.1:1/v1"
api_key = {env = "KEY_B"}
[lanes.a]
provider = "a"
model = "m"
concurrency = 1
[lanes.b]
provider = "b"
model = "m"
concurrency = 1
[routes.a]
lanes = ["a"]
[routes.b]
lanes = ["b"]
"""


def options(**given: Any) -> RunOptions:
    ad_hoc = {"base_url": "http://127.0.0.1:1/v1", "model": "m", "concurrency": 1}
    given = given if "config" in given or "simulate" in given else ad_hoc | given
    return RunOptions(source=Path("in.jsonl"), out=Path("out.jsonl"), **given)


def test_a_missing_key_is_found_before_anything_starts() -> None:
    given = options(key_env="NO_SUCH_KEY")

    with pytest.raises(ConfigError) as caught:
        require_keys(given, plan_fleet(given, {}), ["run"], {})

    assert str(caught.value) == (
        "--key-env: environment variable NO_SUCH_KEY is not set: export it, or refer to another; "
        "no call can be made without it"
    )


@pytest.mark.parametrize("environ", [{"KEY": ""}, {"KEY": " \n"}])
def test_an_empty_key_is_none(environ: dict[str, str]) -> None:
    given = options(key_env="KEY")

    with pytest.raises(ConfigError, match="KEY is empty"):
        require_keys(given, plan_fleet(given, {}), ["run"], environ)


def test_only_the_keys_of_the_routes_in_use_are_needed(tmp_path: Path) -> None:
    file = tmp_path / "tollway.toml"
    file.write_text(_TWO_LANES)
    given = options(config=file, workers=1)
    plan = plan_fleet(given, {})

    require_keys(given, plan, ["a"], {"KEY_A": "x"})
    with pytest.raises(ConfigError, match=r"tollway.toml: providers.b.api_key: .* KEY_B is not"):
        require_keys(given, plan, ["a", "b"], {"KEY_A": "x"})


def test_who_brings_no_workers_needs_no_key(tmp_path: Path) -> None:
    file = tmp_path / "tollway.toml"
    file.write_text(_TWO_LANES)

    for more in ({"workers": 0}, {"workers": 1, "simulate": True}):
        given = options(config=file, **more)
        require_keys(given, plan_fleet(given, {}), ["b"], {})


def test_the_command_ends_at_once_where_its_key_is_missing(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("{}\n")
    who = ["--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--concurrency", "1"]
    done = subprocess.run(
        [
            *(sys.executable, "-c", _MAIN, "run", "in.jsonl", "-o", "out.jsonl"),
            *who,
            *("--key-env", "NO_SUCH_KEY"),
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("given", "environ", "most"),
    [
        ({}, {}, 4 << 20),
        ({"simulate": True}, {}, 4 << 20),
        ({"max_job_bytes": 9 << 20}, {}, 9 << 20),
        ({"workers": 1, "bootstrap_servers": "127.0.0.1:1"}, {}, 1 << 20),
        ({"workers": 1}, {"TOLLWAY_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 1 << 20),
    ],
)
def test_jobs_may_be_as_large_as_the_kafka_surely_takes(
    given: dict[str, Any], environ: dict[str, str], most: int
) -> None:
    assert plan_fleet(options(**given), environ).settings.kafka.max_job_bytes == most


@pytest.mark.parametrize(
    ("given", "jobs", "workers"),
    [
        ({}, 1, 1),
        ({}, 500, 1),
        ({}, 501, 2),
        ({"workers": 2}, 1, 2),
        ({"workers": 3}, 1_000, 3),
        ({"workers": 0, "bootstrap_servers": "127.0.0.1:1", "base_url": None}, 1, 0),
    ],
)
def test_a_few_jobs_have_one_worker_unless_the_command_says_how_many(
    given: dict[str, Any], jobs: int, workers: int
) -> None:
    many = {"concurrency": 64} if given.get("base_url", "") is not None else {}
    who = {"model": None, "concurrency": None} if not many else {}

    plan = plan_fleet(options(**many, **who, **given), {})

    assert plan.for_jobs(jobs).workers == workers


def test_the_command_line_says_how_large_jobs_of_a_configuration_may_be(tmp_path: Path) -> None:
    file = tmp_path / "tollway.toml"
    file.write_text(_TWO_LANES)

    plan = plan_fleet(options(config=file, max_job_bytes=size("2M")), {})

    assert plan.settings.kafka.max_job_bytes == 2 << 20


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("4194304", 4 << 20),
        ("4MiB", 4 << 20),
        ("4mb", 4 << 20),
        ("512 k", 512 << 10),
        ("1G", 1 << 30),
    ],
)
def test_sizes_are_written_as_people_write_them(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "MiB", "4.5M", "-1", "4 apples"])
def test_what_is_no_size_says_what_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="such as 4194304 or 4MiB"):
        size(text)


def test_each_kind_of_progress_is_one_line() -> None:
    told: list[str] = []
    tell = once_each(told.append)

    for line in ("downloading: 45 jars", "downloading: 1 of 45", "downloaded: 45", "starting"):
        tell(line)

    assert told == ["downloading: 45 jars", "downloaded: 45", "starting"]


def test_the_end_does_not_say_again_that_it_was_simulated() -> None:
    said = io.StringIO()
    result = Result(
        run_id="r",
        tally=Tally(),
        total=0,
        seconds=1.0,
        stopped=None,
        left=0,
        causes=(),
        played=Played(),
    )

    show_result(Screen(Console(file=said)), options(simulate=True), result)

    assert "SIMULATED" not in said.getvalue()


class _SmallTopics:
    """A sink whose topics take no record."""

    async def send(self, record: OutgoingRecord) -> Any:
        raise RecordTooLarge(f"a record for {record.topic} is too large")


async def test_a_topic_that_takes_no_such_job_is_named_with_what_to_do() -> None:
    made: ReadyJob[Any] = ready(NewJob(id="a", route="run", request="hi"), None, datetime.now(UTC))
    sink: Any = _SmallTopics()
    enqueuer = Enqueuer(sink, TopicNames("tollway"), Acknowledged(0, {}, {}))

    with pytest.raises(InputError) as caught:
        await enqueuer.run([(7, lambda: made)], lambda: False)

    assert str(caught.value).startswith("line 7: topic tollway.jobs.run.bulk takes no job as large")
    assert "tollway topics apply" in str(caught.value)


def test_the_names_of_workers_are_of_signs_that_kafka_takes_whatever_the_host_is_called(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "b\u00fcro-\u00b2")
    monkeypatch.setattr(fleet_module, "runs_folder", lambda: tmp_path)
    plan = plan_fleet(options(simulate=True, workers=1), {})

    with own_locks(plan, plan.settings, "cluster") as locks:
        assert re.fullmatch(r"b-ro---run-[0-9a-f]{8}", locks.name)


def test_a_run_with_a_budget_needs_what_bounds_its_calls(tmp_path: Path) -> None:
    config = tmp_path / "fleet.toml"
    config.write_text(
        '[providers.p]\nbase_url = "http://127.0.0.1/v1"\n'
        '[lanes.l]\nprovider = "p"\nmodel = "m"\nconcurrency = 1\n[routes.r]\nlanes = ["l"]\n'
    )

    with pytest.raises(InputError, match=r"--budget: lanes\.l has no price"):
        plan_fleet(RunOptions(source=Path("a"), out=Path("b"), config=config, budget=1.0), {})
    with pytest.raises(InputError, match="--budget needs the prices"):
        RunOptions(
            source=Path("a"), out=Path("b"), base_url="http://x", model="m", rpm=1, budget=1.0
        ).check()

    simulated = plan_fleet(
        RunOptions(source=Path("a"), out=Path("b"), simulate=True, budget=1.0), {}
    )
    (lane,) = simulated.settings.lanes.values()
    assert lane.max_output_tokens == 4_096


@pytest.mark.parametrize("budget", ["inf", "nan", "0", "1e16"])
def test_a_run_s_budget_is_refused_where_it_is_no_amount(budget: str) -> None:
    said = CliRunner().invoke(app, ["run", "in.jsonl", "-o", "out.jsonl", "--budget", budget])

    assert said.exit_code == 2
    assert "--budget" in said.output
