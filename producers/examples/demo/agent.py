"""An agent of the demo that loops: through the fleet, with a budget, and as a plain script without.

The demo starts it, while its fleet works; it prints what came of it as one line of JSON.
"""

import asyncio
import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

from examples.demo.acts.looping_agent import BUDGET_USD, ROUTE, TURNS
from examples.demo.provider import AGENT, AGENT_SCRIPT, FOURTH, calls_of
from examples.demo.service import broker
from tollway import JobProducer, KafkaConnection, NewJob
from tollway_schemas import ChatRequest, FailureClass, Message, Reply

#: Seconds for everything: the fleet is there for about as long.
PATIENCE = 40.0
#: Questions that the agent has under way at once.
_AT_ONCE = 8
QUESTION = "What should be done next? Think of everything that was said so far."


def question(run: str) -> NewJob[Any]:
    """One turn of the loop. Every one of them states what the run may cost."""
    message = Message(role="user", content=QUESTION)
    request = ChatRequest(messages=(message,), max_output_tokens=48)
    return NewJob(
        route=ROUTE,
        run=run,
        run_budget_usd=BUDGET_USD,
        request=request,
        deadline=timedelta(seconds=PATIENCE),
    )


async def looped(servers: str, provider_url: str) -> dict[str, Any]:
    """Ask until the budget says no; and at the same time without a fleet, where nothing does."""
    without = asyncio.to_thread(plain_loop, f"{provider_url}/s/{AGENT_SCRIPT}/v1")
    await asyncio.gather(loop_with_budget(servers), without)
    calls, of_script = calls_of(provider_url, AGENT), calls_of(provider_url, AGENT_SCRIPT)
    return {
        "calls": len(calls),
        "usd": f"{sum((call.usd for call in calls), Decimal(0)):.6f}",
        "script_usd": f"{sum((call.usd for call in of_script), Decimal(0)):.6f}",
    }


async def loop_with_budget(servers: str) -> None:
    """The agent as it should be: it ends when its run has nothing left."""
    run = f"agent-{time.time():.0f}"
    async with JobProducer(KafkaConnection(servers)) as producer:
        jobs = (question(run) for _ in range(TURNS))
        async for reply in producer.map(jobs, window=_AT_ONCE):
            if is_stopped(reply):
                return


def is_stopped(reply: Reply) -> bool:
    """Whether the budget ended it."""
    failure = reply.failure
    return failure is not None and failure.failure_class is FailureClass.BUDGET_EXCEEDED


def plain_loop(base_url: str) -> None:
    """The same loop, as it is usually written."""
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": FOURTH, "messages": messages, "max_completion_tokens": 48}
    request = urllib.request.Request(
        f"{base_url}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )

    def ask(_: int) -> None:
        with urllib.request.urlopen(request) as response:
            response.read()

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(ask, range(TURNS)))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(asyncio.wait_for(looped(broker(), sys.argv[1]), PATIENCE))))
