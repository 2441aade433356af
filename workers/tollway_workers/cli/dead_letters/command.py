"""`tollway dead-letters`: the jobs that were given up on: why, and what is done about it."""

import typer

from tollway_workers.cli.dead_letters.choosing import choosing
from tollway_workers.cli.dead_letters.looking import export, groups, list_, show
from tollway_workers.cli.dead_letters.marking import discard, unmark
from tollway_workers.cli.dead_letters.redrive import redrive

app = typer.Typer(
    no_args_is_help=True,
    help="The jobs that were given up on: see why, mend them, have them answered.",
    epilog='From "my results are missing" to answered:\n\ntollway dead-letters groups\n\n'
    "tollway dead-letters show ID\n\n"
    "tollway dead-letters redrive --fingerprint F --dry-run\n\n"
    "tollway dead-letters redrive --fingerprint F",
)


def _examples(*lines: str) -> str:
    return "\n\n".join(("Examples:", *(f"tollway dead-letters {line}" for line in lines)))


app.command(
    "list",
    epilog=_examples("list --since 2h --class bad_output", "list --run nightly --unmarked --json"),
)(choosing(list_))
app.command(
    epilog=_examples("show order-17", "show tollway.jobs.extract.bulk-3-812 --raw > record.bin")
)(choosing(show))
app.command(epilog=_examples("groups", "groups --since 1d --unmarked --json"))(choosing(groups))
app.command(
    epilog=_examples(
        "redrive --fingerprint 3f9a2c --dry-run",
        "redrive --class bad_output --run nightly --revalidate --schema corrected.json",
        "redrive --class context_length --edit shorter.json --canary 20 --rate 600/min",
        "redrive --from mended.jsonl",
    )
)(choosing(redrive))
app.command(
    epilog=_examples("discard --run try-3 --why 'a test batch'", "discard --job a-1 --why wrong")
)(choosing(discard))
app.command(epilog=_examples("unmark --job order-17", "unmark --run try-3"))(choosing(unmark))
app.command(epilog=_examples("export --class undecodable -o mended.jsonl"))(choosing(export))
