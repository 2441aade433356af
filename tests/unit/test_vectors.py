"""Vectors as answers hold them: every float32 comes back as it was, and nothing else is one."""

import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.job.vectors import (
    BadVector,
    encoded_vectors,
    numbers_in,
    packed,
    packed_of_base64,
    vectors_in,
)

_NUMBERS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1)


@given(vectors=st.lists(_NUMBERS))
def test_numbers_come_back_as_they_were(vectors: list[list[float]]) -> None:
    text = encoded_vectors(map(packed, vectors))

    assert [numbers_in(each) for each in vectors_in(text)] == vectors


@given(numbers=_NUMBERS)
def test_they_are_little_endian_float32_as_openai_s(numbers: list[float]) -> None:
    said = b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()

    assert packed_of_base64(said) == packed(numbers)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '["AAA"]', '["AAA="]', '[""]', '["AADAfw=="]', "[[1.0]]"]
)
def test_what_is_no_list_of_vectors_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadVector):
        vectors_in(text)


@pytest.mark.parametrize("numbers", [[], ["1"], [None], [float("inf")], [1e300], [10**400]])
def test_what_holds_no_numbers_is_no_vector(numbers: list[object]) -> None:
    with pytest.raises(BadVector):
        packed(numbers)
