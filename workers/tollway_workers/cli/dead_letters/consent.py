"""Asking before much is done: above a hundred dead letters somebody has to say yes."""

import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from tollway_workers.cli.shared.output import count
from tollway_workers.errors import InputError

T = TypeVar("T")
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, however many they are.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would happen, with counts; change nothing.")
]

#: Dead letters up to which nobody is asked.
MOST_UNASKED = 100


def consented(
    work: Callable[[bool], T], does: str, count_of: Callable[[T], int], *, dry_run: bool, yes: bool
) -> T:
    """What `work` came to; with True as its argument it only counts.

    Without `yes` it counts first, and above a hundred somebody is asked. Raises as `ask`.
    """
    if dry_run or not yes:
        found = work(True)
        if dry_run:
            return found
        ask(does, count_of(found), yes=yes)
    return work(False)


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
