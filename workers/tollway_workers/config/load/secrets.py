"""Fetches a secret from where its reference says it is. Its value is in no message."""

import os
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from tollway_workers.config.load.files import UnreadableFile, read_small_text
from tollway_workers.config.shape.secret import SecretReference
from tollway_workers.errors import ConfigError

#: Keys have some hundred characters, tokens and certificates some thousand.
MOST_BYTES = 64 * 1024
#: Seconds that a command may take, a person's confirmation not included.
COMMAND_TIMEOUT = 10.0


def resolve(
    reference: SecretReference,
    *,
    environ: Mapping[str, str] | None = None,
    timeout: float = COMMAND_TIMEOUT,
) -> SecretStr:
    """The secret that `reference` points to, without its last line break.

    `environ` is the process's own unless given. Raises ConfigError with one sentence that names
    the reference: missing, empty, too large, or a command that fails. Blocks for up to `timeout`
    seconds where it is a command.
    """
    environ = os.environ if environ is None else environ
    if reference.env is not None:
        text = _from_environment(reference, environ)
    elif reference.file is not None:
        text = _from_file(reference)
    else:
        text = _from_command(reference, environ, timeout)
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret.strip():
        raise _unusable(reference, "is empty")
    if not secret.isprintable():
        raise _unusable(reference, "holds a line break or another control character")
    return SecretStr(secret)


def _unusable(reference: SecretReference, reason: str) -> ConfigError:
    return ConfigError(f"{reference} {reason}, so the secret that it should hold cannot be used")


def _from_environment(reference: SecretReference, environ: Mapping[str, str]) -> str:
    try:
        return environ[reference.env or ""]
    except KeyError:
        raise ConfigError(f"{reference} is not set: export it, or refer to another") from None


def _from_file(reference: SecretReference) -> str:
    try:
        path = Path(reference.file or "").expanduser()
        return read_small_text(path, most_bytes=MOST_BYTES)
    except UnreadableFile as error:
        raise _unusable(reference, str(error)) from None
    except RuntimeError:
        raise _unusable(reference, "is in the home folder of a user who has none") from None


def _from_command(reference: SecretReference, environ: Mapping[str, str], timeout: float) -> str:
    try:
        # The operator's own program, without a shell; what it says on stderr may be secret too.
        with subprocess.Popen(  # noqa: S603 - running it is what the setting asks for
            reference.command or (),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            return _output(reference, process, timeout)
    except FileNotFoundError:
        raise _unusable(reference, "is not installed") from None
    except (OSError, ValueError):
        raise _unusable(reference, "cannot be started") from None


def _output(reference: SecretReference, process: "subprocess.Popen[bytes]", timeout: float) -> str:
    """What the process prints, once it has ended well within the timeout."""
    deadline = time.monotonic() + timeout
    try:
        output = _read(process, deadline)
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise _unusable(reference, f"did not end within {timeout:g} seconds") from None
    finally:
        # Ended already, unless it took too long or printed too much.
        process.kill()
    if status != 0 and len(output) <= MOST_BYTES:
        raise _unusable(reference, f"ended with status {status}")
    if len(output) > MOST_BYTES:
        raise _unusable(reference, f"printed more than {MOST_BYTES // 1024} KiB")
    try:
        return output.decode("utf-8")
    except UnicodeDecodeError:
        raise _unusable(reference, "printed something else than UTF-8 text") from None


def _read(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """Its output up to one chunk over the limit. `communicate` would hold all that it prints."""
    assert process.stdout is not None  # noqa: S101 - stdout=PIPE: tells the type checkers
    descriptor = process.stdout.fileno()
    output = b""
    while len(output) <= MOST_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return output
        output += chunk
    process.kill()
    return output
