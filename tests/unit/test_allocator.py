"""Memory that is free goes back to the system."""

import ctypes
import subprocess
import sys

import pytest

from tollway_workers.app.allocator import give_back_large_blocks

_ANSWERS = """
import psutil
from tollway_workers.app.allocator import give_back_large_blocks
{begin}
process = psutil.Process()
before = process.memory_info().rss
# As answers do, among small things that stay.
kept = []
for _ in range(4):
    answers = []
    for _ in range(16):
        answers.append(b"a" * (8 * 2**20))
        kept += [bytearray(600) for _ in range(64)]
    del answers
print(process.memory_info().rss - before)
"""


def _taken(begin: str) -> int:
    program = _ANSWERS.format(begin=begin)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is another one")
def test_of_large_answers_that_are_gone_no_memory_is_kept() -> None:
    assert _taken("give_back_large_blocks()") < 16 * 2**20


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_another_c_library_is_left_as_it_is(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: None) -> None:
        raise error(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)

    give_back_large_blocks()
