"""The script a good engineer writes first: a file of LLM jobs, asyncio, httpx, limits and retries.

Not part of Tollway: `make demo` runs it beside Tollway, on the same jobs, limit and faults. It is
meant to be what one would be content with in review, in at most 60 lines of code: it keeps to the
account's requests a minute, bounds its calls in flight, gives each call a timeout, and tries eight
times with jittered backoff on 429, 5xx, timeouts, lost connections and broken JSON, never sooner
than Retry-After says. Each answer is one line in OUT, written as soon as it is there; started
again, it asks only for what OUT does not have. A job that failed is named on stderr and not in OUT,
so that the next start tries it again. Exit code 1 if there was one.

What it does not do: know of other processes that use the account, remember which calls were in
flight, hold an answer against its schema (it trusts `strict`), know what it spent.

    python plain_script.py jobs.jsonl answers.jsonl --base-url http://127.0.0.1:8000/v1 --rpm 500
"""

import argparse
import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO

import httpx

TRIES = 8
HOPELESS = {400, 401, 403, 404, 422}


def pacer(per_minute: float) -> Callable[[], Awaitable[None]]:
    free_at = 0.0

    async def pace() -> None:
        nonlocal free_at
        now = asyncio.get_running_loop().time()
        wait = max(0.0, free_at - now)
        free_at = now + wait + 60 / per_minute
        await asyncio.sleep(wait)

    return pace


async def ask(http: httpx.AsyncClient, job: dict[str, Any], pace: Callable[[], Any]) -> Any:
    for attempt in range(1, TRIES + 1):
        await pace()
        retry_after = 0.0
        headers = {"X-Client-Request-Id": f"{job['custom_id']}/1/{attempt}"}
        try:
            response = await http.post("chat/completions", json=job["body"], headers=headers)
            retry_after = float(response.headers.get("retry-after", 0))
            response.raise_for_status()
            return json.loads(response.json()["choices"][0]["message"]["content"])
        except (httpx.HTTPError, ValueError) as error:
            status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0
            if attempt == TRIES or status in HOPELESS:
                raise
        await asyncio.sleep(retry_after + random.uniform(0, min(20, 2**attempt / 2)))  # noqa: S311 - jitter


async def run(options: argparse.Namespace, jobs: list[dict[str, Any]], out: BinaryIO) -> list[str]:
    async def work(job: dict[str, Any]) -> None:
        async with slots:
            answer = await ask(http, job, pace)
        out.write(json.dumps({"custom_id": job["custom_id"], "answer": answer}).encode() + b"\n")

    slots, pace = asyncio.Semaphore(options.concurrency), pacer(options.rpm)
    async with httpx.AsyncClient(base_url=options.base_url, timeout=options.timeout) as http:
        ends = await asyncio.gather(*map(work, jobs), return_exceptions=True)
    return [f"{job['custom_id']}: {end!r}" for job, end in zip(jobs, ends, strict=True) if end]


parser = argparse.ArgumentParser(description="Answer a file of LLM jobs")
parser.add_argument("jobs", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--base-url", required=True)
parser.add_argument("--rpm", type=float, default=500.0, help="requests a minute of the account")
parser.add_argument("--concurrency", type=int, default=32)
parser.add_argument("--timeout", type=float, default=30.0, help="seconds a call may take")
options = parser.parse_args()
with options.jobs.open("rb") as lines, options.out.open("a+b", buffering=0) as out:
    out.seek(0)
    written = out.read()
    whole = written.rfind(b"\n") + 1
    out.truncate(whole)
    done = {json.loads(line)["custom_id"] for line in written[:whole].splitlines()}
    todo = [job for job in map(json.loads, lines) if job["custom_id"] not in done]
    raise SystemExit("\n".join(asyncio.run(run(options, todo, out))) or 0)
