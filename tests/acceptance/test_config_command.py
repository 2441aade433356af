"""`tollway config` as an operator runs it."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from in_process import run_here
from tiny_onnx import write_model
from tokenizers import Tokenizer, models, pre_tokenizers

_SECRET = "sk-never-shown-0123456789"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`tollway config`, in this process."""

    def command(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        home = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        done = run_here(("config", *arguments), tmp_path, home | environ)
        return _checked(done.returncode, done.stdout.decode(), done.stderr.decode())

    return command


@pytest.fixture
def run_process(tmp_path: Path) -> Run:
    """`tollway config`, as a process: it imports what a test writes, or sets up its log."""

    def command(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "tollway_workers.cli.entry", "config", *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return _checked(done.returncode, done.stdout, done.stderr)

    return command


def _checked(status: int, stdout: str, stderr: str) -> "subprocess.CompletedProcess[str]":
    assert "Traceback" not in stderr
    assert _SECRET not in stdout + stderr
    assert "\x1b" not in stdout
    return subprocess.CompletedProcess((), status, stdout, stderr)


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


@pytest.mark.slow
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


@pytest.mark.parametrize(("setting", "parameters"), [("check", "answer, job"), ("rule", "job")])
@pytest.mark.slow
def test_what_a_route_names_is_imported(
    run_process: Run, tmp_path: Path, setting: str, parameters: str
) -> None:
    run_process("init", "--base-url", "http://127.0.0.1:8080/v1")
    file = tmp_path / "tollway.toml"
    route = next(name for name in tomllib.loads(file.read_text())["routes"])
    begins = f"[routes.{route}]\n"
    file.write_text(file.read_text().replace(begins, f'{begins}{setting} = "shop.own:code"\n'))

    missing = run_process("check")
    module = tmp_path / "shop" / "own.py"
    module.parent.mkdir()
    module.write_text(f"def code({parameters}):\n    return None\n")
    found = run_process("check", PYTHONPATH=str(tmp_path))
    module.write_text("raise SystemExit(0)\n")
    exits = run_process("check", PYTHONPATH=str(tmp_path))
    module.write_text("def code():\n    return None\n")
    short = run_process("check", PYTHONPATH=str(tmp_path))

    told = (missing, found, exits, short)
    assert [each.returncode for each in told] == [2, 0, 2, 2]
    named = f"routes.{route}.{setting}: 'shop.own:code' "
    assert f"{named}cannot be imported (no module 'shop')" in missing.stderr
    assert f"{named}cannot be imported (SystemExit)" in exits.stderr
    assert f"{named}does not take the " in short.stderr
    assert all(len(each.stderr.splitlines()) == 1 for each in told if each is not found)


@pytest.mark.slow
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


_SIMILAR = """
[embedders.local]
folder = "model"
[embedders.far]
provider = "main"
model = "v"
"""


@pytest.mark.slow
def test_embedders_have_their_model_opened_and_their_key_looked_for(
    run: Run, tmp_path: Path
) -> None:
    run("init")
    file = tmp_path / "tollway.toml"
    file.write_text(file.read_text() + _SIMILAR)

    missing = run("check")
    write_model(tmp_path / "model")
    right = run("check")
    report = json.loads(run("check", "--json", OPENAI_API_KEY=_SECRET).stdout)

    assert missing.returncode == 2
    assert missing.stderr == (
        "tollway.toml: embedders.local.folder: is no folder on this machine; give the folder of an "
        "ONNX model on this machine: nothing is downloaded\n"
    )
    assert (right.returncode, right.stderr) == (0, "")
    assert "embedder local: the model in model" in right.stdout
    assert "warning: embedder far: its key cannot be found: environment variable" in right.stdout
    assert [each["missing"] for each in report["embedders"]] == [None]


def _bytes_alone() -> Tokenizer:
    """Each byte is a token."""
    alphabet = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


@contextmanager
def _server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An API below /v1 that knows `max_tokens` alone and refuses the model `secret`; a page
    everywhere else. Its address, and the bodies that it was sent.
    """
    sent: list[dict[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            sent.append(body)
            status, said = _said(self.path, body)
            self.send_response(status)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """Not to the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", sent
        finally:
            server.shutdown()
            thread.join()


def _said(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    if path != "/v1/chat/completions":
        return 200, b"<!doctype html><title>Gateway</title>"
    if body["model"] == "secret":
        return 403, b'{"error": {"message": "Model secret isn\'t yours.", "code": "denied"}}'
    if "max_completion_tokens" in body:
        return 400, b'{"error": "unknown field max_completion_tokens"}'
    choice = b'{"message": {"content": "yes"}, "finish_reason": "length"}'
    return 200, b'{"choices": [' + choice + b'], "usage": {"prompt_tokens": 9}}'


def _asked(base_url: str, *models: str) -> str:
    lanes = "".join(
        f'[lanes.{model}]\nprovider = "p"\nmodel = "{model}"\nconcurrency = 1\n' for model in models
    )
    names = json.dumps(list(models))
    routes = f"[routes.r]\nlanes = {names[: names.find(',')] + ']' if ',' in names else names}\n"
    return f'[providers.p]\nbase_url = "{base_url}"\n{lanes}{routes}'


def test_each_lane_s_provider_can_be_called_once(run_process: Run, tmp_path: Path) -> None:
    with _server() as (address, sent):
        (tmp_path / "tollway.toml").write_text(_asked(f"{address}/v1", "good"))
        good = run_process("check", "--call")
        (tmp_path / "tollway.toml").write_text(_asked(f"{address}/v1", "good", "secret"))
        refused = run_process("check", "--call", "--json")
        (tmp_path / "tollway.toml").write_text(_asked(address, "good"))
        wrong = run_process("check", "--call")
    (tmp_path / "tollway.toml").write_text(_asked(address, "good"))
    nobody = run_process("check", "--call")

    assert (good.returncode, good.stderr) == (0, "")
    assert "calling 1 lane(s) once each" in good.stdout
    assert "lane good: answers (" in good.stdout
    assert [body.get("max_tokens") for body in sent[:2]] == [None, 16]
    assert refused.returncode == 1
    calls = {call["lane"]: call for call in json.loads(refused.stdout)["calls"]}
    assert (calls["good"]["answers"], calls["secret"]["answers"]) == (True, False)
    assert "Model secret isn't yours." in calls["secret"]["said"]
    assert wrong.returncode == 1
    assert (
        "lane good: does not answer: this does not look like the API of the provider's protocol: "
        in (wrong.stdout)
    )
    assert "Gateway" in wrong.stdout
    assert (nobody.returncode, "does not answer: no connection" in nobody.stdout) == (1, True)


def test_a_key_file_that_others_may_write_is_warned_of(run: Run, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(_SECRET)
    key.chmod(0o666)
    tmp_path.chmod(0o700)
    (tmp_path / "tollway.toml").write_text(
        "[providers.p]\nbase_url = 'https://h/v1'\napi_key = {file = 'key'}\n"
        "[lanes.l]\nprovider = 'p'\nmodel = 'm'\nconcurrency = 2\n"
        "price = {input = 1.0, output = 2.0}\n"
        "[routes.r]\nlanes = ['l']\n"
    )

    said = run("check").stdout
    told = json.loads(run("check", "--json").stdout)["warnings"]

    assert f"providers.p.api_key: other users may write {key}; let this user alone write" in said
    assert [each["key"] for each in told] == ["providers.p.api_key"] * 2
