"""Strings for a JSON Schema: by format, by pattern, or words of the right length."""

import random
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from tollway_workers.local.simulator.values.merge import DeadEnd
from tollway_workers.local.simulator.values.patterns import UnsupportedPattern, compile_pattern

_WORDS = (
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "juniper",
    "kettle",
)
_PATTERN_TRIES = 40
_LONGEST = 1_000_000


def _date(rng: random.Random) -> str:
    return f"{rng.randint(1990, 2030)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _time(rng: random.Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z"


def _host(rng: random.Random) -> str:
    return f"{rng.choice(_WORDS)}.example.com"


_FORMATS: dict[str, Callable[[random.Random], str]] = {
    "date-time": lambda rng: f"{_date(rng)}T{_time(rng)}",
    "date": _date,
    "time": _time,
    "duration": lambda rng: f"P{rng.randint(1, 30)}DT{rng.randint(1, 23)}H",
    "email": lambda rng: f"{rng.choice(_WORDS)}@example.com",
    "idn-email": lambda rng: f"{rng.choice(_WORDS)}@example.com",
    "hostname": _host,
    "idn-hostname": _host,
    "ipv4": lambda rng: f"192.0.2.{rng.randint(1, 254)}",
    "ipv6": lambda rng: f"2001:db8::{rng.randint(1, 0xFFFF):x}",
    "uuid": lambda rng: str(UUID(int=rng.getrandbits(128), version=4)),
    "uri": lambda rng: f"https://{_host(rng)}/{rng.choice(_WORDS)}",
    "iri": lambda rng: f"https://{_host(rng)}/{rng.choice(_WORDS)}",
    "uri-reference": lambda rng: f"/{rng.choice(_WORDS)}",
    "iri-reference": lambda rng: f"/{rng.choice(_WORDS)}",
    "uri-template": lambda rng: f"https://{_host(rng)}/{{id}}",
    "json-pointer": lambda rng: f"/{rng.choice(_WORDS)}",
    "relative-json-pointer": lambda rng: f"{rng.randint(0, 3)}/{rng.choice(_WORDS)}",
    "regex": lambda rng: f"^{rng.choice(_WORDS)}$",
}


def string_for(schema: dict[str, Any], rng: random.Random) -> str:
    """A string that likely satisfies `schema`; the caller checks it."""
    least = int(schema.get("minLength", 0))
    if least > _LONGEST:
        raise DeadEnd
    most = int(schema.get("maxLength", least + 40))
    pattern = schema.get("pattern")
    make = _FORMATS.get(schema.get("format", ""))
    # With both, the format is the narrower: a pattern sampled alone would hardly be a date.
    if isinstance(pattern, str) and make is None:
        return _matching(pattern, least, most, rng)
    return make(rng) if make else _text(least, most, rng)


def _text(least: int, most: int, rng: random.Random) -> str:
    words = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 5)))
    # Dots, because a space at the end may be trimmed by a reader.
    return words[:most].rstrip().ljust(least, ".")


def _matching(pattern: str, least: int, most: int, rng: random.Random) -> str:
    candidate = ""
    for candidate in _candidates(pattern, least, most, rng):
        if least <= len(candidate) <= most and _matches(pattern, candidate):
            return candidate
    return candidate


def _candidates(pattern: str, least: int, most: int, rng: random.Random) -> Iterator[str]:
    try:
        short = compile_pattern(pattern, most_repeats=4)
        long = compile_pattern(pattern, most_repeats=max(4, min(most, least + 40)))
    except UnsupportedPattern:
        # Nothing is known of it: perhaps one of the usual suspects will do.
        for sample in _FORMATS.values():
            yield sample(rng)
        for _ in range(_PATTERN_TRIES):
            text = _text(least, most, rng)
            yield from (text, text.upper(), text.title(), text.replace(" ", ""))
        yield from ("0", "1", "a", "A", "a1", "Abc123", "Abc-123", "Passw0rd!", "12345", "")
        return
    for _ in range(_PATTERN_TRIES):
        text = short(rng)
        yield text
        # A pattern without anchors leaves room around it.
        yield text.ljust(least, "a")
        yield long(rng)


def _matches(pattern: str, candidate: str) -> bool:
    try:
        return re.search(pattern, candidate) is not None
    except re.error:
        # Another dialect than Python's: the schema's own validator will say.
        return True
