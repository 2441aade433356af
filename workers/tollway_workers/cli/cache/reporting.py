"""`tollway cache report`: what the semantic cache of a route saved, or would have, in words."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from tollway_schemas.cache import Forget
from tollway_schemas.semantic import Observations
from tollway_workers.cache.records import CacheRecord, read
from tollway_workers.cache.semantic.report import ModeReport, RouteReport, Share
from tollway_workers.cli.shared.output import Column, count, dollars, say, show_table
from tollway_workers.kafka.read.log_reader import LoggedRecord

_COLUMNS = (
    *(Column("mode"), Column("answers", right=True), Column("jobs", right=True)),
    *(Column("served"), Column("of these wrong"), Column("wrong of all")),
    *(Column("tokens", right=True), Column("cost", right=True)),
)


async def observed(records: AsyncIterator[LoggedRecord], route: str) -> list[Observations]:
    """What the topic holds of a route and nobody has forgotten: the last record of each answer and
    worker.
    """
    found: dict[bytes, tuple[int, Observations]] = {}
    async for record in records:
        place = CacheRecord(record.partition[1], record.offset, record.key, record.value)
        said = read(place)
        if isinstance(said, Observations) and said.route == route:
            found[said.record_key] = (place.partition, said)
        elif isinstance(said, Forget):
            # A mark stands in every partition, behind what it speaks of.
            found = {
                key: (partition, each)
                for key, (partition, each) in found.items()
                if partition != place.partition or not _speaks_of(said, each)
            }
    return [each for _, each in found.values()]


def facts(found: RouteReport, error_bound: float | None) -> dict[str, Any]:
    """For machines."""
    return {
        "route": found.route,
        "first_day": found.days and found.days[0].isoformat(),
        "last_day": found.days and found.days[1].isoformat(),
        "error_bound": error_bound,
        "modes": {mode: _mode_facts(each) for mode, each in found.modes.items()},
    }


def show(found: RouteReport, error_bound: float | None) -> None:
    """For people."""
    if found.days is None:
        say(
            f"nothing was observed of route {found.route}: set routes.{found.route}.cache.semantic "
            'to "shadow"; every job is called then, as now'
        )
        return
    first, last = found.days
    say(f"route {found.route}, {first} to {last} (UTC); shares with bounds of 95 % confidence")
    say()
    show_table(_COLUMNS, [_row(mode, each) for mode, each in found.modes.items()])
    say()
    for sentence in sentences(found, error_bound):
        say(sentence)


def sentences(found: RouteReport, error_bound: float | None) -> Sequence[str]:
    """What the figures mean."""
    said = []
    shadow, serve = found.modes.get("shadow"), found.modes.get("serve")
    if shadow is not None:
        said.append(
            f"`serve` would have given {count(shadow.served.part, 'job')} of "
            f"{shadow.served.whole:,} the answer of a similar prompt, and saved "
            f"{dollars(shadow.cost)}"
        )
    if serve is not None:
        said.append(
            f"`serve` gave {count(serve.served.part, 'job')} of {serve.served.whole:,} the answer "
            f"of a similar prompt, and saved {dollars(serve.cost)}; "
            f"{serve.wrong.whole:,} of them were checked"
        )
    if error_bound is not None:
        said += [_judged(mode, each, error_bound) for mode, each in found.modes.items()]
    return said


def _judged(mode: str, found: ModeReport, error_bound: float) -> str:
    bound = f"error_bound is {error_bound:.2%}"
    if found.wrong_of_all is None:
        return f"{mode}: {bound}; no answer was checked yet"
    _, least, most = found.wrong_of_all
    if most <= error_bound:
        return f"{mode}: {bound}; wrong answers are at most {most:.2%} of all"
    if least > error_bound:
        return f"{mode}: {bound}, and wrong answers are more: at least {least:.2%} of all"
    return f"{mode}: {bound}; too few answers were checked to say whether it holds"


def _row(mode: str, found: ModeReport) -> tuple[str, ...]:
    of_all = found.wrong_of_all
    return (
        mode,
        f"{found.answers:,}",
        f"{found.served.whole:,}",
        _share(found.served),
        _share(found.wrong),
        "unknown" if of_all is None else _with_bounds(*of_all),
        f"{found.tokens:,}",
        dollars(found.cost),
    )


def _share(share: Share) -> str:
    value = share.value
    return "unknown" if value is None else _with_bounds(value, share.least, share.most)


def _with_bounds(value: float, least: float, most: float) -> str:
    return f"{value:.2%} ({least:.2%} to {most:.2%})"


def _mode_facts(found: ModeReport) -> dict[str, Any]:
    of_all = found.wrong_of_all
    return {
        "answers": found.answers,
        "jobs": found.served.whole,
        "served": _share_facts(found.served),
        "wrong_of_served": _share_facts(found.wrong),
        "wrong_of_all": of_all and dict(zip(("share", "least", "most"), of_all, strict=True)),
        "tokens_saved": found.tokens,
        "cost_saved_usd": dollars(found.cost),
    }


def _share_facts(share: Share) -> dict[str, Any]:
    return {
        "count": share.part,
        "of": share.whole,
        "share": share.value,
        "least": share.least,
        "most": share.most,
    }


def _speaks_of(mark: Forget, observed: Observations) -> bool:
    return (
        mark.before is None
        and mark.route in (None, observed.route)
        and mark.tenant in (None, observed.tenant)
        and mark.key in (None, observed.key)
    )
