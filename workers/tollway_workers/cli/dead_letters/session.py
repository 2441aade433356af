"""From a command to what the SDK does with the dead letters that it is about."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from tollway import DeadLetters
from tollway.dead_letters.report import OnProgress
from tollway_workers.app.connection import connection_of
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.judging import job_judge
from tollway_workers.cli.shared.output import say
from tollway_workers.cli.shared.progress import showing
from tollway_workers.exit_status import INTERRUPTED
from tollway_workers.kafka.connect import quieten_client_logs

T = TypeVar("T")


#: What Ctrl-C has left, of a command that looks and of one that changes something.
_LOOKED = "interrupted: nothing was changed, and nothing was written"
_CHANGED = (
    "interrupted: what was done is marked; the same command again goes on, and does nothing twice"
)


def run(
    chosen: Chosen,
    work: Callable[[DeadLetters, OnProgress], Awaitable[T]],
    *,
    changes: bool = False,
) -> T:
    """What `work` comes to, with its progress shown. Raises ProducerError.

    Ctrl-C ends it between two transactions, with a word on how to go on. `changes`: whether `work`
    redrives or marks, and does not only look.
    """

    # What goes wrong is said once, by what is raised.
    quieten_client_logs()

    async def session() -> T:
        with showing() as show:
            kafka = chosen.kafka
            letters = DeadLetters(
                connection_of(kafka),
                prefix=kafka.prefix,
                max_job_bytes=kafka.max_job_bytes,
                judge=job_judge(),
            )
            async with letters:
                return await work(letters, show)

    try:
        return asyncio.run(session())
    except KeyboardInterrupt:
        say(_CHANGED if changes else _LOOKED, to_stderr=True)
        raise typer.Exit(INTERRUPTED) from None
