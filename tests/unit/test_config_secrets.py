"""Secrets are found where their reference says, and are in no message."""

import sys
from pathlib import Path

import pytest

from tollway_workers.config.load.secrets import resolve
from tollway_workers.config.shape.secret import SecretReference
from tollway_workers.errors import ConfigError

_SECRET = "hunter2-and-more"


def _python(code: str) -> SecretReference:
    return SecretReference(command=(sys.executable, "-c", code))


def test_a_secret_comes_from_a_variable() -> None:
    secret = resolve(SecretReference(env="KEY"), environ={"KEY": _SECRET})

    assert secret.get_secret_value() == _SECRET
    assert _SECRET not in repr(secret)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_comes_from_a_file_without_its_last_line_break(
    ending: str, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_bytes(f"{_SECRET}{ending}".encode())

    secret = resolve(SecretReference(file=str(file)), environ={})

    assert secret.get_secret_value() == _SECRET


def test_a_secret_comes_from_a_command_that_sees_the_environment() -> None:
    reference = _python("import os; print(os.environ['SOURCE'])")

    assert resolve(reference, environ={"SOURCE": _SECRET}).get_secret_value() == _SECRET


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "KEY is not set"), ("", "is empty"), (" \n", "is empty"), ("a\nb", "line break")],
)
def test_a_variable_that_holds_no_secret_is_named(value: str | None, words: str) -> None:
    environ = {} if value is None else {"KEY": value}

    with pytest.raises(ConfigError, match=f"environment variable KEY.*{words}|{words}"):
        resolve(SecretReference(env="KEY"), environ=environ)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x" * 70_000, "larger than 64 KiB"),
        (b"\xff" + _SECRET.encode(), "not UTF-8"),
        (_SECRET.encode() + b"\nmore\n", "line break"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=words) as caught:
        resolve(SecretReference(file=str(file)), environ={})

    assert str(file) in str(caught.value)
    assert _SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/key", "a\0b", "."])
def test_a_file_that_cannot_be_one_is_a_config_error(name: str) -> None:
    with pytest.raises(ConfigError):
        resolve(SecretReference(file=name), environ={})


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (f"print('{_SECRET}'); raise SystemExit(3)", "ended with status 3"),
        ("pass", "is empty"),
        (f"import sys; sys.stderr.write('{_SECRET}')", "is empty"),
        ("while True: print('x' * 1000)", "more than 64 KiB"),
        (r"import sys; sys.stdout.buffer.write(b'\xff')", "UTF-8"),
        (f"print('{_SECRET}\\nmore')", "line break"),
    ],
)
def test_a_command_that_gives_no_secret_is_named_without_its_output(code: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        resolve(_python(code), environ={})

    assert f"command {sys.executable}" in str(caught.value)
    assert _SECRET not in str(caught.value)


@pytest.mark.parametrize("finished_printing", [False, True])
def test_a_command_that_does_not_end_is_ended(finished_printing: bool) -> None:
    close = "import os; os.close(1); " if finished_printing else ""

    with pytest.raises(ConfigError, match=r"did not end within 0\.3 seconds"):
        resolve(_python(f"{close}import time; time.sleep(60)"), environ={}, timeout=0.3)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/no/such/program",), "is not installed"),
        (("a\0b",), "cannot be started"),
        (("/",), "cannot be started"),
    ],
)
def test_a_command_that_cannot_start_is_named(command: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(SecretReference(command=command), environ={})
