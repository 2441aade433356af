"""A plain retry loop on the same jobs and the same script: what a fleet is compared with."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from judge import Call
from provider import Provider, environment

from tollway_schemas.job import Job

_SCRIPT = Path(__file__).parents[2] / "producers" / "examples" / "plain_script.py"
#: Its account's name.
LOOP = "loop"
#: Seconds after which it is ended.
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the loop knows of its provider."""

    per_minute: float
    concurrency: int
    #: Seconds that a call may take.
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopEnd:
    """What it came to."""

    answered: frozenset[str] = frozenset()
    calls: Sequence[Call] = field(default_factory=tuple)
    seconds: float = 0.0


async def plain_loop(
    folder: Path, provider: Provider, jobs: Sequence[Job], account: Account
) -> LoopEnd:
    """`plain_script.py`, from its start to its end."""
    asked, answers, began = folder / "loop.jobs.jsonl", folder / "loop.jsonl", time.monotonic()
    asked.write_text("".join(f"{json.dumps(_line(each))}\n" for each in jobs))
    options = {
        "base-url": provider.base_url(LOOP),
        "rpm": account.per_minute,
        "concurrency": account.concurrency,
        "timeout": account.timeout,
    }
    with (folder / "loop.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(_SCRIPT), str(asked), str(answers)),
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
            stdout=log,
            stderr=log,
            env=environment(folder),
        )
    try:
        await asyncio.wait_for(process.wait(), _PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    written = answers.read_text().splitlines() if answers.exists() else []
    return LoopEnd(
        answered=frozenset(json.loads(line)["custom_id"] for line in written),
        calls=await provider.calls(),
        seconds=time.monotonic() - began,
    )


def _line(job: Job) -> dict[str, object]:
    body = {
        "model": job.route,
        "messages": [{"role": "user", "content": "Say something in JSON."}],
        "max_completion_tokens": job.request.max_output_tokens,
        "response_format": {"type": "json_object"},
    }
    return {"custom_id": job.id, "body": body}
