"""Whether others than this user may change, or read, the files that hold keys."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigMistake

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0


def files_that_others_write(settings: FleetSettings) -> Iterator[ConfigMistake]:
    """Key files that somebody else may change: then it is not our key that is sent."""
    for key, path in _key_files(settings):
        if (found := _who_writes(path)) is not None:
            yield ConfigMistake(
                key=key,
                problem=found,
                remedy="let this user alone write it, as with chmod go-w",
            )


def files_that_all_read(settings: FleetSettings) -> Iterator[ConfigMistake]:
    """Key files that every user of this machine can read. A group's members are let in on purpose.

    Of those that this user owns: what a container engine mounts is readable, and nobody else is
    there.
    """
    for key, path in _key_files(settings):
        found = _stat(path)
        if found is not None and found.st_mode & stat.S_IROTH and found.st_uid == os.geteuid():
            yield ConfigMistake(
                key=key,
                problem=f"every user of this machine can read {path}",
                remedy="let this user alone read it, as with chmod go-r",
            )


def _key_files(settings: FleetSettings) -> Iterator[tuple[str, Path]]:
    security = settings.kafka.security
    named = {
        "kafka.security.password": security.password.file if security.password else None,
        "kafka.security.key_file": security.key_file,
        **{
            f"providers.{name}.api_key": provider.api_key.file if provider.api_key else None
            for name, provider in settings.providers.items()
        },
    }
    for key, name in named.items():
        if name is not None:
            # pathlib's own raises where there is no such user.
            yield key, Path(os.path.expanduser(name)).absolute()


def _who_writes(path: Path) -> str | None:
    """Why others may change what stands at `path`; None where they cannot, or it is not there."""
    found = _stat(path)
    if found is None:
        return None
    if found.st_uid not in (_ROOT, os.geteuid()):
        return f"{path} belongs to another user, who may change it"
    if found.st_mode & _OTHERS_WRITE:
        return f"other users may write {path}"
    # Who may write a folder may put another file, or another folder, in the place of this one.
    for folder in dict.fromkeys([*path.parents, *path.resolve().parents]):
        above = _stat(folder)
        # In a sticky folder, as /tmp is one, everybody replaces what is their own alone.
        if above and above.st_mode & _OTHERS_WRITE and not above.st_mode & stat.S_ISVTX:
            return f"other users may write the folder {folder}, and so replace {path}"
    return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        # The reader of the key says why it cannot be read.
        return None
