"""A service of the demo that asks for what no answer has, and then mends its dead letters.

The demo starts it, while its fleet works; it prints what came of it as one line of JSON.
"""

import asyncio
import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from examples.demo.acts.dead_letters import JOBS, ROUTE
from examples.demo.provider import SERVICE, calls_of, tollway_command
from examples.docstring_jobs import SCHEMA
from tollway import JobHandle, JobProducer, KafkaConnection, NewJob, OutputSchema, Reply
from tollway_schemas import ChatRequest, Message
from tollway_workers.local.kafka import LocalKafka

#: Seconds for everything: the fleet is there for about as long.
PATIENCE = 40.0
_POLL = 0.1


def wrong_schema() -> dict[str, Any]:
    """As somebody wrote it who never looked at an answer: no definition has a `summary`."""
    schema = copy.deepcopy(SCHEMA)
    schema["properties"]["summary"] = schema["properties"].pop("purpose")
    schema["required"] = list(schema["properties"])
    return schema


def new_jobs(lines: Sequence[str], run: str) -> list[NewJob[Any]]:
    """The demo's own requests, each with that schema."""
    output = OutputSchema(name="docstring", json_schema=wrong_schema())
    return [
        NewJob(
            id=f"{run}:{line['custom_id']}",
            route=ROUTE,
            run=run,
            request=ChatRequest(
                messages=tuple(Message(**each) for each in line["body"]["messages"]),
                max_output_tokens=line["body"]["max_completion_tokens"],
            ),
            output=output,
        )
        for line in map(json.loads, lines)
    ]


async def mended(folder: Path, servers: str, provider_url: str) -> dict[str, Any]:
    """Publish, see why all failed, redrive with the corrected schema, wait for the answers."""
    run = f"service-{time.time():.0f}"
    lines = (folder / "jobs.jsonl").read_text().splitlines()[:JOBS]
    corrected = folder / "corrected.json"
    corrected.write_text(json.dumps(SCHEMA))
    async with JobProducer(KafkaConnection(servers)) as producer:
        handles = [each async for each in producer.enqueue_many(new_jobs(lines, run))]
        first = [await handle.reply(PATIENCE) for handle in handles]
        before = len(calls_of(provider_url, SERVICE))
        of_run = ("--run", run, "--bootstrap-servers", servers, "--json")
        found = await dead_letters("groups", *of_run)
        await dead_letters("redrive", "--revalidate", "--schema", str(corrected), "--yes", *of_run)
        second = [await later_reply(handle) for handle in handles]
        return {
            "jobs": len(handles),
            "failed": sum(reply.dead_letter for reply in first),
            "groups": len(found["groups"]),
            "why": found["groups"][0]["example"]["failure_class"],
            "answered": sum(reply.answer is not None for reply in second),
            "calls": len(calls_of(provider_url, SERVICE)) - before,
        }


async def later_reply(handle: JobHandle[Any]) -> Reply:
    """The reply to the job's second generation, which replaces the first. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while (reply := await handle.reply()).generation < 2:  # noqa: ASYNC110 no event tells of it
            await asyncio.sleep(_POLL)
    return reply


async def dead_letters(*arguments: str) -> Any:
    """What `tollway dead-letters` says. Raises RuntimeError where it fails."""
    command = [*tollway_command(), "dead-letters", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments[:1])} ended with {process.returncode}")
    return json.loads(said)


def broker() -> str:
    """The Kafka of the demo: the one that is given, else the local one."""
    local = LocalKafka().status()
    return os.environ.get("TOLLWAY_BOOTSTRAP_SERVERS") or (local.bootstrap_servers if local else "")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(mended(Path(sys.argv[1]), broker(), sys.argv[2]))))
