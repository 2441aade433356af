"""Counting by a tokenizer.json: exact, bounded, whatever the text; and files that are none."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigError
from tollway_workers.limits.estimate import TokenCount, text_tokens
from tollway_workers.providers.tokenizer import ModelTokens, open_tokenizers

_DOCS = Path(__file__).parents[2] / "docs"
_SPECIAL = "<|endoftext|>"


def trained() -> Tokenizer:
    """A small byte-level tokenizer, made as those of language models are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1_000,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = [path.read_text(encoding="utf-8") for path in sorted(_DOCS.glob("*.md"))]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(_SPECIAL, special=True)])
    return tokenizer


_TRAINED = trained()
_TEXT = (_DOCS / "configuration.md").read_text(encoding="utf-8").replace(_SPECIAL, "")


def fresh() -> Tokenizer:
    return Tokenizer.from_str(_TRAINED.to_str())


class Spy:
    """A tokenizer that notes the size of what it is given."""

    def __init__(self, most: int | None = None) -> None:
        self.sizes: list[int] = []
        self._most = most
        self._real = fresh()

    def no_truncation(self) -> None:
        self._real.no_truncation()

    def no_padding(self) -> None:
        self._real.no_padding()

    def encode_batch_fast(self, texts: list[str], **options: Any) -> Any:
        self.sizes += map(len, texts)
        if self._most is not None and self.sizes[-1] > self._most:
            raise ValueError(f"too long: {texts[0]}")
        return self._real.encode_batch_fast(texts, **options)


def counted_by(spy: Spy) -> ModelTokens:
    return ModelTokens(spy)  # type: ignore[arg-type]  # a stand-in for the library's class


def fleet_of(**paths: object) -> FleetSettings:
    lane = {"provider": "p", "model": "m", "tokens_per_minute": 1_000_000}
    document = {
        "providers": {"p": {"base_url": "https://h/v1"}},
        "lanes": {name: {**lane, "tokenizer": str(path)} for name, path in paths.items()},
    }
    return build_fleet(document, source="f", environ={})


def opened(**paths: object) -> dict[str, TokenCount]:
    return open_tokenizers(fleet_of(**paths), paths)


def refused(path: object) -> str:
    with pytest.raises(ConfigError) as caught:
        opened(l=path)
    return str(caught.value)


@pytest.mark.parametrize("text", ["", "hello", "Grüße aus Köln", "我们的工程师", "1234567", _TEXT])
def test_a_text_has_as_many_tokens_as_the_model_makes_of_it(text: str) -> None:
    count = ModelTokens(fresh())

    assert count(text) == count(text) == len(_TRAINED.encode(text).ids)


def test_a_special_token_in_a_prompt_is_a_text() -> None:
    assert len(_TRAINED.encode(_SPECIAL).ids) == 1

    assert ModelTokens(fresh())(_SPECIAL) > 1


def test_a_file_that_cuts_texts_short_or_fills_them_up_does_not_here() -> None:
    cutting, filling = fresh(), fresh()
    cutting.enable_truncation(8)
    filling.enable_padding(length=10_000)

    assert ModelTokens(cutting)(_TEXT) == len(_TRAINED.encode(_TEXT).ids)
    assert ModelTokens(filling)("hello") < 10


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_text_at_all_has_a_count(text: str) -> None:
    assert _COUNT(text) >= 0


_COUNT = ModelTokens(fresh())


@pytest.mark.parametrize("unit", ["a", " ", "0", "\n", "\0", "\ud800", "中", "😀", "\u0301", "' "])
def test_a_mebibyte_of_one_character_is_counted_by_a_bounded_part_of_it(unit: str) -> None:
    spy = Spy()
    text = unit * (2**20 // len(unit))

    tokens = counted_by(spy)(text)

    assert sum(spy.sizes) <= 64 * 1024
    part = text[: 64 * 1024]
    assert tokens == pytest.approx(ModelTokens(fresh())(part) * len(text) / len(part), rel=0.01)


def test_a_long_text_of_many_kinds_is_counted_to_a_few_percent() -> None:
    digits = "".join(str(n * 7919) for n in range(20_000))
    text = f"{_TEXT * 8}{digits}{'中文' * 20_000}"
    exact = len(_TRAINED.encode(text).ids)

    assert len(text) > 200_000
    assert ModelTokens(fresh())(text) == pytest.approx(exact, rel=0.05)
    # Which the estimate alone is not.
    assert text_tokens(text) != pytest.approx(exact, rel=0.2)


def test_a_text_that_was_counted_is_not_counted_again() -> None:
    spy = Spy()
    count = counted_by(spy)

    assert [count("the same"), count("other"), count("the same")][::2] == [count("the same")] * 2
    assert spy.sizes == [8, 5]


def test_what_is_remembered_is_bounded() -> None:
    count = counted_by(spy := Spy())

    for number in range(10_000):
        count(str(number))

    assert len(spy.sizes) == 10_000
    assert len(count._known) <= 4_096


def test_a_text_that_the_tokenizer_refuses_is_estimated_and_that_is_said_once() -> None:
    count = counted_by(Spy(most=10))

    with capture_logs() as logs:
        tokens = [count("too long a secret"), count("another secret one")]

    assert tokens == [text_tokens("too long a secret"), text_tokens("another secret one")]
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert "secret" not in str(logs)


class PanicException(BaseException):
    """What the library raises where its Rust code panics."""


class Panics(Spy):
    """A tokenizer whose library meets a bug of its own at every text."""

    def encode_batch_fast(self, texts: list[str], **options: Any) -> Any:
        raise PanicException("index out of bounds")


def test_a_text_at_which_the_library_panics_is_estimated() -> None:
    assert counted_by(Panics())("Hello, world") == text_tokens("Hello, world")


def test_lanes_of_one_file_share_what_was_opened(tmp_path: Path) -> None:
    file, other = tmp_path / "tokenizer.json", tmp_path / "other.json"
    for path in (file, other):
        path.write_text(_TRAINED.to_str(), encoding="utf-8")

    counts = opened(a=file, b=file, c=other)

    assert counts["a"] is counts["b"]
    assert counts["a"] is not counts["c"]
    assert counts["c"]("hello") == len(_TRAINED.encode("hello").ids)


def test_a_lane_without_a_tokenizer_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    settings = FleetSettings.model_validate(
        {
            "providers": {"p": {"base_url": "https://h/v1"}},
            "lanes": {"l": {"provider": "p", "model": "m", "concurrency": 1}},
        }
    )

    assert open_tokenizers(settings, settings.lanes) == {}


def test_a_path_below_the_home_folder_may_be_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tokenizer.json").write_text(_TRAINED.to_str(), encoding="utf-8")

    assert opened(l="~/tokenizer.json")["l"]("hello") > 0


def test_a_name_is_no_file_and_nothing_is_downloaded() -> None:
    assert refused("gpt2") == (
        "lanes.l.tokenizer: this file does not exist; "
        "give the path of a model's tokenizer.json on this machine: nothing is downloaded"
    )


_EMPTY = json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}})
_REFUSES = json.dumps(
    {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}}
)


def _normalizing_by(table: str) -> bytes:
    """A damaged table: the library's Rust code panics."""
    normalizer = {"type": "Precompiled", "precompiled_charsmap": table}
    return json.dumps(json.loads(_EMPTY) | {"normalizer": normalizer}).encode()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "this file is no tokenizer.json;"),
        (b"{}", "this file is no tokenizer.json;"),
        (b"[" * 100_000, "this file is no tokenizer.json;"),
        (b"\xff\xfe\x00", "this file is not UTF-8 text (line 1);"),
        (_REFUSES.encode(), "this file is no tokenizer.json;"),
        (_normalizing_by("AAAA"), "this file is no tokenizer.json;"),
        (_normalizing_by("BAAAAP////8="), "this file is no tokenizer.json;"),
        (_EMPTY.encode(), "this file makes no tokens of plain text;"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content)

    assert refused(file).startswith(f"lanes.l.tokenizer: {problem} give the path")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "this file is a directory;" in refused(tmp_path)


def test_each_lane_has_its_own_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(a=tmp_path / "none", b=tmp_path)

    assert [mistake.key for mistake in caught.value.mistakes] == [
        "lanes.a.tokenizer",
        "lanes.b.tokenizer",
    ]


def test_without_the_library_it_is_said_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(_TRAINED.to_str(), encoding="utf-8")
    monkeypatch.setitem(sys.modules, "tokenizers", None)

    assert refused(file) == (
        "lanes.l.tokenizer: needs a library that is not installed; pip install "
        "'tollway[tokenizers]', or remove this setting: then prompts are estimated"
    )
