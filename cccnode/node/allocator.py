"""What the C library's allocator may keep: glibc's defaults suit programs that end soon, not nodes that run for years.

Other C libraries have no such calls, and need none.
"""

import ctypes
from contextlib import suppress
from typing import Final

# Numbers of mallopt(3).
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8

SEPARATE_BYTES: Final = 256 * 1024
"""Allocations from this size on are mapped one by one and go back when they are freed.  By default the bound grows with
what was freed before, up to 32 MiB, and blocks, frames and memory tables leave holes between what lives longer."""
KEPT_BYTES: Final = 4 << 20
"""Free memory at the end of the heap that is not given back."""
ARENAS: Final = 2
"""By default eight for each processor: every writer thread would keep one, as large as it ever was."""


def begin() -> None:
    """Set the limits; before threads are started."""
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_ARENA_MAX, ARENAS)
        library.mallopt(_MMAP_THRESHOLD, SEPARATE_BYTES)
        library.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Return what nothing holds any more: freed memory stays below what is in use above it.

    12 MB after a first start with 100,000 accounts.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
