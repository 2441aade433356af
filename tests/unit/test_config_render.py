"""What `config show` prints and `config init` writes."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tollway_workers.config.check.fleet_fits import warnings_in
from tollway_workers.config.load.layers import build_fleet, load_fleet
from tollway_workers.config.say.presets import PRESETS
from tollway_workers.config.say.render import (
    MASK,
    resolved_document,
    resolved_toml,
    settings_digest,
)
from tollway_workers.config.say.template import starting_file
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane

_EXAMPLE = Path(__file__).parents[2] / "deploy" / "fleet.example.toml"


@pytest.fixture
def settings() -> FleetSettings:
    return load_fleet(_EXAMPLE, environ={"TOLLWAY_METRICS_PORT": "9000"})


def test_what_is_shown_can_be_loaded_again_and_means_the_same(settings: FleetSettings) -> None:
    again = build_fleet(tomllib.loads(resolved_toml(settings)), source="shown", environ={})

    assert (again.kafka, again.telemetry) == (settings.kafka, settings.telemetry)
    assert (again.providers, again.routes) == (settings.providers, settings.routes)
    assert resolve_lane("fast", again) == resolve_lane("fast", settings)
    assert len(resolve_lane("fast", again).prices.entries) == 2


def test_a_lane_is_shown_with_what_its_provider_gives() -> None:
    document = {
        "providers": {"p": {"base_url": "https://h", "call_timeout": 7}},
        "lanes": {"l": {"provider": "p", "model": "m", "concurrency": 4}},
    }

    shown = resolved_document(build_fleet(document, source="f", environ={}))["lanes"]["l"]

    assert (shown["call_timeout"], shown["connect_timeout"]) == (7.0, 5.0)
    assert (shown["burst"], shown["token_rule"], shown["price"]) == (None, None, None)


def test_secrets_are_shown_as_references_and_doubtful_headers_masked() -> None:
    provider = {
        "base_url": "https://h",
        "api_key": {"command": ["pass", "show", "k"]},
        "headers": {"X-Auth-Token": "value-of-it", "X-Team": "blue"},
    }
    settings = build_fleet({"providers": {"p": provider}}, source="f", environ={})

    text = resolved_toml(settings)

    assert 'api_key = {command = ["pass", "show", "k"]}' in text
    assert f'X-Auth-Token = "{MASK}"' in text
    assert 'X-Team = "blue"' in text
    assert "value-of-it" not in text + json.dumps(resolved_document(settings))


@pytest.mark.parametrize("key_env", ["OPENAI_API_KEY", None])
def test_the_starting_file_loads_without_a_warning(key_env: str | None) -> None:
    text = starting_file(base_url="https://h/v1", model='odd "name"\\$x', key_env=key_env)

    settings = build_fleet(tomllib.loads(text), source="new", environ={})

    assert warnings_in(settings) == ()
    assert settings.lanes["main"].model == 'odd "name"\\$x'
    reference = settings.providers["main"].api_key
    assert (reference.env if reference else None) == key_env


@pytest.mark.parametrize("name", PRESETS)
def test_the_starting_file_of_each_provider_loads_without_a_warning(name: str) -> None:
    preset = PRESETS[name]
    text = starting_file(preset=preset, key_env=preset.key_env)

    # Filled in, too: limits and prices are those that the provider has.
    uncommented = re.sub(r"^# (\[lanes.*|\w+ = [\d_.]+)$", r"\1", text, flags=re.MULTILINE)
    for said in (text, uncommented):
        settings = build_fleet(tomllib.loads(said), source="new", environ={})
        assert warnings_in(settings) == ()
    lane = resolve_lane("main", settings)
    assert lane.protocol == preset.protocol
    assert lane.prices.entries
    assert all(getattr(lane.limits, limit) is not None for limit, _ in preset.limits)


@pytest.mark.parametrize(
    "lane", [{"call_timeout": 10}, {"stream": "never"}, {"stream": "always", "idle_timeout": 5}]
)
def test_what_is_shown_of_streams_can_be_loaded_again(lane: dict[str, Any]) -> None:
    document = {
        "providers": {"p": {"base_url": "https://h"}},
        "lanes": {"l": {"provider": "p", "model": "m", "concurrency": 1, **lane}},
        "routes": {"r": {"lanes": ["l"]}},
    }
    shown = resolved_toml(FleetSettings.model_validate(document))

    again = build_fleet(tomllib.loads(shown), source="shown", environ={})

    assert resolve_lane("l", again) == resolve_lane("l", FleetSettings.model_validate(document))


def test_equal_settings_have_one_digest_and_any_other_setting_another(
    settings: FleetSettings,
) -> None:
    other = settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"memory_mib": 77})}
    )

    assert settings_digest(settings) == settings_digest(settings.model_copy(deep=True))
    assert settings_digest(settings) != settings_digest(other)
