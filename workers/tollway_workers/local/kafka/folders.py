"""Folders that hold what only their owner may read."""

import os
from pathlib import Path

from tollway_workers.errors import LocalError


def make_private(folder: Path) -> None:
    """Make `folder`, for its owner only, unless it is there; LocalError if nothing can be kept."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"{folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LocalError(f"{folder} cannot be written to: give its owner the right, or use another")
