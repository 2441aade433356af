"""A process that redrives all dead letters of a prefix, for tests that kill it.

`python redrive_process.py SERVERS PREFIX`: a line for each transaction that was written.
"""

import asyncio
import sys

from tollway import DeadLetters
from tollway.dead_letters import Progress


def say(progress: Progress) -> None:
    if progress.stage == "redriving":
        sys.stdout.write(f"{progress.done}\n")
        sys.stdout.flush()


async def main(servers: str, prefix: str) -> None:
    async with DeadLetters(servers, prefix=prefix) as letters:
        await letters.redrive(on_progress=say)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
