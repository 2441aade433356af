"""The generator of the demo's input: real jobs, an answer key that is right, always the same."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest

SCRIPT = Path(__file__).parents[2] / "producers" / "examples" / "docstring_jobs.py"
#: Reading all of it takes four seconds.
_OF_THE_STANDARD_LIBRARY = pytest.mark.slow

# Stands in for json/decoder.py of a standard library.
DECODER = '''
class JSONDecoder(object):
    """Simple JSON decoder, e.g. for <https://json.org>. Performs translations in decoding."""

    def __init__(self, *, strict=True, hook: "Hook | None" = None):
        """Make one decoder, which any number of threads may use at the same time."""
        if not strict:
            raise NotImplementedError("one day")

    @property
    def strict(self):
        """Whether control characters inside strings are refused as an error."""

    @strict.setter
    def strict(self, value):
        """Set whether control characters are refused inside strings from now on."""

    @staticmethod
    def raw_decode(s, idx=0, /, *rest, **more) -> tuple[object, int]:
        """Decode a document from ``s``. Return a 2-tuple of the value and its end.

        May raise RecursionError for deep documents. Does not raise KeyError.
        """
        def inner():
            raise LookupError("not ours: raised when it is called")
        try:
            return inner()
        except StopIteration as err:
            raise decoder.JSONDecodeError("Expecting value", s, err.value) from None
        except OSError as exc:
            raise exc

    def _private(self):
        """Nobody is asked about this one, although its docstring is long enough."""

def short():
    """Too short."""
'''


def make(folder: Path, *options: str) -> tuple[list[Any], list[Any]]:
    """The jobs and the answers that the command writes."""
    jobs, answers = folder / "jobs.jsonl", folder / "answers.jsonl"
    command = [sys.executable, "-I", str(SCRIPT), "--jobs", str(jobs), "--answers", str(answers)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    return read_lines(jobs), read_lines(answers)


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def standard_library(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[Any]]:
    return make(tmp_path_factory.mktemp("standard_library"), "--count", "2500")


@pytest.fixture
def small_library(tmp_path: Path) -> Path:
    library = tmp_path / "library"
    for name, text in {
        "json/decoder.py": DECODER,
        "json/test/test_decode.py": DECODER,
        "site-packages/mine.py": DECODER,
    }.items():
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(text)
    return library


@pytest.fixture
def generator() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("docstring_jobs", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


@pytest.fixture
def small_answers(generator: ModuleType, small_library: Path) -> dict[str, Any]:
    return {d.custom_id: d.answer for d in generator.read_definitions(small_library)}


@_OF_THE_STANDARD_LIBRARY
def test_the_standard_library_gives_2500_jobs_with_readable_unique_ids(
    standard_library: tuple[list[Any], list[Any]],
) -> None:
    jobs, answers = standard_library
    ids = [job["custom_id"] for job in jobs]

    assert len(set(ids)) == len(ids) == 2500
    assert ids == [answer["custom_id"] for answer in answers]
    assert [name for name in ids if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", name)] == []


@_OF_THE_STANDARD_LIBRARY
def test_each_job_is_a_chat_completion_in_batch_format(
    standard_library: tuple[list[Any], list[Any]],
) -> None:
    for job in standard_library[0]:
        body = job["body"]

        assert (job["method"], job["url"]) == ("POST", "/v1/chat/completions")
        assert set(job) == {"custom_id", "method", "url", "body"}
        assert set(body) == {"model", "messages", "max_completion_tokens", "response_format"}
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert all(message["content"].strip() for message in body["messages"])
        assert body["response_format"]["json_schema"]["strict"] is True


@_OF_THE_STANDARD_LIBRARY
def test_each_answer_obeys_the_schema_its_job_asks_for(
    standard_library: tuple[list[Any], list[Any]],
) -> None:
    jobs, answers = standard_library
    schemas = [job["body"]["response_format"]["json_schema"]["schema"] for job in jobs]
    validator = jsonschema_rs.validator_for(schemas[0])

    assert all(schema == schemas[0] for schema in schemas)
    assert [row["custom_id"] for row in answers if not validator.is_valid(row["answer"])] == []


@_OF_THE_STANDARD_LIBRARY
def test_each_answer_fits_into_the_tokens_its_job_allows(
    standard_library: tuple[list[Any], list[Any]],
) -> None:
    characters = max(len(json.dumps(row["answer"])) for row in standard_library[1])

    # JSON of code takes about three characters a token.
    assert characters / 3 < standard_library[0][0]["body"]["max_completion_tokens"]


@_OF_THE_STANDARD_LIBRARY
def test_the_input_is_worth_extracting(standard_library: tuple[list[Any], list[Any]]) -> None:
    answers = [row["answer"] for row in standard_library[1]]

    assert all(answer["purpose"] for answer in answers)
    assert sum(bool(answer["parameters"]) for answer in answers) > 1500
    assert sum(answer["returns"] is not None for answer in answers) > 500
    assert sum(bool(answer["raises"]) for answer in answers) > 300


def test_the_schema_keeps_the_rules_of_strict_mode(generator: ModuleType) -> None:
    def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if schema["type"] == "object":
            yield schema
        for inner in [*schema.get("properties", {}).values(), schema.get("items")]:
            if inner:
                yield from objects(inner)

    found = list(objects(generator.SCHEMA))

    assert generator.SCHEMA["type"] == "object"
    assert len(found) == 2
    for item in found:
        assert item["required"] == list(item["properties"])
        assert item["additionalProperties"] is False


def test_only_public_documented_definitions_of_the_library_itself_are_taken(
    small_answers: dict[str, Any],
) -> None:
    assert set(small_answers) == {
        "json.decoder.JSONDecoder",
        "json.decoder.JSONDecoder.raw_decode",
        "json.decoder.JSONDecoder.strict",
        "json.decoder.JSONDecoder.strict-2",
    }


def test_parameters_come_from_the_signature(small_answers: dict[str, Any]) -> None:
    parameters = small_answers["json.decoder.JSONDecoder.raw_decode"]["parameters"]

    assert [(row["name"], row["kind"], row["default"]) for row in parameters] == [
        ("s", "positional-only", None),
        ("idx", "positional-only", "0"),
        ("rest", "var-positional", None),
        ("more", "var-keyword", None),
    ]


def test_a_class_takes_what_its_constructor_takes(small_answers: dict[str, Any]) -> None:
    answer = small_answers["json.decoder.JSONDecoder"]

    assert [(row["name"], row["annotation"], row["default"]) for row in answer["parameters"]] == [
        ("strict", None, "True"),
        ("hook", "'Hook | None'", "None"),
    ]
    assert answer["raises"] == ["NotImplementedError"]
    assert answer["returns"] is None


def test_raises_are_those_of_the_body_and_those_the_docstring_names(
    small_answers: dict[str, Any],
) -> None:
    answer = small_answers["json.decoder.JSONDecoder.raw_decode"]

    assert answer["raises"] == ["RecursionError", "decoder.JSONDecodeError"]


def test_purpose_is_the_first_sentence_and_returns_prefers_the_annotation(
    small_answers: dict[str, Any],
) -> None:
    decoder = small_answers["json.decoder.JSONDecoder"]
    raw_decode = small_answers["json.decoder.JSONDecoder.raw_decode"]

    assert decoder["purpose"] == "Simple JSON decoder, e.g. for <https://json.org>."
    assert raw_decode["returns"] == "tuple[object, int]"


def test_the_prompt_shows_everything_the_answer_is_derived_from(
    generator: ModuleType, small_library: Path
) -> None:
    outlines = {d.custom_id: d.outline for d in generator.read_definitions(small_library)}

    raw_decode = outlines["json.decoder.JSONDecoder.raw_decode"]
    assert "def raw_decode(s, idx=0, /, *rest, **more) -> tuple[object, int]:" in raw_decode
    assert "raise decoder.JSONDecodeError(" in raw_decode
    assert "LookupError" not in raw_decode
    assert "def __init__(self, *, strict=True" in outlines["json.decoder.JSONDecoder"]


def test_the_same_library_gives_the_same_jobs_and_skip_gives_the_others(
    tmp_path: Path, small_library: Path
) -> None:
    library = ["--library", str(small_library)]

    everything = make(tmp_path, *library, "--count", "4")
    again = make(tmp_path, *library, "--count", "4")
    rest = make(tmp_path, *library, "--count", "3", "--skip", "1")

    assert again == everything
    assert rest == (everything[0][1:], everything[1][1:])


def test_more_jobs_than_there_are_is_one_clear_sentence(
    tmp_path: Path, small_library: Path
) -> None:
    files = ["--jobs", str(tmp_path / "jobs"), "--answers", str(tmp_path / "answers")]
    size = ["--library", str(small_library), "--count", "4", "--skip", "1"]

    ended = subprocess.run(
        [sys.executable, str(SCRIPT), *files, *size],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr == f"{small_library} gives 4 jobs: --count 4 --skip 1 does not fit in.\n"
    assert not (tmp_path / "jobs").exists()


def test_a_file_that_cannot_be_written_is_one_clear_sentence(
    tmp_path: Path, small_library: Path
) -> None:
    files = ["--jobs", str(tmp_path / "no" / "jobs"), "--answers", str(tmp_path / "answers")]
    options = ["--library", str(small_library), "--count", "4"]

    ended = subprocess.run(
        [sys.executable, str(SCRIPT), *files, *options], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert ended.stderr == f"Cannot write {tmp_path / 'no' / 'jobs'}: No such file or directory.\n"
