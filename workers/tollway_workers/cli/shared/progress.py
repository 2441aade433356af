"""How far an action is: a bar on a terminal, a plain line now and then elsewhere; on stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from tollway.dead_letters.report import OnProgress, Progress
from tollway_workers.cli.shared.output import console, say

#: Seconds between two lines where there is no terminal; what is over before says nothing.
_LINE_EVERY = 5.0


@contextmanager
def showing() -> Iterator[OnProgress]:
    """Called with the progress, it is shown, for the time of the block."""
    screen = console(to_stderr=True)
    if screen.is_terminal:
        with _bar(screen) as show:
            yield show
    else:
        yield _lines(time.monotonic)


@contextmanager
def _bar(screen: Console) -> Iterator[OnProgress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("")
        stage = ""

        def show(progress: Progress) -> None:
            nonlocal stage
            if progress.stage != stage:
                stage = progress.stage
                bar.reset(task, description=stage)
            bar.update(task, completed=progress.done, total=progress.total or None)

        yield show


def _lines(now: Callable[[], float]) -> OnProgress:
    said = now()

    def show(progress: Progress) -> None:
        nonlocal said
        if now() - said >= _LINE_EVERY:
            said = now()
            say(f"{progress.stage}: {progress.done:,} of {progress.total:,}", to_stderr=True)

    return show
