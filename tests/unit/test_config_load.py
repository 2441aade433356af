"""Where settings come from, which of them wins, and that nothing but ConfigError comes out."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.config.load.environment import VARIABLES
from tollway_workers.config.load.layers import build_fleet, find_file, load_fleet
from tollway_workers.config.load.toml_file import parse_toml
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.secret import SecretReference
from tollway_workers.errors import ConfigError

_TEXT = """
[kafka]
prefix = "file"
partitions = 6
[kafka.security]
protocol = "SASL_SSL"
mechanism = "PLAIN"
username = "u"
password = {file = "/run/secrets/kafka"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(_TEXT, encoding="utf-8")
    return path


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(file: Path) -> None:
    environ = {"TOLLWAY_PREFIX": "env"}

    from_file = load_fleet(file, environ={})
    from_env = load_fleet(file, environ=environ)
    from_command = load_fleet(file, environ=environ, overrides={"kafka.prefix": "command"})

    prefixes = [s.kafka.prefix for s in (from_file, from_env, from_command)]
    assert prefixes == ["file", "env", "command"]
    assert from_command.kafka.partitions == 6


def test_what_is_unset_never_beats_what_is_set(file: Path) -> None:
    overrides = {"kafka.prefix": None, "telemetry.port": None}

    settings = load_fleet(file, environ={"TOLLWAY_PREFIX": ""}, overrides=overrides)

    assert settings.kafka.prefix == "file"
    assert settings.telemetry.port is None


def test_a_password_in_the_environment_replaces_the_reference_of_the_file(file: Path) -> None:
    settings = load_fleet(file, environ={"TOLLWAY_SASL_PASSWORD": "never kept"})

    assert settings.kafka.security.password == SecretReference(env="TOLLWAY_SASL_PASSWORD")
    assert "never kept" not in repr(settings)


def test_every_variable_of_the_list_reaches_its_setting() -> None:
    values = {
        "TOLLWAY_SECURITY_PROTOCOL": "SASL_SSL",
        "TOLLWAY_SASL_MECHANISM": "PLAIN",
        "TOLLWAY_BOOTSTRAP_SERVERS": "broker:9092",
        "TOLLWAY_LOG_LEVEL": "debug",
        "TOLLWAY_LOG_FORMAT": "json",
        "TOLLWAY_MEMORY_MIB": "64",
        "TOLLWAY_METRICS_PORT": "0",
        "TOLLWAY_DRAIN_TIMEOUT": "12.5",
    }
    environ = {variable.name: values.get(variable.name, "text") for variable in VARIABLES}

    settings = build_fleet({}, source="f", environ=environ)

    changed = settings.model_dump(exclude_defaults=True)
    for variable in VARIABLES:
        value: Any = changed
        for part in variable.key.split("."):
            value = value[part]
        assert value == variable.convert(environ[variable.name]) or variable.name.endswith("WORD")


def test_other_variables_set_nothing() -> None:
    environ = {"TOLLWAY_PARTITIONS": "3", "KAFKA": "{}", "kafka": "x", "TOLLWAY_prefix": "x"}

    assert build_fleet({}, source="f", environ=environ) == FleetSettings()


def test_a_mistake_of_an_option_or_a_variable_says_so() -> None:
    with pytest.raises(ConfigError) as caught:
        build_fleet(
            {},
            source="f",
            environ={"TOLLWAY_MEMORY_MIB": "lots"},
            overrides={"kafka.prefix": "Bad"},
        )

    assert [m.source for m in caught.value.mistakes] == [
        "command line",
        "environment variable TOLLWAY_MEMORY_MIB",
    ]
    assert "lots" not in str(caught.value)


def test_the_file_is_the_given_one_then_the_named_one_then_the_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="tollway config init"):
        find_file(None, {})
    Path("tollway.toml").touch()

    assert find_file(None, {}) == Path("tollway.toml")
    assert find_file(None, {"TOLLWAY_CONFIG": "named.toml"}) == Path("named.toml")
    assert find_file(Path("given.toml"), {"TOLLWAY_CONFIG": "x"}) == Path("given.toml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.toml", "does not exist"),
        (".", "is a directory"),
        ("x" * 300, "cannot be read"),
        ("a\0b", "name that no file can have"),
        ("/dev/null", "is not a regular file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        load_fleet(tmp_path / name, environ={})


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(b'\xef\xbb\xbf[kafka]\r\nprefix = "x"\r\n')

    assert load_fleet(path, environ={}).kafka.prefix == "x"


# fmt: off
_WORDS = st.sampled_from([
    "kafka", "providers", "lanes", "routes", "p", "l", "r", "provider", "base_url", "api_key",
    "env", "price", "retry", "headers", "concurrency", "model", "security", "_x",
])
# fmt: on
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | _WORDS
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(), inner),
    max_leaves=12,
)
_SYNTAX = st.text(alphabet="[]{}=\".,#\n\\ '-_aelknsp019\x00\t\u2028é", max_size=60)


@given(st.dictionaries(_WORDS, _VALUES, max_size=5))
def test_no_document_raises_anything_but_a_config_error(document: dict[str, Any]) -> None:
    try:
        build_fleet(document, source="f", environ={})
    except ConfigError as error:
        assert error.mistakes
        assert all(line.isprintable() for line in str(error).split("\n"))


@given(st.dictionaries(st.sampled_from([v.name for v in VARIABLES]), st.text(min_size=1)))
def test_no_environment_raises_anything_but_a_config_error(environ: dict[str, str]) -> None:
    try:
        build_fleet({}, source="f", environ=environ)
    except ConfigError as error:
        assert error.mistakes


@given(_SYNTAX | st.text())
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    try:
        document = parse_toml(text, source="f")
    except ConfigError as error:
        assert str(error).startswith("f: ")
        with pytest.raises((ValueError, RecursionError)):
            tomllib.loads(text)
        return
    try:
        build_fleet(document, source="f", environ={})
    except ConfigError as error:
        assert str(error).startswith("f: ")


@given(content=st.binary(max_size=200))
def test_no_file_raises_anything_but_a_config_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    try:
        load_fleet(file, environ={})
    except ConfigError as error:
        assert str(error).startswith(str(file))


def test_retry_tiers_are_read_as_seconds() -> None:
    tiers = FleetSettings.model_validate({"retry": {"tiers": ["15s", "5m", "2h"]}}).retry.seconds

    assert tiers == (15.0, 300.0, 7200.0)
