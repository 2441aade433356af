"""What stands in an input file: requests in lines, in an array or packed, or something else."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tollway_workers.cli.batch.file import BatchFile
from tollway_workers.cli.batch.items import ItemReader, NotItems
from tollway_workers.errors import InputError

LONGEST = 10_000


def request(custom_id: str, content: str = "hi") -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


REQUESTS = [request("a", 'quotes " and \\ and [brackets}'), request("b"), request("c")]
LINES = b"".join(orjson.dumps(each) + b"\n" for each in REQUESTS)
PRETTY = "\n".join(json.dumps(each, indent=2) for each in REQUESTS).encode()
CSV = b"id,prompt\n1,hello\n2,bye\n"


def in_lines(*objects: object) -> bytes:
    return b"".join(orjson.dumps(each) + b"\n" for each in objects)


def opened(folder: Path, content: bytes) -> BatchFile:
    path = folder / "in.jsonl"
    path.write_bytes(content)
    return BatchFile.open(path, longest_line=LONGEST)


def ids(file: BatchFile) -> list[tuple[int, str]]:
    return [
        (number, orjson.loads(item)["custom_id"])
        for number, item in file.lines()
        if item is not None
    ]


READABLE: dict[str, bytes] = {
    "lines": LINES,
    "lines with a mark": b"\xef\xbb\xbf" + LINES,
    "gzip": gzip.compress(LINES),
    "two gzips in a row": gzip.compress(LINES[:50]) + gzip.compress(LINES[50:]),
    "an array": orjson.dumps(REQUESTS),
    "an array over lines": json.dumps(REQUESTS, indent=1).encode(),
    "an array with a mark": b"\xef\xbb\xbf \n" + orjson.dumps(REQUESTS) + b"\n",
    "an array in gzip": gzip.compress(json.dumps(REQUESTS, indent=1).encode()),
    "an array with one in each line": b"[\n" + LINES.strip().replace(b"\n", b",\n") + b"\n]\n",
    "pretty-printed": PRETTY,
    "all in one line": LINES.replace(b"\n", b""),
    "lines with commas": LINES.strip().replace(b"\n", b",\n"),
    "lines of old Macs": LINES.replace(b"\n", b"\r"),
    "lines of Windows": LINES.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("name", READABLE)
def test_requests_are_found_however_they_are_written(tmp_path: Path, name: str) -> None:
    with opened(tmp_path, READABLE[name]) as file:
        assert ids(file) == ids(file) == [(1, "a"), (2, "b"), (3, "c")]


def test_what_a_packed_file_says_is_the_same_file(tmp_path: Path) -> None:
    with opened(tmp_path, LINES) as plain, opened(tmp_path, gzip.compress(LINES)) as packed:
        assert plain.sha256() == packed.sha256()


def _zip(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("jobs.jsonl", content)
    return packed.getvalue()


def _tar(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("jobs.jsonl")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty: there is nothing to do"),
    "an empty gzip": (gzip.compress(b""), "is empty"),
    "a mark alone": (b"\xef\xbb\xbf", "is empty"),
    "blank lines": (b"\n  \n\r\n\t", "has blank lines only"),
    "an empty array": (b" [ ]\n", "is an empty JSON array"),
    "an array of numbers": (b"[1, 2, 3]", "is a JSON array, but not of objects"),
    "an array that is cut": (orjson.dumps(REQUESTS)[:-9], "ends within item 3"),
    "an array without its end": (orjson.dumps(REQUESTS)[:-1], "ends within its array"),
    "more behind an array": (orjson.dumps(REQUESTS) + b"{}", "has more behind the end of its arr"),
    "two arrays": (b"[" + LINES[:-1].split(b"\n")[0] + b"]\n[]", "has more behind the end"),
    "an array without commas": (b"[" + LINES + b"]", "is no JSON behind item 1"),
    "UTF-16": (LINES.decode().encode("utf-16"), "is UTF-16 text"),
    "UTF-16 without a mark": (LINES.decode().encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8"),
    "UTF-16 the other way": (LINES.decode().encode("utf-16-be"), "iconv -f UTF-16BE -t UTF-8"),
    "UTF-32": (LINES.decode().encode("utf-32"), "is UTF-32 text"),
    "UTF-32 without a mark": (LINES.decode().encode("utf-32-le"), "is UTF-32 text"),
    "gzip that is cut": (gzip.compress(LINES * 99)[:-20], "is a damaged gzip file"),
    "gzip that is damaged": (gzip.compress(LINES)[:20] + b"x" * 30, "is a damaged gzip file"),
    "gzip twice": (gzip.compress(gzip.compress(LINES)), "is compressed with gzip twice"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "is compressed with zstd, not JSON Lines: unpack it"),
    "bzip2": (bz2.compress(LINES), "is compressed with bzip2"),
    "xz": (lzma.compress(LINES), "is compressed with xz"),
    "zip": (_zip(LINES), "is a zip archive"),
    "tar": (_tar(LINES), "is a tar archive"),
    "tar in gzip": (gzip.compress(_tar(LINES)), "is a tar archive"),
    "Parquet": (b"PAR1\x15\x04", "is a Parquet file"),
    "SQLite": (b"SQLite format 3\0\x10", "is an SQLite database"),
    "some bytes": (bytes(range(256)), "is a binary file"),
    "CSV": (CSV, "is not JSON Lines: it looks like CSV"),
    "TSV": (CSV.replace(b",", b"\t"), "it looks like TSV"),
    "XML": (b"<jobs>\n<job/>\n</jobs>\n", "it looks like XML or HTML"),
    "YAML": (b"---\nmodel: m\n", "it looks like YAML"),
    "text": (b"hello\nworld\n", "its first lines are not JSON objects"),
    "one broken line": (b'{"custom_id": "a", \n', "its first lines are not whole JSON objects"),
    "printed dictionaries": (
        "\n".join(map(str, REQUESTS)).encode(),
        "it looks like printed Python dictionaries",
    ),
    "one object": (json.dumps({"requests": REQUESTS}, indent=1).encode(), "under 'requests'"),
    "one object in a line": (orjson.dumps({"requests": REQUESTS}), "is one JSON object"),
    "Gemini's format": (
        in_lines({"key": "a", "request": {"contents": []}}),
        "holds requests in Gemini's batch format",
    ),
    "an array of Gemini's": (
        orjson.dumps([{"key": "a", "request": {"contents": []}}]),
        "holds requests in Gemini's batch format",
    ),
    "Bedrock's format": (in_lines({"recordId": "a", "modelInput": {}}), "Amazon Bedrock's batch"),
    "results": (
        in_lines({"id": "1", "custom_id": "a", "response": None, "error": {}}),
        "holds the results of a batch, not its requests",
    ),
    "conversations": (in_lines({"messages": []}, {"messages": []}), "without their envelope"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_something_else_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, said = REFUSED[name]

    with pytest.raises(InputError) as caught, opened(tmp_path, content) as file:
        list(file.lines())

    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "in.jsonl"))
    assert "\n" not in str(caught.value)


JUDGED_BY_LINE: dict[str, bytes] = {
    "a bad line first": b"hello\n" + LINES,
    "a line that is cut first": b'{"custom_id": "a", "body": {\n' + LINES,
    "a line and a half": b'{"custom_id": "a"} x\n' + LINES,
    "an array among them": b"[1]\n" + LINES,
    "one of another format": in_lines({"custom_id": "a", "params": {}}) + LINES,
    "one that is too long": b'{"a": "' + b"x" * 2 * LONGEST + b'"}\n',
    "one that is too long, and others": b'{"a": "' + b"x" * 2 * LONGEST + b'"}\n' + LINES,
    "an empty object": b"{}\n",
}


@pytest.mark.parametrize("name", JUDGED_BY_LINE)
def test_one_bad_line_does_not_make_the_file_another(tmp_path: Path, name: str) -> None:
    content = JUDGED_BY_LINE[name]

    with opened(tmp_path, content) as file:
        assert [number for number, _ in file.lines()] == [*range(1, content.count(b"\n") + 1)]


def test_an_item_that_is_too_long_is_one_bad_item(tmp_path: Path) -> None:
    array = orjson.dumps([request("a"), request("b", "x" * 2 * LONGEST), request("c")])

    with opened(tmp_path, array) as file:
        found = [(number, item is None) for number, item in file.lines()]

    assert found == [(1, False), (2, True), (3, False)]


class _Endless(io.RawIOBase):
    """Gives so many pieces, and counts what was asked for."""

    def __init__(self, begin: bytes, piece: bytes, times: int) -> None:
        self._pieces = iter([begin, *[piece] * times])

    def read(self, size: int = -1) -> bytes:
        return next(self._pieces, b"")


@pytest.mark.parametrize("begin", [b'[{"a": "', b'[{"a": [', b"["])
def test_an_item_without_an_end_takes_no_memory(
    begin: bytes, peak_of: Callable[[Callable[[], object]], int]
) -> None:
    piece = b"1" * (1 << 20)
    reader = ItemReader(_Endless(begin, piece, 24), 1 << 20)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] it only reads

    def read_all() -> None:
        with pytest.raises(NotItems):
            list(reader.items())

    assert peak_of(read_all) < 8 << 20


def test_a_gzip_bomb_takes_no_memory(
    tmp_path: Path, peak_of: Callable[[Callable[[], object]], int]
) -> None:
    bomb = gzip.compress(b'{"a": "' + b"x" * (24 << 20) + b'"}\n' + LINES, compresslevel=1)

    with opened(tmp_path, bomb) as file:
        assert peak_of(lambda: list(file.lines())) < 8 << 20


@pytest.fixture
def peak_of() -> Callable[[Callable[[], object]], int]:
    import tracemalloc

    def measure(act: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            act()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


class _InPieces(io.BytesIO):
    """A stream that gives a few bytes at a time: items meet the ends of pieces everywhere."""

    size = 3

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.size)


@example([",", "]", 'a "b" \\'], 1, None)
@given(st.lists(_VALUES, max_size=4), st.integers(1, 9), st.sampled_from([None, 2]))
def test_any_array_gives_its_items(values: list[Any], size: int, indent: int | None) -> None:
    stream = _InPieces(json.dumps(values, indent=indent, ensure_ascii=False).encode())
    stream.size = size

    items = list(ItemReader(stream, 10**6).items())

    assert [json.loads(item or b"") for item in items] == values
