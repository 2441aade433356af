"""The frame of the command line: help, version, and errors as one sentence."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from size import slow_but
from typer.testing import CliRunner

from tollway_workers.cli.lazy import LazyCommand
from tollway_workers.cli.main import COMMANDS, app

Tollway = Callable[..., "subprocess.CompletedProcess[str]"]

_MAIN = "from tollway_workers.cli.entry import main; main()"


@pytest.fixture
def tollway(tmp_path: Path) -> Tollway:
    """Run the command; `before` is Python to be run first."""

    def run(*arguments: str, before: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", f"import sys\n{before}\n{_MAIN}", *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def test_help_lists_every_command_and_has_examples(tollway: Tollway) -> None:
    done = tollway("--help")

    assert done.returncode == 0
    assert "LLM jobs on Kafka" in done.stdout
    assert all(command.name in done.stdout for command in COMMANDS)
    assert "tollway run jobs.jsonl -o results.jsonl --simulate" in done.stdout
    assert "\x1b" not in done.stdout


def test_help_loads_no_command(tollway: Tollway) -> None:
    heavy = ("pydantic", "aiokafka", "httpx", "aiohttp")
    before = "import atexit\n" + "\n".join(
        f"atexit.register(lambda: print('{name}', '{name}' in sys.modules))" for name in heavy
    )

    done = tollway("--help", before=before)

    assert [f"{name} False" in done.stdout for name in heavy] == [True] * len(heavy)


def test_version(tollway: Tollway) -> None:
    done = tollway("--version")

    assert (done.returncode, done.stdout.split()[0]) == (0, "tollway")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_can_be_loaded(command: LazyCommand) -> None:
    done = CliRunner().invoke(app, [command.name, "--help"])

    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{command.name} " in done.stdout


# A command that needs what only another one imports can be loaded behind it, and not alone.
@pytest.mark.parametrize("name", slow_but(("run", "worker"), [each.name for each in COMMANDS]))
def test_every_command_can_be_loaded_alone(tollway: Tollway, name: str) -> None:
    done = tollway(name, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"{name} " in done.stdout


def test_without_the_workers_the_command_says_how_to_install_them(tollway: Tollway) -> None:
    done = tollway("--help", before="sys.modules['typer'] = None")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'tollway[workers]'" in done.stderr


def test_an_error_is_one_sentence_and_debug_shows_where(tollway: Tollway) -> None:
    arguments = ("run", "none.jsonl", "-o", "out.jsonl", "--simulate", "--dry-run")

    plain, debug = tollway(*arguments), tollway("--debug", *arguments)

    assert plain.returncode == 2
    assert plain.stderr == "tollway: none.jsonl cannot be read: No such file or directory\n"
    assert "Traceback" in debug.stderr


def test_an_unexpected_exception_is_shown_as_types_and_frames_and_its_text_with_debug_alone(
    tollway: Tollway,
) -> None:
    before = (
        "import tollway_workers.cli.main as m\n"
        "def app(**told):\n    raise RuntimeError('the prompt of a patient')\n"
        "m.app = app"
    )

    plain, debug = tollway("x", before=before), tollway("--debug", "x", before=before)

    assert (plain.returncode, debug.returncode) == (1, 1)
    assert plain.stderr.startswith("RuntimeError\n")
    assert "tollway_workers/cli/entry.py:" in plain.stderr
    assert " in app\n" in plain.stderr
    assert "patient" not in plain.stderr
    assert "the prompt of a patient" in debug.stderr


def test_what_a_stranger_wrote_in_a_mistake_moves_no_cursor(tollway: Tollway) -> None:
    before = (
        "import tollway_workers.cli.main as m\n"
        "from tollway_schemas import TollwayError\n"
        "def app(**told):\n    raise TollwayError('route a\\x1b[2Jb: is gone')\n"
        "m.app = app"
    )

    done = tollway("x", before=before)

    assert done.stderr == "tollway: route a\\u001b[2Jb: is gone\n"


def test_a_command_that_does_not_exist_is_a_mistake(tollway: Tollway) -> None:
    done = tollway("simulato")

    assert done.returncode == 2
    assert "Did you mean 'simulator'?" in done.stderr


def test_a_reader_that_leaves_is_no_error(tollway: Tollway) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m tollway_workers.cli.entry --help | head -1'],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.stderr == ""
