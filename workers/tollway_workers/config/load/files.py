"""Small text files, read with care: what an operator names may be anything."""

import stat
from pathlib import Path


class UnreadableFile(Exception):
    """A file that cannot be used; the text says why, as in "does not exist". Quotes nothing."""


def read_small_text(path: Path, *, most_bytes: int) -> str:
    """The text of a regular UTF-8 file of at most `most_bytes`.

    Raises UnreadableFile for anything else, and never waits: a pipe is not opened.
    """
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise UnreadableFile("is a directory")
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableFile("is not a regular file")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise UnreadableFile("does not exist") from None
    except PermissionError:
        raise UnreadableFile("may not be read by this user") from None
    except OSError as error:
        raise UnreadableFile(f"cannot be read ({error.strerror})") from error
    except ValueError:
        raise UnreadableFile("has a name that no file can have") from None
    if len(content) > most_bytes:
        raise UnreadableFile(f"is larger than {most_bytes // 1024} KiB")
    return _decoded(content)


def _decoded(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(f"is not UTF-8 text (line {line})") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UnreadableFile(f"holds a NUL byte (line {line})")
    return text
