"""What the C library does with memory that is free."""

import ctypes
from contextlib import suppress

#: `M_MMAP_THRESHOLD` of glibc's malloc.h, and bytes from which on a block has pages of its own.
_MMAP_THRESHOLD = -3
_OWN_PAGES = 128 * 1024


def give_back_large_blocks() -> None:
    """Let large blocks go back to the system once they are free.

    By itself glibc raises this threshold to 32 MiB with each large block that is freed: of answers
    of megabytes a process keeps hundreds of them for good. Other C libraries are left as they are.
    """
    # Of Windows there is no library without a name.
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _OWN_PAGES)
