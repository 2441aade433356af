"""The script everybody writes first: a file of LLM jobs, asyncio, aiohttp and retries.

Not part of Tollway: `make demo` runs it beside Tollway, on the same jobs and the same faults. It is
meant to be fair, what a competent engineer has after half an hour, in at most 40 lines of code:
calls in parallel; a timeout; five tries with exponential backoff and jitter on 429, 5xx, timeouts,
lost connections and broken JSON. Each answer is one line in OUT, flushed as soon as it is there;
started again, it asks only for what OUT does not have. A job that failed is named on stderr and not
in OUT, so that the next start tries it again. Exit code 1 if there was one.

What it does not do: remember which calls were in flight, check an answer against its schema, keep
to a rate limit or read Retry-After, know what it spent. The demo's server asks for no key.

    python plain_script.py jobs.jsonl answers.jsonl --base-url http://127.0.0.1:8000/v1
"""

import argparse
import asyncio
import json
import random
from pathlib import Path
from typing import Any, TextIO

import aiohttp


async def ask(http: aiohttp.ClientSession, url: str, job: dict[str, Any]) -> Any:
    for attempt in range(1, 6):
        headers = {"X-Client-Request-Id": f"{job['custom_id']}/1/{attempt}"}
        try:
            async with http.post(url, json=job["body"], headers=headers) as response:
                return json.loads((await response.json())["choices"][0]["message"]["content"])
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            if attempt == 5 or getattr(error, "status", None) in (400, 401, 403, 404, 422):
                raise
        await asyncio.sleep(2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter


async def run(options: argparse.Namespace, jobs: list[dict[str, Any]], out: TextIO) -> list[str]:
    async def work(job: dict[str, Any]) -> None:
        async with slots:
            answer = await ask(http, f"{options.base_url}/chat/completions", job)
        print(json.dumps({"custom_id": job["custom_id"], "answer": answer}), file=out, flush=True)

    slots = asyncio.Semaphore(options.concurrency)
    pool = aiohttp.TCPConnector(limit=options.concurrency)
    limit = aiohttp.ClientTimeout(total=options.timeout)
    async with aiohttp.ClientSession(connector=pool, timeout=limit, raise_for_status=True) as http:
        ends = await asyncio.gather(*map(work, jobs), return_exceptions=True)
    return [f"{job['custom_id']}: {end!r}" for job, end in zip(jobs, ends, strict=True) if end]


parser = argparse.ArgumentParser(description="Answer a file of LLM jobs")
parser.add_argument("jobs", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--base-url", required=True)
parser.add_argument("--concurrency", type=int, default=32)
parser.add_argument("--timeout", type=float, default=30.0, help="seconds a call may take")
options = parser.parse_args()
with options.jobs.open("rb") as lines, options.out.open("a+") as out:
    out.seek(0)
    done = {json.loads(line)["custom_id"] for line in out}
    todo = [job for job in map(json.loads, lines) if job["custom_id"] not in done]
    raise SystemExit("\n".join(asyncio.run(run(options, todo, out))) or 0)
