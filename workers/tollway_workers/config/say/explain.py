"""Says what is wrong with a setting in an operator's words, and what to do. Quotes no value."""

import difflib
from collections.abc import Callable, Iterable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tollway_schemas.descriptions import descriptions
from tollway_schemas.problems import problem
from tollway_workers.config.say.fields import NAMED_TABLES, dotted, section_at, section_in
from tollway_workers.config.shape.route import MOST_LANES
from tollway_workers.errors import ConfigMistake

#: (what is wrong, what to do)
Explanation = tuple[str, str]


def explain(error: ValidationError) -> tuple[ConfigMistake, ...]:
    """One mistake for each that pydantic found, without their source."""
    details = error.errors(include_url=False, include_context=True)
    # A list with a wrong element is also counted as too short: once is enough.
    elements = {d["loc"][:-1] for d in details if d["loc"] and isinstance(d["loc"][-1], int)}
    return tuple(_mistake(d) for d in details if d["loc"] not in elements)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The closest known name as a question, else the list of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name[:100].lower(), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known here: {', '.join(names)}" if names else "none is defined"


def _mistake(detail: ErrorDetails) -> ConfigMistake:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    problem, remedy = _explanation(detail, path)
    return ConfigMistake(key=dotted(path), problem=problem, remedy=remedy)


def _explanation(detail: ErrorDetails, path: Sequence[str | int]) -> Explanation:
    if detail["loc"][-1] == "[key]":
        return (
            "is no name that can be used",
            "use lower-case letters, digits and hyphens, at most 63, the first no hyphen",
        )
    rule = _RULES.get(detail["type"])
    if rule is not None:
        return rule(detail, path)
    return problem(detail), _described(path)


def _unknown(_: ErrorDetails, path: Sequence[str | int]) -> Explanation:
    section = section_at([part for part in path[:-1] if isinstance(part, str)])
    known = section.model_fields if section is not None else ()
    return "there is no such setting", did_you_mean(str(path[-1]), known)


def _missing(_: ErrorDetails, path: Sequence[str | int]) -> Explanation:
    return "is missing", f"add it; {_described(path)}"


def _table(_: ErrorDetails, path: Sequence[str | int]) -> Explanation:
    section = section_at(path)
    if section is not None and "command" in section.model_fields:
        return (
            "must say where the secret is, not what it is",
            'write {env = "NAME"}, {file = "PATH"} or {command = ["PROGRAM", "ARGUMENT"]}',
        )
    if len(path) == 1 and path[0] in NAMED_TABLES:
        return "must be a table of tables", f"write [{path[0]}.NAME] and its settings below"
    return "must be a table", f"write [{dotted(path)}] and its settings below"


def _type(kind: str) -> Callable[[ErrorDetails, Sequence[str | int]], Explanation]:
    def rule(_: ErrorDetails, path: Sequence[str | int]) -> Explanation:
        return f"must be {kind}", _described(path)

    return rule


def _bound(words: str, limit: str) -> Callable[[ErrorDetails, Sequence[str | int]], Explanation]:
    def rule(detail: ErrorDetails, path: Sequence[str | int]) -> Explanation:
        return f"must be {words} {detail.get('ctx', {}).get(limit)}", _described(path)

    return rule


def _choice(detail: ErrorDetails, _: Sequence[str | int]) -> Explanation:
    expected = str(detail.get("ctx", {}).get("expected", "")).replace("'", '"')
    return "is none of the values that it can have", f"use {expected}"


def _pattern(_: ErrorDetails, path: Sequence[str | int]) -> Explanation:
    return "is not written as it must be", _PATTERNS.get(str(path[-1]), _described(path))


def _length(_: ErrorDetails, path: Sequence[str | int]) -> Explanation:
    if path[0] == "routes" and path[-1] == "lanes":
        return f"must name one to {MOST_LANES} lanes", 'write lanes = ["NAME"]'
    return "must not be empty", _described(path)


def _decimals(_: ErrorDetails, path: Sequence[str | int]) -> Explanation:
    if path[-1] == "per_call":
        return (
            "has more digits than a price can have",
            "give US dollars for one call, at most 12 decimals",
        )
    return (
        "has more digits than a price can have",
        "give US dollars per million tokens (not per token), at most 6 decimals",
    )


def _own_words(detail: ErrorDetails, _: Sequence[str | int]) -> Explanation:
    """Our own validators say `problem; remedy`."""
    problem, _, remedy = str(detail.get("ctx", {}).get("error", "")).partition("; ")
    return problem, remedy


def _described(path: Sequence[str | int]) -> str:
    """The setting's own description, as the code has it."""
    names = [part for part in path if isinstance(part, str)]
    section = section_at(names[:-1])
    if section is None or (described := descriptions(section).get(names[-1])) is None:
        return "see deploy/fleet.example.toml"
    text = " ".join(described.split()).rstrip(".")
    if section_in(section.model_fields[names[-1]].annotation) is not None:
        return f"see [{dotted(names)}] in deploy/fleet.example.toml"
    # An abbreviation stays one.
    first = text[0] if text[1:2].isupper() else text[0].lower()
    return f"it is: {first}{text[1:]}"


_PATTERNS = {
    "base_url": 'it is an address such as "https://host/v1"',
    "prefix": "use lower-case letters, digits, dots and hyphens, at most 63, no sign first",
    "env": 'it is the name of an environment variable, as in {env = "OPENAI_API_KEY"}',
}

_RULES: dict[str, Callable[[ErrorDetails, Sequence[str | int]], Explanation]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "model_type": _table,
    "model_attributes_type": _table,
    "dict_type": _table,
    "string_type": _type("text in quotes"),
    "int_type": _type("a whole number, without quotes"),
    "int_from_float": _type("a whole number"),
    "int_parsing_size": _type("a smaller number"),
    "float_type": _type("a number, without quotes"),
    "bool_type": _type("true or false"),
    "decimal_type": _type("a number"),
    "decimal_parsing": _type("a number"),
    "finite_number": _type("a finite number"),
    "tuple_type": _type('a list such as ["NAME"]'),
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "string_too_short": _length,
    "too_short": _length,
    "too_long": _length,
    "decimal_max_places": _decimals,
    "decimal_max_digits": _decimals,
    "decimal_whole_digits": _decimals,
    "value_error": _own_words,
}
