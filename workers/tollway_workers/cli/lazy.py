"""Commands whose modules are imported when they are called, so that `--help` is fast."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from tollway_workers.importing import importing


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command of the root: its module offers `register(app)`, or an `app` of its own."""

    name: str
    module: str
    help: str
    panel: str | None = None

    def load(self) -> Any:
        """The command itself, as typer has it."""
        with importing():
            module = import_module(self.module)
        holder = typer.Typer(add_completion=False)
        # With a callback it is a group, however few commands it has.
        holder.callback()(_nothing)
        if hasattr(module, "register"):
            module.register(holder)
        else:
            holder.add_typer(module.app, name=self.name)
        group: Any = get_command(holder)
        return group.commands[self.name]


def lazy_group(commands: Iterable[LazyCommand]) -> type[TyperGroup]:
    """The class of a group that lists `commands` and loads the one that is called."""
    known = {command.name: command for command in commands}

    class LazyGroup(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if args and args[0] in known:
                self.commands[args[0]] = known[args[0]].load()
            return super().resolve_command(ctx, args)

    return LazyGroup


def add_placeholders(app: typer.Typer, commands: Iterable[LazyCommand]) -> None:
    """Names and summaries for the root's own help."""
    for command in commands:
        app.command(command.name, help=command.help, rich_help_panel=command.panel)(_nothing)


def _nothing() -> None:
    """A placeholder is never called: it is loaded first."""
