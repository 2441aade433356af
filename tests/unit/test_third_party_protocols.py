"""A protocol of a third party: an entry point, held to the published suite."""

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import pytest

from tollway_workers.config.check.fleet_fits import errors_in
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigError
from tollway_workers.providers.protocols import wire_format
from tollway_workers.providers.wire_format import WireFormat
from tollway_workers.testing import ProtocolContract

_FIXTURES = Path(__file__).parents[1] / "contract" / "fixtures"


def upside_down() -> WireFormat:
    """A protocol of somebody else's: OpenAI's under another path."""
    return replace(wire_format("openai"), path=lambda lane, *, stream: "/v1/chat/completions")


UPSIDE_DOWN = upside_down()


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("somebody_s_protocols")
    vars(package).update(UPSIDE_DOWN=UPSIDE_DOWN, NO_PROTOCOL="hello")
    monkeypatch.setitem(sys.modules, package.__name__, package)
    found = EntryPoints(
        EntryPoint(name, f"{package.__name__}:{value}", "tollway.protocols")
        for name, value in (
            ("upside-down", "UPSIDE_DOWN"),
            ("no-protocol", "NO_PROTOCOL"),
            ("broken", "NOTHING"),
        )
    )

    def entry_points(*, group: str, name: str | None = None) -> EntryPoints:
        chosen = found.select(group=group)
        return chosen if name is None else chosen.select(name=name)

    for module in ("providers.protocols", "config.shape.protocols"):
        monkeypatch.setattr(f"tollway_workers.{module}.entry_points", entry_points)
    wire_format.cache_clear()


class TestUpsideDown(ProtocolContract):
    protocol = "upside-down"
    fixtures = _FIXTURES / "openai"


def _settings(protocol: str) -> FleetSettings:
    return FleetSettings.model_validate(
        {"providers": {"p": {"protocol": protocol, "base_url": "https://api.example.com"}}}
    )


def test_an_entry_point_is_a_protocol_that_a_configuration_may_name() -> None:
    assert errors_in(_settings("upside-down")) == ()
    assert wire_format("upside-down") is UPSIDE_DOWN


def test_a_protocol_that_is_not_there_is_one_sentence() -> None:
    (mistake,) = errors_in(_settings("antropic"))

    assert str(mistake) == (
        "providers.p.protocol: there is no protocol antropic; did you mean anthropic? (another one "
        "comes with a package that has it as an entry point in the group tollway.protocols)"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no-protocol", "is no WireFormat"),
        ("broken", "cannot be imported (AttributeError)"),
        ("nowhere", "has no entry point in the group tollway.protocols"),
    ],
)
def test_an_entry_point_that_is_no_protocol_is_one_sentence(name: str, why: str) -> None:
    with pytest.raises(ConfigError, match="protocol") as raised:
        wire_format(name)

    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_service_s_tests_do_not_import_the_fleet() -> None:
    script = (
        "import sys, tollway.testing as t\n"
        "assert not [m for m in sys.modules if m.startswith('tollway_workers')]\n"
        "assert t.ProtocolContract.__module__.startswith('tollway_workers.testing')\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
