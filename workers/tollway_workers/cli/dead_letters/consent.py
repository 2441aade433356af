"""Asking before much is done: above a hundred dead letters somebody has to say yes."""

import sys

import typer

from tollway_workers.cli.shared.output import count
from tollway_workers.errors import InputError

#: Dead letters up to which nobody is asked.
MOST_UNASKED = 100


def ask(does: str, number: int, *, yes: bool) -> None:
    """Return if `number` may be dealt with; `does`: what is done to them, in the infinitive.

    Raises InputError where nobody can be asked, typer.Exit where the answer is no.
    """
    if yes or number <= MOST_UNASKED:
        return
    letters = count(number, "dead letter")
    if not sys.stdin.isatty():
        raise InputError(
            f"{letters} are more than {MOST_UNASKED}, and nobody is here to be asked: look at them "
            f"first (--dry-run), then add --yes to {does} them all"
        )
    if not typer.confirm(f"{does} {letters}?", err=True):
        raise typer.Exit(1)
