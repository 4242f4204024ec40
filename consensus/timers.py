"""How long to wait, and for what.  Monotonic milliseconds that the driver supplies; nothing here reads a clock."""

from typing import Final

from cccnode.types.validators import Timers

_STEPS: Final = 10
"""1.25 ** 10 > 8: after so many views the factor no longer grows."""
_FACTOR_MAX: Final = 8_000
_FACTORS: Final[tuple[int, ...]] = tuple(
    min(1_000 * pow(5, step) // pow(4, step), _FACTOR_MAX) for step in range(_STEPS + 1)
)
"""min(1.25^k, 8) in thousandths.  Capped, because doubling timers have made networks wait for hours."""

STATUS_INTERVAL_MS: Final = 2_000
"""A node says where it stands at least this often (consensus.md 3.4)."""


def factor(view: int, final_view: int) -> int:
    """s(v) in thousandths: grows with the views since the last final one, a function of certified data only."""
    return _FACTORS[min(max(0, view - final_view - 3), _STEPS)]


class ViewTimers:
    """The timers of the current view.  They run only while `armed_ms` is set: an idle network waits for nothing."""

    __slots__ = ("_scale", "_timers", "armed_ms", "entered_ms", "for_root", "nullified", "proposal_seen", "retry_ms")

    def __init__(self, timers: Timers, now_ms: int) -> None:
        """Timers of a view that is entered now."""
        self._timers = timers
        self.enter(now_ms=now_ms, view=1, final_view=0)

    def enter(self, *, now_ms: int, view: int, final_view: int) -> None:
        """A new view begins, unarmed."""
        self._scale = factor(view, final_view)
        self.entered_ms = now_ms
        self.armed_ms: int | None = None
        self.for_root = False
        """Armed only because a root waits to be published: its leader may hold back until it can publish it."""
        self.proposal_seen = False
        self.nullified = False
        self.retry_ms = now_ms + self.retry_interval_ms

    def arm(self, now_ms: int, *, for_root: bool = False) -> None:
        """Start to wait for this view's block, unless that was started already."""
        if self.armed_ms is None:
            self.armed_ms, self.for_root = now_ms, for_root
        elif not for_root:
            self.for_root = False

    def _scaled(self, duration_ms: int) -> int:
        return duration_ms * self._scale // 1_000

    @property
    def retry_interval_ms(self) -> int:
        """t_r = 3Δ, scaled: between two repeats of what may have been lost (R8)."""
        return max(1, self._scaled(3 * self._timers.delta_ms))

    @property
    def nullify_ms(self) -> int | None:
        """When to give the view up: t_leader without a proposal, t_view with one (J12); None if unarmed or given up."""
        if self.armed_ms is None or self.nullified:
            return None
        deltas = 4 if self.proposal_seen else 2
        return self.armed_ms + self._scaled(self._timers.min_interval_ms + deltas * self._timers.delta_ms)

    def gave_up(self, now_ms: int) -> None:
        """This node nullified the view: from here on it repeats (R8)."""
        self.nullified = True
        self.retry_ms = now_ms + self.retry_interval_ms

    def repeated(self, now_ms: int) -> None:
        """R8 was carried out; the next time is one interval away."""
        self.retry_ms = now_ms + self.retry_interval_ms
