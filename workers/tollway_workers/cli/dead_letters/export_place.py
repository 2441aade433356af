"""Where an export is written: a file of its own that takes no other's place unasked."""

import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tollway.dead_letters.report import ExportReport
from tollway.errors import InvalidSettings
from tollway_workers.cli.batch.out_file import real_path
from tollway_workers.errors import InputError

_STANDARD_STREAM = "-"


def exported_to(
    out: Path, write: Callable[[Path], ExportReport], *, overwrite: bool
) -> ExportReport:
    """What `write` did to the path that it was given, which is then `out` if there is anything.

    Raises InputError where that cannot be, or may not.
    """
    if str(out) == _STANDARD_STREAM:
        raise InputError(
            "--out: - is no file: an export holds prompts and answers, and goes into a file that "
            "its owner alone may read"
        )
    place = real_path(out)
    _require_free(out, overwrite=overwrite)
    with _own_folder(out, place.parent) as folder:
        part = folder / "letters"
        report = _written(part, out, write)
        if report.exported:
            # Exports take minutes.
            _require_free(out, overwrite=overwrite)
            try:
                part.replace(place)
            except OSError as error:
                raise _unwritable(out, error) from None
        return report


@contextmanager
def _own_folder(out: Path, beside: Path) -> Iterator[Path]:
    """A folder of a name that is nobody's, out of which a file can be moved whole."""
    try:
        folder = tempfile.TemporaryDirectory(prefix=".tollway-export-", dir=beside)
    except OSError as error:
        raise _unwritable(out, error) from None
    with folder as name:
        yield Path(name)


def _require_free(out: Path, *, overwrite: bool) -> None:
    try:
        mode = out.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(out, error) from None
    if not stat.S_ISREG(mode):
        raise InputError(f"--out: {out} is no regular file: nothing is written to it")
    if not overwrite:
        raise InputError(f"--out: {out} is there already: name another file, or give --overwrite")


def _written(part: Path, out: Path, write: Callable[[Path], ExportReport]) -> ExportReport:
    try:
        return write(part)
    except InvalidSettings as error:
        raise InputError(str(error).replace(str(part), f"--out: {out}")) from None


def _unwritable(out: Path, error: OSError) -> InputError:
    return InputError(f"--out: {out} cannot be written: {error.strerror}")
