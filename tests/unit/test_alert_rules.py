"""The alert rules that ship: of metrics that there are, and each says what to do."""

import re
from pathlib import Path

import yaml

from tollway_workers.cli.main import COMMANDS
from tollway_workers.telemetry import definitions
from tollway_workers.telemetry.definitions import Metric

_RULES = yaml.safe_load(
    (Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yml").read_text("utf-8")
)
_METRICS = {each.name: each for each in vars(definitions).values() if isinstance(each, Metric)}


def test_every_rule_is_of_metrics_and_labels_that_there_are() -> None:
    for group in _RULES["groups"]:
        for rule in group["rules"]:
            names = set(re.findall(r"tollway_[a-z_]+", rule["expr"]))
            assert names
            assert names <= _METRICS.keys()
            said = str(rule["annotations"])
            shown = set(re.findall(r"\$labels\.([a-z_]+)", said))
            assert all(shown <= set(_METRICS[name].labels) for name in names)


def test_every_rule_says_what_it_means_and_which_command_says_more() -> None:
    commands = {command.name for command in COMMANDS}
    alerts = [rule for group in _RULES["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)

    for rule in alerts:
        named = set(re.findall(r"`tollway ([a-z-]+)", rule["annotations"]["description"]))
        assert named
        assert named <= commands
        assert rule["for"]
