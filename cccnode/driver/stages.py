"""CPU time by stage: what a transaction costs this node, and where (performance.md 4c)."""

from collections import Counter


class Stages:
    """Nanoseconds and items for each stage; one instance a node."""

    __slots__ = ("items", "nanoseconds")

    def __init__(self) -> None:
        """Everything zero."""
        self.nanoseconds: Counter[str] = Counter()
        self.items: Counter[str] = Counter()

    def add(self, stage: str, nanoseconds: int, items: int = 1) -> None:
        """Account for `items` handled in `nanoseconds` of CPU."""
        self.nanoseconds[stage] += nanoseconds
        self.items[stage] += items
