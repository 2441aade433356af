"""The simulator of a simulated run, as `simulator_process` starts it.

A process of its own, that writes its address to stdout and ends when stdin does. The run and its
workers hold the other end: it outlives a run that is killed until the workers have finished.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from tollway_workers.local.simulator.answers import load_answers
from tollway_workers.local.simulator.latency import PROFILES
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.script import load_script
from tollway_workers.local.simulator.server import Simulator


def simulator_options(answers: Path | None, faults: Path | None) -> SimulatorOptions:
    """What these files tell a simulator. Raises InputError if they cannot be understood."""
    script = load_script(faults)
    return SimulatorOptions(
        answers=load_answers(answers) if answers else {},
        faults=script.faults,
        overload=script.overload,
        latency=PROFILES["flash-lite"],
    )


async def serve(options: SimulatorOptions) -> None:
    """Answer until stdin ends."""
    async with Simulator(options) as simulator:
        sys.stdout.write(f"{simulator.base_url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    """Serve with the answers and faults that are named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--faults", type=Path)
    given = parser.parse_args()
    asyncio.run(serve(simulator_options(given.answers, given.faults)))
