"""Publishes benchmark jobs from a process of its own, so that its CPU is not counted.

Reads lines `TOPIC ROUTE COUNT [FORM]` from stdin, publishes that many jobs, prints `fed`. The form
is `job`; `question`, of which no two ask the same; or `task`, taskiq's message with a job as its
argument.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from pydantic import JsonValue
from taskiq import TaskiqMessage
from taskiq.serializers import JSONSerializer

from tollway_schemas.codec import encode
from tollway_schemas.job import Job
from tollway_schemas.request import ChatRequest, Message, OutputSchema

SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "purpose": {"type": "string"},
        "parameters": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "default": {"type": ["string", "null"]},
                },
                "required": ["name", "default"],
                "additionalProperties": False,
            },
        },
        "raises": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["purpose", "parameters", "raises"],
    "additionalProperties": False,
}
#: Its name in taskiq.
TASK = "answer"
PROMPT = "Say what this function does, its parameters and the errors it raises. " * 6


def job(route: str) -> Job:
    """A job of about 1 kB."""
    now = datetime.now(UTC)
    return Job(
        id=uuid4().hex,
        route=route,
        request=ChatRequest(
            messages=(Message(role="user", content=PROMPT),), max_output_tokens=400
        ),
        output=OutputSchema(json_schema=SCHEMA, name="docstring", strict=True),
        created_at=now,
        deadline=now + timedelta(hours=1),
    )


def task(one: Job) -> bytes:
    """The job as taskiq's own client sends it."""
    message = TaskiqMessage(
        task_id=one.id,
        task_name=TASK,
        labels={},
        args=[one.model_dump(mode="json")],
        kwargs={},
    )
    return JSONSerializer().dumpb(message.model_dump(mode="json"))


def question(one: Job) -> bytes:
    """A job that asks what no other does."""
    message = Message(role="user", content=f"{PROMPT}{one.id}")
    request = one.request.model_copy(update={"messages": (message,)})
    return encode(one.model_copy(update={"request": request}))


FORMS: dict[str, Callable[[Job], bytes]] = {"job": encode, "question": question, "task": task}


async def main(bootstrap_servers: str) -> None:
    """Serve stdin's lines."""
    loop = asyncio.get_running_loop()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, max_batch_size=262_144)
    await producer.start()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            topic, route, count, *form = line.split()
            form_of = FORMS[form[0] if form else "job"]
            sent = []
            for _ in range(int(count)):
                one = job(route)
                sent.append(await producer.send(topic, form_of(one), key=one.id.encode()))
            await asyncio.gather(*sent)
            print("fed", flush=True)
    finally:
        await producer.stop()


if __name__ == "__main__":
    # A topic's leaders may not be known yet right after it is made: the producer tries again.
    logging.disable(logging.WARNING)
    asyncio.run(main(sys.argv[1]))
