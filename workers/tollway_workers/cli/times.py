"""Times as people write them on a command line."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
#: Seconds of the longest time: counted from today, either way, it is an instant.
_LONGEST = 36_525 * _UNITS["d"]


def seconds_in(text: str) -> float:
    """Seconds in `90s`, `30m`, `2h` or `7d`. Raises typer.BadParameter."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time such as 90s, 30m, 2h or 7d")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise typer.BadParameter(f"{text!r} is more than 100 years")
    return seconds


def instant_in(text: str) -> datetime:
    """The instant that is so long ago, such as `2h`, or that is named; without a zone it is UTC.

    Raises typer.BadParameter.
    """
    if re.fullmatch(r"[\d.]+[smhd]", text):
        return datetime.now(UTC) - timedelta(seconds=seconds_in(text))
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time such as 90s, 30m, 2h or 7d (ago), or 2026-01-31T08:00Z"
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def a_minute_in(text: str) -> float:
    """How many a minute are `600/min`, `10/s` or `36000/h`. Raises typer.BadParameter."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)/(s|min|h)", text)
    if found is None or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is no rate such as 600/min, 10/s or 36000/h")
    return float(found[1]) * {"s": 60.0, "min": 1.0, "h": 1 / 60}[found[2]]
