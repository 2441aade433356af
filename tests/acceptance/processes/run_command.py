"""A `tollway run` in a process of its own, its input and its output."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

#: Calls in flight of a run, all workers together.
IN_FLIGHT = 8
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
#: Nobody works for it, and nobody answers its provider's address.
FLEET = """
[providers.p]
base_url = "http://127.0.0.1:9/v1"
[lanes.main]
provider = "p"
model = "m"
concurrency = 1
[routes.extract]
lanes = ["main"]
"""

Tollway = Callable[..., "subprocess.CompletedProcess[bytes]"]
Start = Callable[..., Awaitable["Command"]]


@dataclass(frozen=True, slots=True)
class Command:
    """A `tollway` that was started, and what it said once it has ended."""

    process: asyncio.subprocess.Process

    async def end(self) -> tuple[int, str, str]:
        """Exit status, stdout and stderr."""
        stdout, stderr = await self.process.communicate()
        assert self.process.returncode is not None
        said = stdout.decode(), stderr.decode()
        assert "Traceback" not in said[0] + said[1]
        assert "\x1b" not in said[0] + said[1], "piped output has control codes"
        return self.process.returncode, *said

    def workers(self) -> list[psutil.Process]:
        """The worker processes it started."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "worker" in child.cmdline()]


def good_line(number: int) -> str:
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    body = {"model": "any", "messages": [{"role": "user", "content": f"Count to {number}."}]}
    return line(f"job-{number}", {**body, "response_format": shape})


def line(custom_id: str, body: object, **changes: object) -> str:
    item = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps({**item, **changes}) + "\n"


def results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(each) for each in out.read_text().splitlines()]


def count_lines(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


async def lines_in(out: Path, least: int) -> None:
    """Wait until OUT has so many lines."""
    async with asyncio.timeout(90):
        while count_lines(out) < least:  # noqa: ASYNC110 a file has no event to wait for
            await asyncio.sleep(0.05)
