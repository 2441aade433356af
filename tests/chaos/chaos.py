"""`make chaos`: real processes, a real Kafka and the simulator, killed, frozen and moved about.

Each scenario prints figures and the bounds that they must keep; exit 1 if one is broken. The judge
is the simulator's own list of calls, with what lies in Kafka's topics and the workers' metrics.
"""

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import brokers
import budgets
import cancel
import churn
import deploy
import fairness
import fleet_contract
import hostile
import killer
import moving_target
import one_slow
import outage
import ramp
import redrive
import steps_down
import zombie
from ground import Stage
from report import Figure, Progress, Verdict, table
from rich.console import Console

from tollway_workers.kafka.connect import quieten_client_logs

Scenario = Callable[[Stage], Awaitable[list[Figure]]]

#: Delivery takes 17 minutes, limits 15, strangers 5, outages half an hour.
GROUPS: dict[str, dict[str, Scenario]] = {
    "delivery": {
        "churn": churn.churn,
        "planned": churn.planned,
        "slow": one_slow.one_slow,
        "brokers": brokers.brokers,
        "killer": killer.killer,
        "deploy": deploy.deploy,
        "redrive": redrive.redrive,
    },
    "limits": {
        "contract": fleet_contract.fleet_contract,
        "moving-target": moving_target.moving_target,
        "cancel": cancel.cancel,
        "zombie": zombie.zombie,
        "fairness": fairness.fairness,
        "budgets": budgets.budgets,
    },
    "strangers": {"hostile": hostile.hostile},
    "outages": {"outage": outage.outage, "ladder": steps_down.ladder, "ramp": ramp.ramp},
}
SCENARIOS: dict[str, Scenario] = {
    name: scenario for group in GROUPS.values() for name, scenario in group.items()
} | outage.BY_KIND


def run(name: str, seed: int, folder: Path, progress: Progress) -> Verdict:
    """One scenario with one seed."""
    place = folder / f"{name}-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    stage = Stage(
        seed=seed, folder=place, say=lambda line: progress.say(f"{name} (seed {seed}): {line}")
    )
    began = time.monotonic()
    figures = asyncio.run(_awaited(SCENARIOS[name](stage)))
    verdict = Verdict(scenario=name, seed=seed, seconds=time.monotonic() - began, figures=figures)
    # Logs and configurations are worth their place only where something is to be found out.
    for folder in place.glob("*/kafka") if not verdict.holds else [place]:
        shutil.rmtree(folder, ignore_errors=True)
    return verdict


async def _awaited(figures: Awaitable[list[Figure]]) -> list[Figure]:
    return await figures


def main() -> int:
    """Run what was asked for; 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--group", choices=GROUPS, default="delivery", help="what to run")
    parser.add_argument(
        "--only", default="", help=f"comma separated, of any group: {', '.join(SCENARIOS)}"
    )
    parser.add_argument("--folder", type=Path, default=Path(".chaos"))
    arguments = parser.parse_args()
    wanted = [name for name in arguments.only.split(",") if name] or list(GROUPS[arguments.group])
    if unknown := set(wanted) - set(SCENARIOS):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    quieten_client_logs()
    # A report in a file may be wider than no terminal.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    progress = Progress(console)
    verdicts = []
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        for name in wanted:
            progress.begin()
            try:
                verdicts.append(run(name, seed, arguments.folder, progress))
            finally:
                progress.end()
            state = "kept" if verdicts[-1].holds else "BROKEN"
            console.print(f"{name} (seed {seed}): {state}, {verdicts[-1].seconds:.0f} s")
    console.print(table(verdicts))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
