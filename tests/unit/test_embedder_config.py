"""`[embedders.*]`: what is wrong with them is said at once, and stops no worker."""

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest
from manual_clock import ManualClock
from structlog.testing import capture_logs
from tiny_onnx import write_model

from tollway_workers.config.check.fleet_fits import warnings_in
from tollway_workers.config.load.keys import embedder_keys_of
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.say.render import resolved_toml
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.embedding import opening
from tollway_workers.embedding.opening import Surroundings, check_embedders, open_embedders
from tollway_workers.errors import ConfigError

_PROVIDERS: dict[str, Any] = {
    "p": {"base_url": "https://h/v1"},
    "claude": {"base_url": "https://h", "protocol": "anthropic"},
}


def _document(**embedder: Any) -> dict[str, Any]:
    return {"providers": _PROVIDERS, "embedders": {"e": embedder}}


def _mistakes(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build_fleet(document, source="f", environ={})
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("embedder", "key", "words"),
    [
        ({}, "embedders.e", "neither folder nor provider"),
        ({"folder": "m", "provider": "p", "model": "m"}, "embedders.e", "folder and a provider"),
        ({"provider": "p"}, "embedders.e.model", "is missing"),
        ({"provider": "q", "model": "m"}, "embedders.e.provider", "there is no provider q"),
        (
            {"provider": "claude", "model": "m"},
            "embedders.e.provider",
            "speaks protocol anthropic, which has no vectors",
        ),
        ({"folder": "m", "price": 0.02}, "embedders.e.price", "has no effect beside folder"),
        ({"folder": "m", "model": "m"}, "embedders.e.model", "has no effect beside folder"),
        (
            {"provider": "p", "model": "m", "tokenizer": "t"},
            "embedders.e.tokenizer",
            "has no effect beside provider",
        ),
        ({"provider": "p", "model": "m", "timeout": 0}, "embedders.e.timeout", "more than 0"),
        ({"provider": "p", "modle": "m"}, "embedders.e.modle", "did you mean model?"),
    ],
)
def test_a_mistake_names_its_setting_and_a_remedy(
    embedder: dict[str, Any], key: str, words: str
) -> None:
    lines = _mistakes(_document(**embedder))

    assert any(line.startswith(f"f: {key}: ") and words in line for line in lines), lines


def test_a_provider_that_only_an_embedder_names_is_in_use() -> None:
    document = _document(provider="p", model="m") | {"providers": {"p": _PROVIDERS["p"]}}
    document["providers"]["own"] = {"base_url": "http://127.0.0.1/v1"}
    document["lanes"] = {"l": {"provider": "own", "model": "m", "concurrency": 1}}
    cache = {"exact": True, "semantic": "shadow", "embedder": "e"}
    document["routes"] = {"r": {"lanes": ["l"], "cache": cache}}

    settings = build_fleet(document, source="f", environ={})

    assert [each.key for each in warnings_in(settings)] == []


@pytest.mark.parametrize(
    "embedder", [{"folder": "m", "window": 64}, {"provider": "p", "model": "m", "price": 0.02}]
)
def test_what_is_shown_of_an_embedder_can_be_loaded_again(embedder: dict[str, Any]) -> None:
    settings = build_fleet(_document(**embedder), source="f", environ={})

    shown = tomllib.loads(resolved_toml(settings))

    assert build_fleet(shown, source="f", environ={}).embedders == settings.embedders


def _settings(**embedder: Any) -> FleetSettings:
    return build_fleet(_document(**embedder), source="f", environ={})


def _checked(settings: FleetSettings) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_embedders(settings)
    return str(caught.value).splitlines()


def test_a_folder_that_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    (line,) = _checked(_settings(folder=str(tmp_path / "none")))

    assert line == (
        "embedders.e.folder: is no folder on this machine; give the folder of an ONNX model on "
        "this machine: nothing is downloaded"
    )


def test_a_folder_that_holds_a_model_is_good(tmp_path: Path) -> None:
    check_embedders(_settings(folder=str(write_model(tmp_path))))
    check_embedders(_settings(provider="p", model="m"))


@pytest.mark.parametrize("library", ["onnxruntime", "tokenizers"])
def test_a_library_that_is_installed_and_cannot_be_loaded_is_one_sentence(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{library}.py").write_text("raise OSError('libgomp.so.1: no such file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, library, raising=False)

    (line,) = _checked(_settings(folder="m"))

    assert line == (
        f"embedders.e.folder: needs what is installed and cannot be loaded ({library}: OSError); "
        "install it anew, or remove the embedder"
    )


@pytest.mark.parametrize(
    ("given", "missing", "setting"),
    [
        ({"folder": "m"}, ["numpy", "onnxruntime"], "folder"),
        ({"folder": "m"}, ["numpy"], "folder"),
        ({"provider": "p", "model": "m"}, ["numpy"], "model"),
    ],
)
def test_an_extra_that_is_missing_is_said_with_how_to_install_it(
    given: dict[str, Any], missing: list[str], setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_spec
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name in missing else found(name))

    (line,) = _checked(_settings(**given))

    assert line == (
        f"embedders.e.{setting}: needs what is not installed ({', '.join(missing)}); "
        "pip install 'tollway[semantic]', or remove the embedder"
    )


def test_a_key_that_is_missing_is_told_of_beside_those_of_lanes() -> None:
    key = {"api_key": {"env": "NO_SUCH_KEY"}}
    document = _document(provider="p", model="m")
    document["providers"] = {"p": {**_PROVIDERS["p"], **key}}
    settings = build_fleet(document, source="f", environ={})

    (found,) = embedder_keys_of(settings, {})

    assert (found.embedder, found.provider, found.model) == ("e", "p", "m")
    assert found.missing == (
        "environment variable NO_SUCH_KEY is not set: export it, or refer to another"
    )


@pytest.mark.parametrize("why", ["no folder", "no key"])
async def test_an_embedder_that_cannot_be_opened_is_done_without(why: str, tmp_path: Path) -> None:
    broken: dict[str, Any] = {"folder": str(tmp_path / "none")}
    providers = dict(_PROVIDERS)
    if why == "no key":
        providers["p"] = {**_PROVIDERS["p"], "api_key": {"file": str(tmp_path / "none")}}
        broken = {"provider": "p", "model": "m"}
    good = {"folder": str(write_model(tmp_path / "model"))}
    document = {"providers": providers, "embedders": {"broken": broken, "good": good}}
    settings = build_fleet(document, source="f", environ={})
    around = Surroundings(clock=ManualClock(), workers=lambda: 1, rng=Random(1))

    with capture_logs() as logs:
        opened = open_embedders(settings, ["broken", "good", "good"], around)

    assert list(opened) == ["good"]
    assert [(each["embedder"], each["log_level"]) for each in logs] == [("broken", "warning")]
    await opened["good"].aclose()
