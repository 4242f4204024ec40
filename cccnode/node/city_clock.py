"""The clock of a demo city: it begins at the genesis, runs like any clock, and jumps ahead when it is told to.

Only where the genesis says `demo`.  It is the time of headers and of deadlines, nothing else: timers, heartbeats and
links go by the monotonic clock, which no jump touches.  It never goes back, as header times never do; and it is never
behind a final block, whose time a quorum took for the present, so a node that was away finds its time by catching up.
"""

from collections.abc import Callable, Sequence
from typing import Final

from cccnode.types.errors import CLOCK_BACK, fault

DEMO: Final = "demo"
"""The feature of a genesis that lets its city clock be set."""


def is_demo(features: Sequence[str]) -> bool:
    """Whether a network of these genesis features is a demonstration."""
    return DEMO in features


class CityClock:
    """City time: where it stood at some moment of the monotonic clock."""

    def __init__(self, now_ms: Callable[[], int], start_ms: int, moved: Callable[[], None] = lambda: None) -> None:
        """Begin at `start_ms`, Unix milliseconds; `now_ms` is the monotonic clock."""
        self.moved = moved
        """Called after each jump: what waited for the old clock looks again."""
        self._now_ms = now_ms
        self._ahead_ms = start_ms - now_ms()

    def wall_ms(self) -> int:
        """City time, Unix milliseconds."""
        return self._now_ms() + self._ahead_ms

    def set(self, time_ms: int) -> int:
        """Jump to `time_ms`; the time now.

        Raises:
            Fault: demo/CLOCK_BACK.
        """
        if time_ms < self.wall_ms():
            raise fault(CLOCK_BACK, asked_ms=time_ms, now_ms=self.wall_ms())
        self.reach(time_ms)
        return self.wall_ms()

    def reach(self, time_ms: int) -> None:
        """Jump to `time_ms` unless it is later already."""
        if time_ms > self.wall_ms():
            self._ahead_ms = time_ms - self._now_ms()
            self.moved()
