"""Lengths of time and parts of a whole, as rules count them."""

from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
YEAR_MS: Final = 365 * DAY_MS
"""As modules.md R3 counts it; no calendar is meant."""
BPS: Final = 10_000
"""Basis points of a whole."""
