"""Fingerprints: equal for dead letters of one cause, whatever is different in each of them."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.failure import FailureClass, fingerprint

#: Problems as the validator, a route's check and providers say them: `%s` is what varies.
_PROBLEMS = {
    "number": "/lines/%s/total: the value is more than the maximum of 10",
    "numbers": "the prompt has %s tokens, the limit of the model is 8,192",
    "id": "/by_id/%s/name: the value is not of type string",
    "quoted": "Additional properties are not allowed ('%s' was unexpected)",
    "double": '/kind: "%s" is not a kind of invoice',
}
_NUMBERS = st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
_IDS = st.uuids().map(str) | st.integers(0, 2**64).map("req_{:x}0".format)
_TEXTS = st.text(max_size=30).filter(lambda text: not re.search("[\"'`“”]", text))
_VARYING = {"number": _NUMBERS, "numbers": _NUMBERS, "id": _IDS, "quoted": _TEXTS, "double": _TEXTS}


def of(detail: str, route: str = "extract", kind: FailureClass = FailureClass.BAD_OUTPUT) -> str:
    return fingerprint(route, kind, detail)


@pytest.mark.parametrize("name", _PROBLEMS)
@given(st.data())
def test_a_fingerprint_is_the_same_whatever_id_number_or_value_a_problem_quotes(
    name: str, data: st.DataObject
) -> None:
    one, other = data.draw(_VARYING[name]), data.draw(_VARYING[name])

    assert of(_PROBLEMS[name] % one) == of(_PROBLEMS[name] % other)


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_has_a_fingerprint_which_says_nothing_of_it(one: str, other: str) -> None:
    assert re.fullmatch("[0-9a-f]{16}", of(one))
    assert of(one) == of(one)


def test_other_problems_places_routes_and_classes_have_other_fingerprints() -> None:
    details = [
        "/total: the value is not of type number",
        "/total: the value is less than the minimum of 0",
        "/name: the value is not of type number",
        '/: "total" is a required property',
        '/: "name" is a required property',
        "unsupported_parameter",
        "400",
        "404",
    ]
    found = [of(each) for each in details]
    found += [of(details[0], route="other"), of(details[0], kind=FailureClass.INVALID_JOB)]

    assert len(set(found)) == len(found)


def test_a_required_property_is_one_cause_wherever_it_is_missing() -> None:
    assert of('/lines/3: "total" is a required property') == of(
        '/lines/17: "total" is a required property'
    )


def test_however_many_properties_are_unexpected_the_cause_is_one() -> None:
    one = "/: Additional properties are not allowed ('a' was unexpected)"
    two = "/: Additional properties are not allowed ('b', 'c' were unexpected)"

    assert of(one) == of(two)


def test_an_id_in_a_providers_code_does_not_count() -> None:
    codes = [f"no_such_file-{UUID(int=n).hex}" for n in (1, 2)]

    assert of(codes[0]) == of(codes[1])
