"""`deploy/fleet.example.toml` and the environment list of the docs are held to the code."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_origin

import pytest
from pydantic_core import PydanticUndefined

from tollway_workers.config.check.fleet_fits import warnings_in
from tollway_workers.config.load.environment import CONFIG_VARIABLE, VARIABLES
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.config.say.fields import section_in
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.model import Section

_ROOT = Path(__file__).parents[2]
_EXAMPLE = _ROOT / "deploy" / "fleet.example.toml"
_HEADER = re.compile(r"^\[\[?([a-z_.]+)\]\]?$")
_SETTING = re.compile(r"^(?P<off># )?(?P<key>[a-z0-9_]+) = (?P<value>.*?)(?P<example> # Example)?$")


@dataclass(frozen=True)
class Shown:
    """A setting as the example file shows it."""

    comment: str
    value: Any
    is_off: bool
    is_example: bool


def _shown() -> dict[tuple[str, str], Shown]:
    found: dict[tuple[str, str], Shown] = {}
    table, comment = "", ""
    for line in _EXAMPLE.read_text(encoding="utf-8").splitlines():
        if header := _HEADER.match(line):
            # The chosen name of a provider, lane, group or route is any.
            named = r"^(providers|lanes|limit_groups|tenants|routes|budgets|embedders)\.[a-z]+"
            table, comment = re.sub(named, r"\1.*", header[1]), ""
        elif match := _SETTING.match(line):
            value = tomllib.loads(f"x = {match['value']}")["x"]
            found[table, match["key"]] = Shown(
                comment, value, match["off"] is not None, match["example"] is not None
            )
            comment = ""
        else:
            comment = f"{comment} {line.removeprefix('#').strip()}" if line else ""
    return found


_ONE_VALUE = ("providers.*.price", "providers.*.prices")


def _fields(section: type[Section], table: str) -> Iterator[tuple[str, str, Any]]:
    for name, field in section.model_fields.items():
        inner = section_in(field.annotation)
        below = f"{table}.{name}" if table else name
        is_named = get_origin(field.annotation) is dict
        # References and the provider's prices are shown as one value.
        inline = "command" in inner.model_fields if inner else False
        if inner is not None and not inline and below not in _ONE_VALUE:
            yield from _fields(inner, f"{below}.*" if is_named else below)
        elif not is_named:
            yield table, name, field


_FIELDS = list(_fields(FleetSettings, ""))


@pytest.mark.parametrize(
    ("table", "name", "field"), _FIELDS, ids=[f"{t}.{n}" for t, n, _ in _FIELDS]
)
def test_every_setting_is_in_the_example_with_its_default(
    table: str, name: str, field: Any
) -> None:
    shown = _shown()[table, name]

    assert len(shown.comment) > 10
    if field.default is PydanticUndefined:
        assert "Required" in shown.comment
    elif field.default is None or (field.default == () and section_in(field.annotation)):
        assert "Default" in shown.comment
        assert shown.is_off or shown.is_example
    else:
        assert "Default" in shown.comment
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        assert (shown.value, shown.is_off) == (default, False)


def test_the_example_shows_no_setting_that_does_not_exist() -> None:
    known = {(table, name) for table, name, _ in _FIELDS}

    assert set(_shown()) == known


def test_the_example_loads_without_a_warning() -> None:
    settings = load_fleet(_EXAMPLE, environ={})

    assert warnings_in(settings) == ()
    price = settings.lanes["fast"].price
    assert price is not None
    assert price.input == Decimal("0.15")


def test_the_example_still_loads_with_each_optional_setting_turned_on() -> None:
    lines = _EXAMPLE.read_text(encoding="utf-8").splitlines()
    security = 'protocol = "PLAINTEXT"'
    text = "\n".join(
        'protocol = "SASL_SSL"'
        if line == security
        else line.removeprefix("# ")
        if (match := _SETTING.match(line)) and match["off"]
        else line
        for line in lines
    )

    settings = FleetSettings.model_validate(tomllib.loads(text))

    assert settings.kafka.security.key_file is not None
    assert settings.lanes["fast"].structured_output == "json_schema"


def test_the_docs_list_exactly_the_variables_that_are_read() -> None:
    text = (_ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    listed = dict(re.findall(r"^\| `(TOLLWAY_[A-Z_]+)` \| `?([a-z_.]+)", text, re.MULTILINE))

    expected = {v.name: v.key for v in VARIABLES}
    assert {name: key for name, key in listed.items() if name != CONFIG_VARIABLE} == expected
    assert CONFIG_VARIABLE in listed
