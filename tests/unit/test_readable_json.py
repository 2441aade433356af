"""Bodies that a strict reader of JSON refuses, and that are whole all the same."""

import json
from contextlib import suppress
from time import perf_counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.codec import decode, encode
from tollway_schemas.reply import Answer
from tollway_workers.job.readable_json import encoded, is_too_deep, read_body, read_text

LATIN = {"content-type": "application/json; charset=ISO-8859-1"}
TEXT = '{"a": "café"}'


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'{"a": "cut \ud83d here"}', {"a": "cut \ufffd here"}),
        (rb'{"a": "\udcaf"}', {"a": "\ufffd"}),
        (rb'{"\ud83d": 1}', {"\ufffd": 1}),
        (rb'["\ud83d\ud83d\ude00"]', ["\ufffd\U0001f600"]),
        (rb'["\\ud83d", "\ud83d"]', ["\\ud83d", "\ufffd"]),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": NaN, "b": [Infinity, -Infinity]}', {"a": None, "b": [None, None]}),
        (b'{"NaN": "NaN, Infinity", "a": NaN}', {"NaN": "NaN, Infinity", "a": None}),
        (b'{"a": 1e999, "b": -1e999, "c": 1e-999}', {"a": None, "b": None, "c": 0.0}),
        (b'{"a": %b}' % (b"9" * 4_000), {"a": None}),
        (b'{"a": "two\nlines\x00\x1b"}', {"a": "two\nlines\x00\x1b"}),
        (b'{"a": 1, "a": NaN}', {"a": None}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (TEXT.encode("utf-16"), {"a": "café"}),
        (TEXT.encode("utf-16-le"), {"a": "café"}),
        (TEXT.encode("utf-16-be"), {"a": "café"}),
        (TEXT.encode("utf-32"), {"a": "café"}),
        (b' \n\r\n {"a": NaN} \n', {"a": None}),
    ],
)
def test_a_whole_body_is_read_and_becomes_json_for_everybody(body: bytes, value: Any) -> None:
    read = read_body(body, {})

    assert (read.value, read.has_rest) == (value, False)
    assert orjson.loads(read.encoded) == json.loads(read.encoded) == value


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (TEXT.encode("latin-1"), LATIN, "café"),
        (TEXT.encode("cp1252"), {"content-type": "text/plain;charset=windows-1252"}, "café"),
        # What is UTF-8 is UTF-8, whatever a header says.
        (TEXT.encode(), LATIN, "café"),
        (TEXT.encode("latin-1"), {"content-type": "x; charset=no-such"}, "caf\ufffd"),
        (TEXT.encode("latin-1"), {"content-type": "x; charset=punycode"}, "caf\ufffd"),
    ],
)
def test_a_charset_is_taken_from_the_header_where_it_is_needed(
    body: bytes, headers: dict[str, str], said: str
) -> None:
    assert read_body(body, headers).value == {"a": said}


def test_what_a_strict_reader_takes_is_not_touched() -> None:
    body = b'{"a":  1.50, "b": 123456789012345678901234567890}'

    assert read_body(body, {}).encoded is body


@pytest.mark.parametrize("rest", [b"\x00\x00", b" x", b"\n<br/>", b'{"b": 2}', b"\ndata: [DONE]"])
def test_what_follows_an_object_is_told(rest: bytes) -> None:
    read = read_body(b'{"a": 1}' + rest, {})

    assert (read.value, read.has_rest) == ({"a": 1}, True)


@pytest.mark.parametrize(
    "body",
    [b"", b"\0", b"<html>", b'{"a": 1', b'{"a": "x', b"{'a': 1}", b'{"a": 1,}', b"502 Bad Gateway",
     b"null and void", b"[proxy] down", b"[" * 5_000, b'{"a": nan}', b'{"a": "\\x"}'],
)  # fmt: skip
def test_what_is_cut_or_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_body(body, {})


def test_whole_numbers_of_an_answer_keep_their_digits() -> None:
    text = '{"id": 123456789012345678901234567890, "x": 0.1}'

    value, same = read_text(text)

    assert same is text
    assert value == json.loads(text)
    assert decode(Answer, encode(Answer(parsed=value))).parsed == value


def test_whole_numbers_of_a_body_keep_their_digits_and_are_written_with_them() -> None:
    body = b'{"id":123456789012345678901234567890,"x":0.1,"y":-1e+16}'

    read = read_body(body, {})

    assert read.encoded is body
    assert read.value == json.loads(body)
    assert encoded(read.value) == body


@pytest.mark.parametrize("innermost", [1, 2**70])
def test_what_is_too_deep_for_a_writer_is_refused_whatever_is_in_it(innermost: int) -> None:
    value: Any = innermost
    for _ in range(1_000):
        value = [value]

    with pytest.raises(ValueError, match="depth"):
        encoded(value)


@pytest.mark.parametrize(("levels", "deep"), [(180, False), (181, True), (5_000, True)])
def test_depth_is_counted_outside_of_texts(levels: int, deep: bool) -> None:
    assert is_too_deep(b"[" * levels + b"]" * levels) is deep
    assert not is_too_deep(b'["%b\\"[", {}]' % (b"[" * levels))
    assert not is_too_deep(b"[" + b"[]," * levels + b"[]]")


@pytest.mark.parametrize(
    "piece", [b'"', b'"\\', b'\\"', b"[", b'{"a":', b"NaN,", b"\\ud83d", b"1e"]
)
def test_no_body_makes_reading_slow(piece: bytes) -> None:
    body = piece * (1_000_000 // len(piece))
    began = perf_counter()

    with suppress(ValueError):
        read_body(body, {})
    is_too_deep(body)

    assert perf_counter() - began < 5


@given(st.binary() | st.text().map(str.encode) | st.text().map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_json_for_everybody_or_refused(body: bytes) -> None:
    with suppress(ValueError):
        read = read_body(b'{"a": "' + body + b'"}', LATIN)
        orjson.loads(read.encoded)
        assert read_body(read.encoded, {}).value == read.value
        assert read_body(encoded(read.value), {}).value == read.value
