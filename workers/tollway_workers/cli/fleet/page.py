"""How lanes and workers are shown to people and to machines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from tollway_schemas.codec import encode
from tollway_workers.cli.fleet.view import FleetView, LaneView, WaitView, state_rank
from tollway_workers.cli.shared.output import Column
from tollway_workers.lanes.state import LaneState

_COLOURS = {
    LaneState.RETIRED.value: "dim",
    LaneState.PAUSED.value: "yellow",
    LaneState.PARKED.value: "bold red",
    LaneState.BROKEN.value: "bold red",
    LaneState.PROBING.value: "yellow",
    LaneState.SLOWED.value: "yellow",
    LaneState.OPEN.value: "green",
}
_LANE_COLUMNS = (
    Column("lane"),
    Column("state", colours=_COLOURS),
    Column("outstanding", right=True),
    Column("in flight", right=True),
    Column("oldest", right=True),
    Column("clear in", right=True),
    Column("owners", wraps=True),
)
_LIMIT_COLUMNS = (
    Column("of"),
    Column("limit"),
    Column("used", right=True),
    Column("allowed", right=True),
    Column("", right=True),
    Column("binds"),
)
_WAIT_COLUMNS = (
    Column("lane"),
    Column("since", right=True),
    Column("why it waits", wraps=True),
    Column("said by", wraps=True),
)
_WORKER_COLUMNS = (
    Column("worker"),
    Column("state"),
    Column("shards", wraps=True),
    Column("in flight", right=True),
    Column("waiting", right=True),
    Column("up", right=True),
    Column("heard", right=True),
    Column("release"),
)
_UNFINISHED_COLUMNS = (Column("topic"), Column("not finished", right=True))
_NONE = "-"


class Sheet(NamedTuple):
    """One table of a page."""

    columns: Sequence[Column]
    rows: Sequence[tuple[str, ...]]


def lane_sheets(lanes: Sequence[LaneView], now: float) -> list[Sheet]:
    """The lanes, the worst first, why they wait, and what they are limited by."""
    lanes = sorted(lanes, key=lambda each: state_rank(each.state))
    waits = Sheet(_WAIT_COLUMNS, _wait_rows(lanes, now))
    limits = Sheet(_LIMIT_COLUMNS, _limit_rows(lanes))
    others = [sheet for sheet in (waits, limits) if sheet.rows]
    return [Sheet(_LANE_COLUMNS, _lane_rows(lanes, now)), *others]


def lane_facts(lanes: Sequence[LaneView]) -> list[dict[str, Any]]:
    """The same for machines; times are in seconds."""
    return [
        asdict(each)
        | {
            "paused_until": _instant(each.paused_until),
            "oldest": _instant(each.oldest),
            "wait": None if each.wait is None else _wait_facts(each.wait),
            "time_to_clear": each.time_to_clear,
            "binding": each.binding,
        }
        for each in lanes
    ]


def unfinished_sheets(jobs: Mapping[str, int]) -> list[Sheet]:
    """What is left to do, by topic; no sheet where nothing is."""
    rows = [(topic, f"{count:,}") for topic, count in jobs.items()]
    return [Sheet(_UNFINISHED_COLUMNS, rows)] if rows else []


def worker_sheets(view: FleetView, now: float) -> list[Sheet]:
    """One row a worker, and the lanes that wait in them."""
    rows = [
        (
            beat.worker,
            _doing(beat.draining, beat.partitions, beat.holds_lease, beat.releasing),
            ", ".join(f"{group} {count}" for group, count in sorted(beat.shards.items())) or _NONE,
            f"{sum(lane.in_flight for lane in beat.lanes):,}",
            f"{sum(lane.waiting for lane in beat.lanes):,}",
            span(now - beat.started_at.timestamp()),
            f"{span(view.silence(beat.worker, now))} ago",
            beat.release,
        )
        for beat in view.live(now)
    ]
    waits = Sheet(_WAIT_COLUMNS, _wait_rows(view.lanes(now), now))
    return [Sheet(_WORKER_COLUMNS, rows), *([waits] if waits.rows else [])]


def worker_facts(view: FleetView, now: float) -> list[dict[str, Any]]:
    """The last heartbeat of each, for machines."""
    return [
        orjson.loads(encode(beat)) | {"heard_seconds_ago": view.silence(beat.worker, now)}
        for beat in view.live(now)
    ]


def span(seconds: float) -> str:
    """A duration in one or two units: 4s, 3m 20s, 2h 5m, 3d 4h."""
    whole = max(0, round(seconds))
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    for index, (unit, length) in enumerate(units):
        if whole >= length:
            text = f"{whole // length}{unit}"
            rest = whole % length
            if rest and index + 1 < len(units):
                smaller, part = units[index + 1]
                text += f" {rest // part}{smaller}" if rest >= part else ""
            return text
    return "0s"


def _state(lane: LaneView, now: float) -> str:
    state = lane.state
    if lane.paused_until is not None:
        state = f"paused for {span(lane.paused_until - now)}"
    if lane.behind_transactions:
        state += f", {lane.behind_transactions} partition(s) behind an open transaction"
    return state


def _lane_rows(lanes: Sequence[LaneView], now: float) -> list[tuple[str, ...]]:
    return [
        (
            each.lane,
            _state(each, now),
            f"{each.outstanding:,}",
            f"{each.in_flight:,}",
            _NONE if each.oldest is None else span(now - each.oldest),
            _NONE if each.time_to_clear is None else span(each.time_to_clear),
            ", ".join(each.owners) or "nobody",
        )
        for each in lanes
    ]


def _wait_rows(lanes: Sequence[LaneView], now: float) -> list[tuple[str, ...]]:
    return [
        (
            each.lane,
            _NONE if each.wait.since is None else span(now - each.wait.since),
            each.wait.sentence(now),
            ", ".join(each.wait.workers),
        )
        for each in lanes
        if each.wait is not None
    ]


def _wait_facts(wait: WaitView) -> dict[str, Any]:
    times = ("since", "next_try", "asked_until")
    return asdict(wait) | {name: _instant(getattr(wait, name)) for name in times}


def _limit_rows(lanes: Sequence[LaneView]) -> list[tuple[str, ...]]:
    """Each limit once: lanes of a group have some of theirs together."""
    rows: dict[tuple[str, str], tuple[str, ...]] = {}
    bound = {
        (lane.group if limit.shared else lane.lane, limit.name)
        for lane in lanes
        for limit in lane.limits
        if limit.binds
    }
    for lane in lanes:
        for limit in lane.limits:
            of = lane.group if limit.shared else lane.lane
            rows[of, limit.name] = (
                of,
                limit.name,
                f"{limit.used:,.0f}",
                f"{limit.most:,.0f}",
                f"{limit.used / limit.most:.0%}" if limit.most else _NONE,
                "yes" if (of, limit.name) in bound else "",
            )
    return list(rows.values())


def _doing(draining: bool, partitions: int, holds_lease: bool, releasing: int) -> str:
    if draining:
        return "draining"
    if not partitions:
        return "standby"
    if not holds_lease:
        return "no lease"
    return "releasing" if releasing else "working"


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
