"""What kind of file the input is, by its begin: lines, items, or nothing to be read. Pure.

A file that is something else is refused as a whole, in one sentence that says what it is: judged
line by line it would be an error for each line.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import orjson

#: How many lines that count are looked at.
LINES_LOOKED_AT = 5
#: Bytes by which a kind of file is known; those of a tar archive stand last.
HEAD = 512


class Form(StrEnum):
    """How requests stand in a file that can be read."""

    LINES = "lines"
    ITEMS = "items"


#: How a file begins, what it then is, and what makes lines of it.
_BEGINS: Sequence[tuple[bytes, str, str]] = (
    (b"\xff\xfe\0\0", "UTF-32 text", "convert it: iconv -f UTF-32 -t UTF-8"),
    (b"\0\0\xfe\xff", "UTF-32 text", "convert it: iconv -f UTF-32 -t UTF-8"),
    (b"\xff\xfe", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"),
    (b"\x1f\x8b", "compressed with gzip twice", "unpack it once: gunzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it: zstd -d"),
    (b"BZh", "compressed with bzip2", "unpack it: bunzip2"),
    (b"\xfd7zXZ\0", "compressed with xz", "unpack it: unxz"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "unpack it: lz4 -d"),
    (b"\xff\x06\0\0sNaPpY", "compressed with snappy", "unpack it"),
    (b"\x1f\x9d", "compressed with compress", "unpack it: uncompress"),
    (b"PK\x03\x04", "a zip archive or an Office file", "unpack it, or export it as JSON Lines"),
    (b"PK\x05\x06", "an empty zip archive", "give a file of requests"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"PAR1", "a Parquet file", "write its rows as JSON Lines"),
    (b"ARROW1", "an Arrow file", "write its rows as JSON Lines"),
    (b"Obj\x01", "an Avro file", "write its rows as JSON Lines"),
    (b"ORC", "an ORC file", "write its rows as JSON Lines"),
    (b"SQLite format 3\0", "an SQLite database", "write its rows as JSON Lines"),
    (b"\xd0\xcf\x11\xe0", "an old Office file", "export it as JSON Lines"),
    (b"\x89HDF", "an HDF5 file", "write its rows as JSON Lines"),
    (b"\x93NUMPY", "a NumPy file", "write its rows as JSON Lines"),
    (b"%PDF", "a PDF", "give a file of requests"),
    (b"\x89PNG", "an image", "give a file of requests"),
    (b"\xff\xd8\xff", "an image", "give a file of requests"),
    (b"GIF8", "an image", "give a file of requests"),
    (b"\x7fELF", "a program", "give a file of requests"),
)
_TAR = slice(257, 262)
_WANTED = (
    "each line must be a request in OpenAI's Batch format: "
    '{"custom_id": ..., "method": "POST", "url": "/v1/chat/completions", "body": {...}}, '
    'or in Anthropic\'s: {"custom_id": ..., "params": {...}}'
)

#: Keys of lines that are no requests, and what has such lines; the first that fit count.
_FOREIGN: Sequence[tuple[frozenset[str], str]] = (
    (frozenset({"custom_id", "response", "error"}), "the results of a batch, not its requests"),
    (frozenset({"custom_id", "result"}), "the results of an Anthropic batch, not its requests"),
    (frozenset({"key", "response"}), "the results of a Gemini batch, not its requests"),
    (frozenset({"key", "request"}), "requests in Gemini's batch format"),
    (frozenset({"request", "response"}), "the results of a Vertex AI batch, not its requests"),
    (frozenset({"request"}), "requests in Vertex AI's batch format"),
    (frozenset({"recordId", "modelInput"}), "requests in Amazon Bedrock's batch format"),
    (frozenset({"recordId", "modelOutput"}), "the results of an Amazon Bedrock batch"),
    (frozenset({"contents"}), "bodies of Gemini requests"),
    (frozenset({"messages"}), "conversations or bodies without their envelope"),
    (frozenset({"prompt", "completion"}), "prompts and completions, as for fine-tuning"),
    (frozenset({"prompt"}), "prompts alone"),
)
#: Keys of which a request has at least one that others have not.
_OURS = frozenset({"method", "url", "body", "params"})


def no_text(head: bytes) -> str | None:
    """What a file is that is no text in UTF-8, and what to do; None if it may be some."""
    for begin, kind, remedy in _BEGINS:
        if head.startswith(begin):
            return f"is {kind}, not JSON Lines: {remedy}"
    if head[_TAR] == b"ustar":
        return "is a tar archive, not JSON Lines: unpack it: tar -x"
    if b"\0" in head:
        return _with_zeros(head)
    return None


def form_of(begin: bytes, lines: Sequence[bytes | None], first_item: bytes | None) -> Form | str:
    """How requests stand in a file, or what it is that holds none.

    `begin`: its first byte that is not blank. `lines`: the first that are not blank, None for one
    that is longer than a request may be. `first_item`: the value that the file begins with, where
    that goes on beyond the first line, or where that line holds more than one.
    """
    read = [None if line is None else _json(line) for line in lines]
    objects = [item for item in read if isinstance(item, dict)]
    if begin == b"[" and (read[0] is None or not objects):
        return Form.ITEMS
    if first_item is not None and isinstance(whole := _json(first_item), dict):
        return _foreign([whole]) or _document(whole) or Form.ITEMS
    if objects and len(objects) == len(read):
        document = _document(objects[0]) if len(lines) == 1 else None
        return _foreign(objects) or document or Form.LINES
    if objects or None in lines:
        return Form.LINES
    return f"is not JSON Lines: {_looks_like([line for line in lines if line])}; {_WANTED}"


def foreign_items(items: Sequence[bytes]) -> str | None:
    """What the first items of an array are if they are no requests; None if they may be."""
    if not items:
        return "is an empty JSON array: there is nothing to do"
    read = [_json(item) for item in items]
    if not any(isinstance(item, dict) for item in read):
        return f"is a JSON array, but not of objects; {_WANTED.replace('line', 'item')}"
    return _foreign([item for item in read if isinstance(item, dict)])


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _foreign(objects: Sequence[Mapping[str, Any]]) -> str | None:
    """What lines are that have all the keys of another format and none of ours."""
    for keys, kind in _FOREIGN:
        if all(keys <= item.keys() and not item.keys() & _OURS for item in objects):
            return f"holds {kind}; {_WANTED}"
    return None


def _document(whole: Mapping[str, Any]) -> str | None:
    """What one object is that holds its requests in a list."""
    lists = [name for name, value in whole.items() if isinstance(value, list)]
    if whole.keys() & (_OURS | {"custom_id"}) or not lists:
        return None
    name = repr(lists[0][:40])
    return f"is one JSON object with a list under {name}, not JSON Lines; {_WANTED}"


def _with_zeros(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark has zeros at every second place, or at three of four."""
    if b"\0\0\0" in (head[:3], head[1:4]):
        return "is UTF-32 text, not UTF-8: convert it: iconv -f UTF-32 -t UTF-8"
    zeros = [not byte for byte in head[:4]]
    if zeros in ([True, False, True, False], [False, True, False, True]):
        kind = "UTF-16BE" if zeros[0] else "UTF-16LE"
        return f"is UTF-16 text, not UTF-8: convert it: iconv -f {kind} -t UTF-8"
    if not head.lstrip().startswith((b"{", b"[")):
        return "is a binary file, not JSON Lines: give a file of requests"
    return None


def _looks_like(lines: Sequence[bytes]) -> str:
    first = lines[0]
    if first.startswith(b"<"):
        return "it looks like XML or HTML"
    if first.startswith(b"{'"):
        return "it looks like printed Python dictionaries (write them with json.dumps)"
    if first.startswith(b"{"):
        return "its first lines are not whole JSON objects"
    for sign, kind in ((b"\t", "TSV"), (b",", "CSV"), (b";", "CSV")):
        if all(sign in line for line in lines):
            return f"it looks like {kind}"
    if first.startswith((b"---", b"- ")):
        return "it looks like YAML"
    return "its first lines are not JSON objects"
