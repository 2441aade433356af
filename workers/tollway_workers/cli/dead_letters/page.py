"""Dead letters on a page: the overview, and one with everything that is known of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tollway.dead_letters import Entry, Found, Group, Overview
from tollway.dead_letters.entry import name_of
from tollway_schemas import DeadLetter, Mark
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.shown_hint import shown_hint
from tollway_workers.cli.shared.attempt_table import show_attempts
from tollway_workers.cli.shared.conversation import body_text, indented, request_text
from tollway_workers.cli.shared.output import (
    Column,
    count,
    dollars,
    on_one_line,
    printable,
    say,
    show_table,
)
from tollway_workers.cli.shared.whose import whose_text

#: How much of raw bytes is shown; `--raw` gives all.
_MOST_RAW = 16_384
#: What raw bytes are that are no value of a record.
_BYTES_OF = {
    "record": "one record as Kafka keeps it, its headers included",
    "batch": "a batch of records as Kafka keeps it",
}
_NO_BYTES = "(no bytes)"

_CAUSES = (
    Column("count", right=True),
    Column("route"),
    Column("class"),
    Column("last (UTC)"),
    Column("example"),
    Column("what", wraps=True),
)
_GROUPS = (
    Column("count", right=True),
    Column("fingerprint"),
    Column("route"),
    Column("class"),
    Column("first (UTC)"),
    Column("last (UTC)"),
    Column("cost", right=True),
    Column("example"),
    Column("what", wraps=True),
)
_LETTERS = (
    Column("died (UTC)"),
    Column("job"),
    Column("route"),
    Column("class"),
    Column("calls", right=True),
    Column("became"),
    Column("run"),
    Column("tenant"),
)


def show_overview(overview: Overview, chosen: Chosen) -> None:
    """Causes on top, the newest dead letters below."""
    if not _show_total(overview, chosen):
        return
    newest = list(overview.newest())
    show_table(_CAUSES, [_cause_row(group) for group in overview.groups])
    say()
    if len(newest) < overview.total:
        say(f"the newest {len(newest):,} (more with --limit):")
    show_table(_LETTERS, [_row(entry) for entry in newest])
    say()
    say(f"everything about one: {_show_command(chosen, newest[0])}")
    say(f"what to do about them: {chosen.command('groups')}")


def show_groups(overview: Overview, chosen: Chosen) -> None:
    """Likely causes, the most frequent first, then what to do about each class of failure."""
    if not _show_total(overview, chosen):
        return
    show_table(_GROUPS, [_group_row(group) for group in overview.groups])
    if overview.ungrouped:
        say(f"and {overview.ungrouped:,} of further causes: narrow it down with a filter")
    say()
    say("what to do:")
    for failure_class, hint in {each.failure_class: each.hint for each in overview.groups}.items():
        say(f"  {on_one_line(failure_class)}: {hint}")
    first = overview.groups[0]
    say()
    if any(group.example.fate for group in overview.groups):
        say("some of them were redriven or discarded: --unmarked leaves those out")
    say(f"one of them: {_show_command(chosen, first.example)}")
    command = chosen.command("redrive", "--dry-run", fingerprint=first.fingerprint)
    say(f"what a redrive would do: {command}")


def group_facts(group: Group) -> dict[str, Any]:
    """A group for machines."""
    return {
        "fingerprint": group.fingerprint,
        "count": group.count,
        "first": group.first.isoformat(),
        "last": group.last.isoformat(),
        "cost_pico_usd": str(group.cost),
        "cost_unknown": group.cost_unknown,
        "hint": group.hint,
        "example": entry_facts(group.example),
    }


def show_entry(found: Found, generations: list[int], namesakes: Sequence[Entry] = ()) -> None:
    """Everything that is known of one: `generations` died of it, `namesakes` have its id."""
    entry, letter = found.entry, found.letter
    say(f"{on_one_line(entry.job_id)}, generation {entry.generation}", style="bold")
    for name, value in _facts(entry).items():
        say(f"  {name:<12} {on_one_line(value)}")
    others = [str(each) for each in generations if each != entry.generation]
    if others:
        say(f"  {'also dead':<12} generation {', '.join(others)}")
    for each in namesakes:
        of = whose_text(each.route, each.tenant, each.run)
        say(f"  {'same id':<12} {of} (read from {on_one_line(each.origin)})")
    for mark in filter(None, (found.mark, found.ending)):
        say(f"  {mark.fate.value:<12} {_mark_text(mark)}")
    if letter is None:
        _show_raw(entry, found.value)
    else:
        _show_letter(letter)


def entry_facts(entry: Entry) -> dict[str, Any]:
    """The same for machines."""
    facts = {name: getattr(entry, name) for name in entry.__slots__}
    cost = facts.pop("cost")
    return facts | {
        "dead_at": entry.dead_at.isoformat(),
        "cost_pico_usd": None if cost is None else str(cost),
    }


def _show_command(chosen: Chosen, entry: Entry) -> str:
    # The argument of `show` is what --job says elsewhere.
    return chosen.command("show", name=name_of(entry), job_id=None)


def _show_total(overview: Overview, chosen: Chosen) -> bool:
    """How many there are; whether there are any."""
    topic = printable(chosen.topic)
    if not overview.total:
        say(f"no {'such ' if chosen.filter.any else ''}dead letters in {topic}")
        return False
    causes = count(len(overview.groups), "likely cause")
    say(f"{count(overview.total, 'dead letter')} in {topic}, {causes}", style="bold")
    say()
    return True


def _cause_row(group: Group) -> tuple[str, ...]:
    example = group.example
    return (
        f"{group.count:,}",
        example.route or "-",
        example.failure_class,
        _when(group.last),
        name_of(example),
        _what(example),
    )


def _what(entry: Entry) -> str:
    """Why it was given up; what is wrong with an answer is said as well."""
    return f"{entry.message} ({'; '.join(entry.problems)})" if entry.problems else entry.message


def _group_row(group: Group) -> tuple[str, ...]:
    example = group.example
    about = "at least " if group.cost_unknown else ""
    cost = dollars(None if group.cost_unknown == group.count else group.cost)
    return (
        f"{group.count:,}",
        group.fingerprint,
        example.route or "-",
        example.failure_class,
        _when(group.first),
        _when(group.last),
        cost if cost == "unknown" else f"{about}{cost}",
        name_of(example),
        _what(example),
    )


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        _when(entry.dead_at),
        name_of(entry) + (f"/{entry.generation}" if entry.generation > 1 else ""),
        entry.route or "-",
        entry.failure_class,
        str(entry.attempts),
        entry.fate or "-",
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
        "lane": entry.lane,
        "tenant": entry.tenant,
        "run": entry.run,
        "died": f"{_when(entry.dead_at)} UTC",
        "worker": entry.worker,
        "read from": f"{entry.origin} (topic-partition-offset)",
        "lies at": f"partition {entry.partition}, offset {entry.offset}",
        "fingerprint": entry.fingerprint,
        "what to do": shown_hint(entry.failure_class),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _mark_text(mark: Mark) -> str:
    """When, by whom, and what was said of it."""
    # Without the route of a job, it says what was published before.
    is_of_a_job = mark.next_generation is not None and mark.next_route is not None
    to = f", as generation {mark.next_generation}" if is_of_a_job else ""
    route = f" on route {on_one_line(mark.next_route)}" if mark.next_route else ""
    why = f": {on_one_line(mark.why)}" if mark.why else ""
    return f"{_when(mark.at)} UTC by {on_one_line(mark.by)}{to}{route}{why}"


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
        if answer.cut:
            say(indented("(cut here; the journal has it whole, where the route keeps one)"))
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
