"""Files of a run on a disk that may be full, read-only or not ours."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tollway_workers.errors import LocalError

#: What to do about a disk that is full.
MAKE_ROOM = "make room, and the same command goes on where it was"
#: What to do about a state folder that cannot be used.
OTHER_FOLDER = "make room there, or name another folder with XDG_STATE_HOME"


class DiskError(LocalError):
    """A file of a run cannot be written: what was written before is whole."""


def state_path(out: Path) -> Path:
    """The file beside OUT that keeps the state of its run."""
    return out.with_name(f"{out.name}.tollway-state.json")


@contextmanager
def writing(path: Path, remedy: str) -> Iterator[None]:
    """Turn what the system says of a write to `path` into one sentence. Raises DiskError."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"{path} cannot be written: {error.strerror}; {remedy}") from error


def replace_file(path: Path, draft: Path, content: Iterable[bytes]) -> None:
    """Give `path` this content in one step; it is on the disk before it takes its name.

    The draft is a file of our own: where a name leads elsewhere, nothing is written there. Raises
    OSError, and leaves no draft.
    """
    # What a crash left, or what somebody put there: the name goes, not what it leads to.
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with open(os.open(draft, flags, 0o666), "wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
