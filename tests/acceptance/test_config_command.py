"""`tollway config` as an operator runs it."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

_COMMAND = "from tollway_workers.cli.config import app; app(prog_name='tollway config')"
_SECRET = "sk-never-shown-0123456789"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def command(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert _SECRET not in done.stdout + done.stderr
        assert "\x1b" not in done.stdout
        return done

    return command


def test_a_new_configuration_checks_and_shows(run: Run) -> None:
    made = run("init")
    without_key = run("check")
    with_key = run("check", OPENAI_API_KEY=_SECRET)
    shown = run("show", OPENAI_API_KEY=_SECRET)

    assert [made.returncode, without_key.returncode, with_key.returncode] == [0, 0, 0]
    assert "warning: lane main: its key cannot be found" in without_key.stdout
    assert "OPENAI_API_KEY is not set" in without_key.stdout
    assert "key found (environment variable OPENAI_API_KEY)" in with_key.stdout
    assert tomllib.loads(shown.stdout)["lanes"]["main"]["call_timeout"] == 120.0


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("--base-url", "http://127.0.0.1:8080/v1"), None),
        (("--base-url", "http://localhost:11434/v1"), None),
        (("--base-url", "http://[::1]:8000/v1"), None),
        (("--base-url", "http://localhost:8080/v1", "--key-env", "MINE"), "MINE"),
        (("--base-url", "https://api.example.com/v1"), "OPENAI_API_KEY"),
        (("--base-url", "https://api.example.com/v1", "--no-key"), None),
        ((), "OPENAI_API_KEY"),
    ],
)
def test_init_asks_for_a_key_where_a_server_will(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], key: str | None
) -> None:
    made = run("init", *arguments)

    written = tomllib.loads((tmp_path / "tollway.toml").read_text(encoding="utf-8"))
    assert written["providers"]["main"].get("api_key") == (None if key is None else {"env": key})
    assert ("export" in made.stdout) == (key is not None)


def test_init_overwrites_only_when_told(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tollway.toml"
    file.write_text("mine", encoding="utf-8")

    refused = run("init")
    kept = file.read_text(encoding="utf-8")
    forced = run("init", "--force", "--base-url", "http://127.0.0.1:1/v1", "--no-key")

    assert (refused.returncode, kept, forced.returncode) == (2, "mine", 0)
    assert "--force" in refused.stderr
    assert "no key asked for" in run("check").stdout


def test_init_refuses_arguments_that_would_not_work(run: Run, tmp_path: Path) -> None:
    done = run("init", "--base-url", "example", "--key-env", _SECRET)

    assert done.returncode == 2
    assert "providers.main.base_url" in done.stderr
    assert "providers.main.api_key.env" in done.stderr
    assert not (tmp_path / "tollway.toml").exists()


def test_without_a_file_the_way_to_one_is_told(run: Run) -> None:
    done = run("check")

    assert done.returncode == 2
    assert "tollway config init" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_mistakes_are_told_to_people_and_machines(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        f'[providers.p]\nbase_url = "https://h"\napi_key = "{_SECRET}"\n[lanes.l]\nprovider = "q"\n'
    )

    for_people = run("check", "--config", "bad.toml")
    for_machines = run("check", "--config", "bad.toml", "--json")
    report = json.loads(for_machines.stdout)

    assert (for_people.returncode, for_machines.returncode) == (2, 2)
    assert "bad.toml: providers.p.api_key: must say where the secret is" in for_people.stderr
    assert report["ok"] is False
    assert {e["key"] for e in report["errors"]} == {"providers.p.api_key", "lanes.l.model"}


def test_the_json_report_holds_warnings_and_keys(run: Run) -> None:
    run("init")

    report = json.loads(run("check", "--json", TOLLWAY_DRAIN_TIMEOUT="60").stdout)

    assert report["ok"] is True
    assert [w["key"] for w in report["warnings"]] == ["lanes.main.call_timeout"]
    assert report["lanes"][0]["missing"].startswith("environment variable OPENAI_API_KEY")
    assert json.loads(run("show", "--json").stdout)["kafka"]["bootstrap_servers"] is None


_COUNTED = """\
[providers.main]
base_url = "http://127.0.0.1:1/v1"
[lanes.main]
provider = "main"
model = "m"
tokens_per_minute = 100000
tokenizer = "tokenizer.json"
[routes.default]
lanes = ["main"]
"""


def test_a_lanes_tokenizer_is_opened(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tollway.toml").write_text(_COUNTED, encoding="utf-8")
    file = tmp_path / "tokenizer.json"

    missing = run("check")
    file.write_text("{}", encoding="utf-8")
    wrong = run("check", "--json")
    file.write_text(_bytes_alone().to_str(), encoding="utf-8")
    right = run("check")
    shown = run("show")

    assert missing.returncode == 2
    assert missing.stderr == (
        "tollway.toml: lanes.main.tokenizer: this file does not exist; "
        "give the path of a model's tokenizer.json on this machine: nothing is downloaded\n"
    )
    assert wrong.returncode == 2
    (mistake,) = json.loads(wrong.stdout)["errors"]
    assert (mistake["source"], mistake["problem"]) == (
        "tollway.toml",
        "this file is no tokenizer.json",
    )
    assert (right.returncode, right.stderr) == (0, "")
    assert "main / m, no key asked for, prompts counted by tokenizer.json" in right.stdout
    assert tomllib.loads(shown.stdout)["lanes"]["main"]["tokenizer"] == "tokenizer.json"


def _bytes_alone() -> Tokenizer:
    """Each byte is a token."""
    alphabet = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer
