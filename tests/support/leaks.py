"""Whether native code forgets to give back what it took."""

import sys
import tracemalloc
from collections.abc import Callable, Sequence

CALLS = 300
GROWTH_MAX = 3_000
"""Bytes that all those calls may leave behind: one object lost in each of them would be more."""


def nothing_leaks(use: Callable[[], object], watched: Sequence[object]) -> None:
    """Call `use` often: memory does not grow, and what is `watched` is held by nobody new."""
    use()
    counts = [sys.getrefcount(one) for one in watched]
    tracemalloc.start()
    try:
        use()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(CALLS):
            use()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < GROWTH_MAX
    assert counts == [sys.getrefcount(one) for one in watched]
