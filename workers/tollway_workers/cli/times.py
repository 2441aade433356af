"""Times as people write them on a command line."""

import re

import typer

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def seconds_in(text: str) -> float:
    """Seconds in `90s`, `30m`, `2h` or `7d`. Raises typer.BadParameter."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time such as 90s, 30m, 2h or 7d")
    return float(found[1]) * _UNITS[found[2]]
