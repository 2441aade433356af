"""The arguments and options of `tollway run`, as typer has them."""

from pathlib import Path
from typing import Annotated

import typer

from tollway_workers.cli.run.sizes import size
from tollway_workers.cli.times import seconds_in

_WHO = "Who answers"
_HOW = "How it runs"


def _size(text: str) -> int:
    try:
        return size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def patience_in(text: str) -> float:
    """Seconds in `90s`, `10m`, `2h` or `0`. Raises typer.BadParameter."""
    return 0.0 if text == "0" else seconds_in(text)


Source = Annotated[
    Path,
    typer.Argument(metavar="IN", help="Jobs in OpenAI's or Anthropic's Batch format; - is stdin."),
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", help="Results, each in the form of its line; - is stdout."),
]

Route = Annotated[
    str | None,
    typer.Option(help="Route of all jobs; else body.model names it.", rich_help_panel=_WHO),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="The fleet's TOML file. Without it, --base-url or --simulate: ./tollway.toml.",
        rich_help_panel=_WHO,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="Any OpenAI-compatible server, such as http://127.0.0.1:8080/v1.",
        rich_help_panel=_WHO,
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="What it speaks, if not openai: responses, anthropic, gemini.", rich_help_panel=_WHO
    ),
]
Model = Annotated[
    str | None, typer.Option(help="Its model, in its own word.", rich_help_panel=_WHO)
]
KeyEnv = Annotated[
    str | None,
    typer.Option(help="Environment variable that holds its key.", rich_help_panel=_WHO),
]
Concurrency = Annotated[
    int | None,
    typer.Option(min=1, help="Most calls in flight, all workers together.", rich_help_panel=_WHO),
]
RequestsPerMinute = Annotated[
    float | None,
    typer.Option("--rpm", min=0.001, help="Most calls a minute.", rich_help_panel=_WHO),
]
TokensPerMinute = Annotated[
    float | None,
    typer.Option("--tpm", min=0.001, help="Most tokens a minute.", rich_help_panel=_WHO),
]
LargestRequest = Annotated[
    float | None,
    typer.Option(
        min=1, help="Tokens of the largest call (default: up to 32,000).", rich_help_panel=_WHO
    ),
]
Simulate = Annotated[
    bool,
    typer.Option("--simulate", help="A simulator answers: no key, no cost.", rich_help_panel=_WHO),
]
Answers = Annotated[
    Path | None, typer.Option(help="The simulator's answer key.", rich_help_panel=_WHO)
]
Faults = Annotated[
    Path | None,
    typer.Option(help="The simulator's script of what goes wrong.", rich_help_panel=_WHO),
]

BootstrapServers = Annotated[
    str | None,
    typer.Option(
        help="Kafka, as host:port. Default: TOLLWAY_BOOTSTRAP_SERVERS, else a local one.",
        rich_help_panel=_HOW,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=64,
        help="Workers to bring. Default: 2 on a local Kafka, none on a given one.",
        rich_help_panel=_HOW,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="FORM",
        help="Form of the lines: chat, responses or anthropic. Default: auto, as each line says.",
        rich_help_panel=_HOW,
    ),
]
MaxJobBytes = Annotated[
    int | None,
    typer.Option(
        parser=_size,
        metavar="SIZE",
        help="Largest job, such as 8MiB. Default: 4MiB on a local Kafka, 1MiB on a given one.",
        rich_help_panel=_HOW,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Only this many lines, from the first.", rich_help_panel=_HOW),
]
Budget = Annotated[
    float | None,
    typer.Option(
        min=0.000001,
        max=1_000_000_000,
        metavar="USD",
        help="Most that the whole run may cost; what is left unanswered then fails.",
        rich_help_panel=_HOW,
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start anew and overwrite OUT.", rich_help_panel=_HOW)
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Ask again for the lines of OUT that failed, and for no other.",
        rich_help_panel=_HOW,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Say what it would do and what it would cost at most; call nothing.",
        rich_help_panel=_HOW,
    ),
]
GiveUpAfter = Annotated[
    float | None,
    typer.Option(
        parser=patience_in,
        metavar="TIME",
        help="End when no lane has let a call through for this long; 0: never. Default: 10m.",
        rich_help_panel=_HOW,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout.", rich_help_panel=_HOW)
]
