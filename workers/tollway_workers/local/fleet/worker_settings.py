"""The settings of a run's workers, as the file that they are started with."""

from pathlib import Path
from typing import Any

import tomlkit

from tollway_workers.config.shape.fleet import FleetSettings


def write_settings(settings: FleetSettings, file: Path) -> None:
    """Write what `tollway worker --config` reads. Secrets are in it by reference only."""
    document = settings.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    file.touch(mode=0o600)
    file.write_text(tomlkit.dumps(_plain(document)), encoding="utf-8")


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    # Each worker of a machine needs a port and logs of its own.
    document["telemetry"] = {**document.get("telemetry", {}), "port": 0, "log_format": "json"}
    return document
