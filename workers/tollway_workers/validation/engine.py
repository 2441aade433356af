"""The validator library, told once what it may do. Imports nothing of ours, as `confined_child`."""

from itertools import islice
from typing import Any, NoReturn

import jsonschema_rs

#: Problems that are named, and the characters of one.
MOST_PROBLEMS = 10
LONGEST_PROBLEM = 200

SOMEWHERE = "/: the answer breaks the schema; it is too large or too deep to say where"

#: Look-around needs an engine that goes back; the limits stop a pattern after a few milliseconds,
#: and a value that meets one is taken as not matching.
_PATTERNS = jsonschema_rs.FancyRegexOptions(
    backtrack_limit=100_000, size_limit=2**20, dfa_size_limit=2**16
)
_MASK = "the value"

Schema = dict[str, Any] | bool


def compiled(schema: Schema) -> jsonschema_rs.Validator:
    """The schema, ready to be used. Raises ValueError, whose text is one sentence for a person."""
    try:
        return jsonschema_rs.validator_for(
            schema,
            retriever=_refuse,
            mask=_MASK,
            pattern_options=_PATTERNS,
            validate_formats=True,
        )
    except ValueError as error:
        raise ValueError(f"the schema is not valid: {_first_line(error)}") from None
    except BaseException as error:
        # A panic in the compiler's Rust code is no Exception; ours to name, and no reason to stop.
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("the schema is not valid: it breaks the schema compiler") from None


def accepts(validator: jsonschema_rs.Validator, value: Any) -> bool:
    """Whether `value` satisfies the schema; one that is nested too deeply does not."""
    try:
        return validator.is_valid(value)
    except ValueError:
        return False


def masked_problems(validator: jsonschema_rs.Validator, value: Any) -> tuple[str, ...]:
    """At most ten problems of an answer that is not accepted: where, and which rule it breaks.

    Names of properties are shown, values never. The validator lists every problem before it gives
    the first, with a copy of the rule for each: that may take any time and memory.
    """
    try:
        errors = islice(validator.iter_errors(value), MOST_PROBLEMS)
        return tuple(_problem(error) for error in errors) or (SOMEWHERE,)
    except ValueError:
        # The validator's own limit on nesting.
        return (SOMEWHERE,)


def _problem(error: jsonschema_rs.ValidationError) -> str:
    path = "".join(f"/{_escaped(part)}" for part in error.instance_path)
    return f"{path or '/'}: {' '.join(error.message.split())}"[:LONGEST_PROBLEM]


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _refuse(uri: str, /) -> NoReturn:
    """Called by the compiler for whatever is not in the schema itself."""
    raise ValueError("nothing is ever fetched")


def _first_line(error: ValueError) -> str:
    if isinstance(error, jsonschema_rs.ValidationError):
        path = "".join(f"/{part}" for part in error.instance_path)
        return f"{path or '/'}: {error.message}"[:200]
    return str(error).partition("\n")[0][:200]
