"""What is wrong with an answer, in words that quote none of its values."""

from itertools import islice
from typing import Any

import jsonschema_rs

#: Problems that are named, and the characters of one.
MOST_PROBLEMS = 10
LONGEST_PROBLEM = 200

#: The validator lists every problem before it gives the first, at about 20 us each. Beyond these
#: sizes (bytes) only the first is asked for, then none.
_LISTED_UP_TO = 64 * 1024
_FIRST_UP_TO = 256 * 1024

#: Branches of a recursive schema that a deep answer may run into.
_MOST_BRANCHES = 2_000

_SOMEWHERE = "/: the answer breaks the schema; it is too large or too deep to say where"


def masked_problems(
    validator: jsonschema_rs.Validator, value: Any, *, size: int, recursions: int
) -> tuple[str, ...]:
    """At most ten problems of an answer of `size` bytes: where it is, and which rule it breaks.

    Names of properties are shown, values never.
    """
    if size > _FIRST_UP_TO or _branches(value, recursions) > _MOST_BRANCHES:
        return (_SOMEWHERE,)
    try:
        if size > _LISTED_UP_TO:
            validator.validate(value)
            return (_SOMEWHERE,)
        errors = islice(validator.iter_errors(value), MOST_PROBLEMS)
        return tuple(_problem(error) for error in errors) or (_SOMEWHERE,)
    except jsonschema_rs.ValidationError as error:
        return (_problem(error),)
    except ValueError:
        # The validator's own limit on nesting.
        return (_SOMEWHERE,)


def _problem(error: jsonschema_rs.ValidationError) -> str:
    path = "".join(f"/{_escaped(part)}" for part in error.instance_path)
    return f"{path or '/'}: {' '.join(error.message.split())}"[:LONGEST_PROBLEM]


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _branches(value: Any, recursions: int) -> int:
    return 1 if recursions < 2 else recursions ** min(_depth(value), 64)


def _depth(value: Any) -> int:
    """Levels of nesting, found level by level: an answer may be deeper than Python's stack."""
    depth = 0
    level = [value]
    while level:
        level = [child for node in level for child in _children(node)]
        depth += 1
    return depth


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []
