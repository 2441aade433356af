"""pydantic's kinds of error in words: what a value must be, or which rule it breaks. Pure.

Total over the kinds that pydantic has (a test walks them); one of a later release is said in
general words.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tollway_schemas.patterns import WORDS

Detail = Mapping[str, Any]

_TIME = "a time with its zone, such as 2026-01-31T12:00:00Z"
_DATE = "a date such as 2026-01-31"
_CLOCK = "a time of day such as 12:00:00"
_SPAN = "a duration such as PT1H30M"
_WHOLE, _NUMBER, _TEXT = "a whole number", "a number", "text"
_OBJECT, _ARRAY = "an object", "a list"
_OF_CODE = "an object of another type"

#: What a value of the wrong kind must be instead.
_KINDS: Mapping[str, str] = {
    "json_type": _TEXT,
    "string_type": _TEXT,
    "bytes_type": _TEXT,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "fraction_type": _NUMBER,
    "fraction_parsing": _NUMBER,
    "complex_type": _NUMBER,
    "complex_str_parsing": _NUMBER,
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "none_required": "null",
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "dataclass_exact_type": _OBJECT,
    "named_tuple_type": _OBJECT,
    "dict_type": _OBJECT,
    "frozen_dict_type": _OBJECT,
    "ordered_dict_type": _OBJECT,
    "counter_type": _OBJECT,
    "mapping_type": _OBJECT,
    "arguments_type": _OBJECT,
    "list_type": _ARRAY,
    "tuple_type": _ARRAY,
    "set_type": _ARRAY,
    "frozen_set_type": _ARRAY,
    "deque_type": _ARRAY,
    "iterable_type": _ARRAY,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": _TIME,
    "timezone_offset": _TIME,
    "timezone_naive": "a time without a zone",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": "a date without a time",
    "time_type": _CLOCK,
    "time_parsing": _CLOCK,
    "time_delta_type": _SPAN,
    "time_delta_parsing": _SPAN,
    "uuid_type": "a UUID",
    "uuid_parsing": "a UUID",
    "url_type": "a URL",
    "url_parsing": "a URL",
    "url_syntax_violation": "a URL",
    "is_instance_of": _OF_CODE,
    "is_subclass_of": _OF_CODE,
    "callable_type": _OF_CODE,
    "invalid-json-value": "what JSON can hold",
}


def expected(detail: Detail) -> str | None:
    """What the value must be; None where it is of the right kind and breaks a rule."""
    kind = detail["type"]
    if kind in ("literal_error", "enum"):
        return str(_context(detail, "expected", "one of the values that are allowed"))
    return _KINDS.get(kind)


def given(detail: Detail) -> str:
    """`, not text`: the kind of what is there, never what it is; empty where that says nothing."""
    value = detail["input"]
    if isinstance(value, str) and not detail["type"].endswith("_type"):
        # Text that is not read as a time, or is none of the words that are allowed.
        return ""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number with decimals"),
        (str, "text"),
        ((list, tuple), "a list"),
        (dict, "an object"),
    )
    if value is None:
        return ", not null"
    return next((f", not {words}" for kind, words in kinds if isinstance(value, kind)), "")


def problem(detail: Detail) -> str:
    """The rule that a value breaks, or what it must be, without what it is."""
    rule = _RULES.get(detail["type"])
    if rule is not None:
        return rule(detail)
    kind = expected(detail)
    return "has a value that cannot be used here" if kind is None else f"must be {kind}"


def _context(detail: Detail, name: str, otherwise: object = "") -> object:
    return detail.get("ctx", {}).get(name, otherwise)


def _bound(words: str, name: str) -> Callable[[Detail], str]:
    def rule(detail: Detail) -> str:
        limit = _context(detail, name)
        whole = isinstance(limit, float) and limit.is_integer()
        return f"must be {words} {f'{limit:g}' if whole else limit}"

    return rule


def _plain(words: str) -> Callable[[Detail], str]:
    return lambda _: words


def _at_least(what: str) -> Callable[[Detail], str]:
    def rule(detail: Detail) -> str:
        least = _context(detail, "min_length", 1)
        return "must not be empty" if least == 1 else f"must have at least {least} {what}"

    return rule


def _at_most(what: str) -> Callable[[Detail], str]:
    return lambda detail: f"must have at most {_context(detail, 'max_length')} {what}"


def _pattern(detail: Detail) -> str:
    pattern = str(_context(detail, "pattern"))
    return WORDS.get(pattern, f"must be written as {pattern}")


def _own_words(detail: Detail) -> str:
    """A validator's own sentence."""
    return str(_context(detail, "error")) or "has a value that cannot be used here"


def _tag(detail: Detail) -> str:
    tags = _context(detail, "expected_tags")
    which = str(_context(detail, "discriminator", "type")).strip("'")
    return f"must have a {which} of {tags}" if tags else f"must have a {which}"


def _digits(words: str, name: str) -> Callable[[Detail], str]:
    return lambda detail: f"must have at most {_context(detail, name)} {words}"


_MISSING, _UNKNOWN = _plain("is missing"), _plain("unknown field")
_OBJECT_ONLY = _plain("can only be had from Python objects")
_FROZEN = _plain("cannot be changed")
_NESTED = _plain("refers to itself, or is nested too deep")
_UTF8 = _plain("has text that UTF-8 cannot carry")
_UNUSABLE = _plain("has a value that cannot be used here")

_RULES: Mapping[str, Callable[[Detail], str]] = {
    "missing": _MISSING,
    "missing_argument": _MISSING,
    "missing_keyword_only_argument": _MISSING,
    "missing_positional_only_argument": _MISSING,
    "missing_sentinel_error": _MISSING,
    "default_factory_not_called": _MISSING,
    "extra_forbidden": _UNKNOWN,
    "unexpected_keyword_argument": _UNKNOWN,
    "unexpected_positional_argument": _UNKNOWN,
    "multiple_argument_values": _plain("is given twice"),
    "no_such_attribute": _UNKNOWN,
    "invalid_key": _plain("has a key that is no text"),
    "json_invalid": lambda detail: f"is not JSON: {_context(detail, 'error')}",
    "needs_python_object": _OBJECT_ONLY,
    "get_attribute_error": _OBJECT_ONLY,
    "recursion_loop": _NESTED,
    "recursion_depth_exceeded": _NESTED,
    "frozen_field": _FROZEN,
    "frozen_instance": _FROZEN,
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "multiple_of": _bound("a multiple of", "multiple_of"),
    "finite_number": _plain("must be a finite number"),
    "int_parsing_size": _plain("has too many digits"),
    "too_short": _at_least("entries"),
    "too_long": _at_most("entries"),
    "string_too_short": _at_least("characters"),
    "string_too_long": _at_most("characters"),
    "bytes_too_short": _at_least("bytes"),
    "bytes_too_long": _at_most("bytes"),
    "url_too_long": _at_most("characters"),
    "iteration_error": _UNUSABLE,
    "ellipsis_error": _UNUSABLE,
    "set_item_not_hashable": _plain("must be text or a number"),
    "string_unicode": _UTF8,
    "bytes_invalid_encoding": _UTF8,
    "string_not_ascii": _plain("must be ASCII"),
    "string_pattern_mismatch": _pattern,
    "value_error": _own_words,
    "assertion_error": _own_words,
    "date_past": _plain("must be in the past"),
    "date_future": _plain("must be in the future"),
    "datetime_past": _plain("must be in the past"),
    "datetime_future": _plain("must be in the future"),
    "union_tag_invalid": _tag,
    "union_tag_not_found": _tag,
    "url_scheme": lambda detail: f"must begin with {_context(detail, 'expected_schemes')}",
    "uuid_version": lambda detail: (
        f"must be a UUID of version {_context(detail, 'expected_version')}"
    ),
    "decimal_max_digits": _digits("digits", "max_digits"),
    "decimal_max_places": _digits("decimals", "decimal_places"),
    "decimal_whole_digits": _digits("digits before the point", "whole_digits"),
}
