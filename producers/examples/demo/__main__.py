"""`make demo`: 500 real jobs through a real Kafka, and beside it two plain scripts.

The input is what is always there: docstrings of this Python's own standard library, from which each
job extracts purpose, parameters, returns and raised errors, held to a JSON Schema. The provider is
the simulator: it answers from a key that the generator derives from signatures (its answers are
labelled `scripted`), keeps a limit for each side's account, and misbehaves by script. Both sides
are two processes, meet the same acts, and are judged by the provider's own books.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.demo.act import Act, Ended, Side
from examples.demo.acts.dead_letters import DeadLetters
from examples.demo.acts.looping_agent import LoopingAgent
from examples.demo.acts.outage import Outage
from examples.demo.acts.outcome import Outcome
from examples.demo.acts.restarts import Restarts
from examples.demo.acts.shared_limit import SharedLimit
from examples.demo.acts.wrong_answers import WrongAnswers
from examples.demo.provider import Provider
from examples.demo.sides import Scripts, TollwayRun

FOLDER = Path(".demo")
JOBS = int(os.environ.get("TOLLWAY_DEMO_JOBS", "500"))
#: In the order of the table.
ACTS: Sequence[Callable[[], Act]] = (
    SharedLimit,
    WrongAnswers,
    Restarts,
    Outage,
    Outcome,
    DeadLetters,
    LoopingAgent,
)
GENERATOR = Path(__file__).parents[1] / "docstring_jobs.py"


def main() -> int:
    """Play all acts, print the table. Exit 1 if Tollway left a job without an answer."""
    acts = [act() for act in ACTS]
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    jobs, answers, faults = FOLDER / "jobs.jsonl", FOLDER / "answers.jsonl", FOLDER / "faults.toml"
    generate = [sys.executable, str(GENERATOR), "--count", str(JOBS)]
    subprocess.run([*generate, "--jobs", jobs, "--answers", answers], check=True)
    faults.write_text("".join(act.faults for act in acts))
    with Provider(answers, faults, FOLDER / "calls.jsonl") as provider:
        began = time.time()
        tollway = TollwayRun(jobs, provider, FOLDER)
        scripts = Scripts(jobs, provider, FOLDER)
        try:
            seconds = play(acts, [tollway, scripts], provider)
        finally:
            tollway.stop()
            scripts.stop()
        ids = frozenset(json.loads(line)["custom_id"] for line in jobs.read_text().splitlines())
        ended = [
            Ended(
                jobs=ids,
                calls=provider.calls(side.name),
                answers=side.answers(),
                began=began,
                seconds=seconds[side.name],
                service=side.service(),
                loop=side.looped(),
            )
            for side in (tollway, scripts)
        ]
    show(Console(), acts, ended)
    return 0 if ended[0].answers.keys() == ids else 1


def play(acts: Sequence[Act], sides: Sequence[Side], provider: Provider) -> dict[str, float]:
    """Let the acts happen until both are through; the seconds that each took."""
    began = time.monotonic()
    seconds: dict[str, float] = {}
    while len(seconds) < len(sides):
        for side in sides:
            if side.name in seconds:
                continue
            if not side.running():
                seconds[side.name] = time.monotonic() - began
                continue
            answered = provider.answered(side.name) / JOBS
            for act in acts:
                act.meanwhile(side, answered)
        time.sleep(0.1)
    return seconds


def show(console: Console, acts: Sequence[Act], ended: Sequence[Ended]) -> None:
    """The table, what else there is to say, some answers, and where the rest is."""
    rows = [row for act in acts for row in act.rows]
    table = Table(title="By the provider's own list of calls (SIMULATED answers)")
    table.add_column("less is better")
    table.add_column(TollwayRun.title, justify="right")
    table.add_column(Scripts.title, justify="right")
    figures = [(row, [row.figure(side) for side in ended]) for row in rows]
    for row, both in figures:
        table.add_row(row.name, *map(row.shown, both))
    console.print(table)
    (FOLDER / "table.json").write_text(json.dumps({row.name: both for row, both in figures}))
    for said in filter(None, (act.told(ended[0]) for act in acts)):
        console.print(said, soft_wrap=True)
    for example, answer in sorted(ended[0].answers.items())[:1]:
        console.print(example, json.dumps(answer), soft_wrap=True)
    console.print(f"all results, logs and this table: {FOLDER}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
