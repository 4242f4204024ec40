"""What one seed, or a campaign of many, showed."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Result:
    """The outcome of one seed."""

    violations: list[str] = field(default_factory=list)
    """What must not happen and did; empty when all is well."""
    coverage: Counter[str] = field(default_factory=Counter)
    """How often each interesting thing happened: a simulation that never sees it proves nothing about it."""
    hash: str = ""
    """Digest of the whole run: the same seed gives the same hash."""
