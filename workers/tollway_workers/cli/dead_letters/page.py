"""Dead letters on a page: the overview, and one with everything that is known of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tollway.dead_letters.entry import Entry, Opened, name_of
from tollway.dead_letters.overview import Overview
from tollway_schemas import DeadLetter
from tollway_workers.cli.shared.attempt_table import show_attempts
from tollway_workers.cli.shared.conversation import body_text, indented, request_text
from tollway_workers.cli.shared.output import Column, count, on_one_line, printable, say, show_table
from tollway_workers.cli.shared.whose import whose_text

#: How much of raw bytes is shown; `--raw` gives all.
_MOST_RAW = 16_384
#: What raw bytes are that are no value of a record.
_BYTES_OF = {
    "record": "one record as Kafka keeps it, its headers included",
    "batch": "a batch of records as Kafka keeps it",
}
_NO_BYTES = "(no bytes)"

_GROUP_COLUMNS = (
    Column("count", right=True),
    Column("route"),
    Column("class"),
    Column("last (UTC)"),
    Column("example"),
    Column("what", wraps=True),
)
_COLUMNS = (
    Column("died (UTC)"),
    Column("job"),
    Column("route"),
    Column("class"),
    Column("calls", right=True),
    Column("run"),
    Column("tenant"),
)


def show_overview(overview: Overview, topic: str, *, filtered: bool) -> None:
    """Causes on top, the newest dead letters below."""
    if not overview.total:
        say(f"no {'such ' if filtered else ''}dead letters in {printable(topic)}")
        return
    groups, newest = overview.groups, list(overview.newest())
    causes = count(len(groups), "likely cause")
    say(f"{count(overview.total, 'dead letter')} in {printable(topic)}, {causes}", style="bold")
    say()
    show_table(_GROUP_COLUMNS, [_group_row(each.count, each.example) for each in groups])
    say()
    if len(newest) < overview.total:
        say(f"the newest {len(newest):,} (more with --limit):")
    show_table(_COLUMNS, [_row(entry) for entry in newest])
    say()
    say(f"everything about one: tollway dead-letters show '{on_one_line(name_of(newest[0]))}'")


def show_entry(opened: Opened, generations: list[int], namesakes: Sequence[Entry] = ()) -> None:
    """Everything that is known of one: `generations` died of it, `namesakes` have its id."""
    entry, letter = opened.entry, opened.letter
    say(f"{on_one_line(entry.job_id)}, generation {entry.generation}", style="bold")
    for name, value in _facts(entry).items():
        say(f"  {name:<12} {on_one_line(value)}")
    others = [str(each) for each in generations if each != entry.generation]
    if others:
        say(f"  {'also dead':<12} generation {', '.join(others)}")
    for each in namesakes:
        of = whose_text(each.route, each.tenant, each.run)
        say(f"  {'same id':<12} {of} (read from {on_one_line(each.origin)})")
    if letter is None:
        _show_raw(entry, opened.value)
    else:
        _show_letter(letter)


def entry_facts(entry: Entry) -> dict[str, Any]:
    """The same for machines."""
    return {name: getattr(entry, name) for name in entry.__slots__} | {
        "dead_at": entry.dead_at.isoformat()
    }


def _group_row(number: int, example: Entry) -> tuple[str, ...]:
    return (
        f"{number:,}",
        example.route or "-",
        example.failure_class,
        _when(example.dead_at),
        name_of(example),
        example.message,
    )


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        _when(entry.dead_at),
        name_of(entry) + (f"/{entry.generation}" if entry.generation > 1 else ""),
        entry.route or "-",
        entry.failure_class,
        str(entry.attempts),
        entry.run or "-",
        entry.tenant or "-",
    )


def _facts(entry: Entry) -> dict[str, str]:
    facts = {
        "failure": f"{entry.failure_class}: {entry.message}",
        "holds": "no job: bytes of Kafka's own, which nobody can redrive"
        if entry.bytes_of
        else None,
        "route": entry.route,
        "tenant": entry.tenant,
        "run": entry.run,
        "died": f"{_when(entry.dead_at)} UTC",
        "worker": entry.worker,
        "read from": f"{entry.origin} (topic-partition-offset)",
        "lies at": f"partition {entry.partition}, offset {entry.offset}",
        "fingerprint": entry.fingerprint,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _show_letter(letter: DeadLetter) -> None:
    _show_list("problems", letter.failure.problems)
    _title(count(letter.calls, "call"))
    if letter.uncharged:
        say(f"  not charged: {_uncharged(letter)}")
    if letter.attempts:
        show_attempts(letter.attempts)
    for answer in letter.bad_answers:
        _title(f"the answer of call {answer.attempt}, which could not be used")
        say(indented(printable(answer.text)))
        _show_list("problems", answer.problems)
    if letter.job_elsewhere is not None:
        stored = letter.job_elsewhere
        _title(f"job ({stored.bytes:,} bytes, too large to be kept; SHA-256 {stored.sha256[:64]})")
        say(indented(printable(stored.head)))
        return
    _show_job(letter.job)


def _uncharged(letter: DeadLetter) -> str:
    each = ", ".join(f"{kind.value} {calls:,}" for kind, calls in letter.uncharged.items())
    left_out = letter.calls - len(letter.attempts)
    return each + ("; the first 2 and the last 8 of them are listed" if left_out else "")


def _show_job(job: Any) -> None:
    if not isinstance(job, Mapping):
        _title("job")
        say(indented(body_text(job)))
        return
    _title("prompt")
    say(indented(request_text(job.get("request"))))
    _title("the rest of the job")
    rest = {name: value for name, value in job.items() if name != "request"}
    say(indented(body_text(rest)))


def _show_raw(entry: Entry, value: bytes) -> None:
    whole = _BYTES_OF.get(entry.bytes_of or "", "the record as it came")
    what = {
        "raw": whole,
        "raw-head": f"the first of {whole}",
        "unreadable": "a dead letter that this release cannot read",
    }[entry.kind]
    cut = f", the first {_MOST_RAW:,} here" if len(value) > _MOST_RAW else ""
    _title(f"{what} ({count(len(value), 'byte')}{cut}; all with --raw)")
    say(indented(raw_text(value[:_MOST_RAW])) or _NO_BYTES)


def raw_text(value: bytes) -> str:
    """Bytes as text: what is no UTF-8, and what a terminal obeys, is written out."""
    return printable(value.decode("utf-8", "backslashreplace"))


def _show_list(title: str, lines: tuple[str, ...]) -> None:
    if lines:
        _title(title)
        for line in lines:
            say(f"  - {on_one_line(line)}")


def _title(text: str) -> None:
    say()
    say(text, style="bold")


def _when(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
