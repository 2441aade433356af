"""Sizes as people write them on a command line."""

import re

_SIZE = re.compile(r"(\d{1,12})\s*([kmg]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30}


def size(text: str) -> int:
    """Bytes: `4194304`, `4MiB`, `4M`, `512k`, in powers of 1,024. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a number of bytes, such as 4194304 or 4MiB")
    return int(match[1]) << _UNITS[match[2].lower()]
