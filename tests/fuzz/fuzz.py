"""`make fuzz`: what strangers may send, mutated, against all that reads it, for a given time.

Each target runs in a process of its own, so that what hangs is ended. A case that raises what
nobody documents, stops the event loop for a second or takes 512 MiB is kept in `.fuzz/`, with the
command that repeats it; then the exit code is 1.
"""

import argparse
import asyncio
import base64
import json
import logging
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import from_protocols
import from_providers
import in_files
import on_topics
import structlog
from mutations import Case
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from target import BOUNDS, Culprit, Progress, Target, fuzz

TARGETS: dict[str, Target] = {
    each.name: each
    for each in (
        *on_topics.TARGETS,
        *from_providers.TARGETS,
        *from_protocols.TARGETS,
        *in_files.TARGETS,
    )
}
#: Seconds after which a case that is not done will never be.
_HANGS = 30.0
#: Seconds between two looks at a target's process.
_LOOK = 0.2
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of one target."""

    target: str
    progress: Progress = field(default_factory=Progress)
    culprit: Culprit | None = None


def main() -> int:
    """Fuzz what was asked for, or repeat one case; 1 if a culprit was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help=f"comma separated: {', '.join(TARGETS)}")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="for culprits")
    parser.add_argument("--repeat", type=Path, help="a culprit that was kept")
    arguments = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=120)
    if arguments.repeat is not None:
        _silence()
        return repeat(arguments.repeat, console)
    wanted = [name for name in arguments.only.split(",") if name] or list(TARGETS)
    if unknown := set(wanted) - set(TARGETS):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    reports = fuzz_all(wanted, arguments.seed, arguments.seconds / len(wanted), console)
    console.print(table(reports, arguments.seed))
    culprits = [report.culprit for report in reports if report.culprit is not None]
    for culprit in culprits:
        tell(culprit, kept(culprit, arguments.folder), console)
    return 1 if culprits else 0


def fuzz_all(names: Sequence[str], seed: int, seconds: float, console: Console) -> list[Report]:
    """Each target for so many seconds; a bar on a terminal, else a line for each."""
    reports = []
    columns = (
        TextColumn("{task.description:>15}"),
        BarColumn(),
        TextColumn("{task.fields[cases]:,}"),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=seconds * len(names), cases=0)
        for number, name in enumerate(names):
            began = time.monotonic()
            report = Report(target=name)
            for report in fuzz_one(name, seed, seconds):
                spent = min(time.monotonic() - began, seconds) + number * seconds
                cases = report.progress.cases
                bar.update(task, completed=spent, description=name, cases=cases)
            reports.append(report)
            if not console.is_terminal:
                state = "sound" if report.culprit is None else "CULPRIT"
                console.print(f"{name}: {state}, {report.progress.cases:,} cases", highlight=False)
    return reports


def fuzz_one(name: str, seed: int, seconds: float) -> Iterator[Report]:
    """How far it is, again and again; the last one is the end."""
    ours, theirs = _SPAWN.Pipe(duplex=False)
    number = _SPAWN.Value("q", 0)
    report, last, since = Report(target=name), 0, time.monotonic()
    process = _SPAWN.Process(target=_work, args=(name, seed, seconds, number, theirs), daemon=False)
    process.start()
    theirs.close()
    try:
        while not ours.poll(_LOOK):
            if number.value != last:
                last, since = number.value, time.monotonic()
            report.progress.cases = last
            yield report
            if time.monotonic() - since > _HANGS:
                report.culprit = _unfinished(name, seed, last, f"is not done after {_HANGS:.0f} s")
                break
        else:
            report.progress, report.culprit = ours.recv()
    except EOFError:
        process.join()
        why = f"ended its process with {process.exitcode}"
        report.culprit = _unfinished(name, seed, number.value, why)
    finally:
        process.kill()
        process.join()
    yield report


def _unfinished(name: str, seed: int, number: int, why: str) -> Culprit:
    return Culprit(target=name, case=TARGETS[name].case(seed, number), why=why)


def _work(name: str, seed: int, seconds: float, number: Any, pipe: Connection) -> None:
    """A target's process: `number` says which case it is at."""
    _silence()
    target, progress = TARGETS[name], Progress()

    def cases() -> Iterator[Case]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield target.case(seed, number.value)
            number.value += 1

    culprit = asyncio.run(fuzz(target, cases(), progress))
    pipe.send((progress, culprit))


def _silence() -> None:
    """What is said of a record that cannot be read is no news here."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def kept(culprit: Culprit, folder: Path) -> Path:
    """The file that a culprit can be repeated from."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [base64.b64encode(part).decode() for part in culprit.case]
    path = folder / f"{culprit.target}-{sha256(b'/'.join(culprit.case)).hexdigest()[:8]}.json"
    said = {"target": culprit.target, "why": culprit.why, "parts": parts}
    path.write_text(json.dumps(said, indent=1) + "\n")
    return path


def repeat(path: Path, console: Console) -> int:
    """Run a case that was kept; 1 if it does it again."""
    said = json.loads(path.read_bytes())
    case = tuple(map(base64.b64decode, said["parts"]))
    culprit = asyncio.run(fuzz(TARGETS[said["target"]], [case]))
    if culprit is None:
        console.print(f"{path}: {said['target']} is sound")
        return 0
    tell(culprit, path, console)
    return 1


def tell(culprit: Culprit, path: Path, console: Console) -> None:
    """What was found, its beginning, and how to see it again."""
    parts = "\n".join(f"  {part[:200]!r}" for part in culprit.case)
    text = f"\n{culprit.target}: {culprit.why}\n{parts}\nagain: make fuzz REPEAT={path}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def table(reports: Iterable[Report], seed: int) -> Table:
    """What was tried, and what it cost."""
    made = Table(title=f"make fuzz (seed {seed})")
    made.add_column("target")
    for figure in ("cases", f"longest pause (< {BOUNDS.pause:.0f} s)"):
        made.add_column(figure, justify="right")
    made.add_column(f"memory above idle (< {BOUNDS.memory // 2**20} MiB)", justify="right")
    made.add_column("")
    for report in reports:
        at = report.progress
        sound = "[green]sound[/green]" if report.culprit is None else "[bold red]CULPRIT[/bold red]"
        cost = f"{at.longest_pause:.2f} s", f"{max(at.memory, 0) / 2**20:,.0f} MiB"
        made.add_row(report.target, f"{at.cases:,}", *cost, sound)
    return made


if __name__ == "__main__":
    sys.exit(main())
