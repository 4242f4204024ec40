"""Ids in the order in which they came, in Python: the definition of the kernel's class `Ids`, and the fallback.

Both take the same arguments and do the same; the tests compare them over random sequences of calls.  The native one
takes 38 bytes an id, this one about 170.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

ID_BYTES: Final = 32


class Ids:
    """A set of ids, each numbered from the first one ever added; the oldest are forgotten first."""

    __slots__ = ("_next", "_numbers", "_order")

    def __init__(self) -> None:
        """None yet."""
        self._numbers: dict[bytes, int] = {}
        self._order: deque[bytes] = deque()
        self._next = 0

    def __contains__(self, tx_id: object) -> bool:
        """Whether it was added and not forgotten; what execution asks ten thousand times a block."""
        return tx_id in self._numbers

    def __iter__(self) -> Iterator[bytes]:
        """Every id, the oldest first."""
        return iter(self._order)

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._numbers)

    def add(self, ids: Sequence[bytes]) -> None:
        """Remember further ids, numbered on.

        Raises:
            ValueError: one is not 32 bytes, or there already; nothing has changed.
        """
        if not all(map(_is_id, ids)):
            raise ValueError("an id is 32 bytes")
        if len(set(ids)) < len(ids) or not self._numbers.keys().isdisjoint(ids):
            raise ValueError("an id is there already")
        self._numbers.update(zip(ids, range(self._next, self._next + len(ids)), strict=True))
        self._order.extend(ids)
        self._next += len(ids)

    def drop(self, count: int) -> None:
        """Forget so many of the oldest.

        Raises:
            ValueError: there are fewer.
        """
        if count > len(self._numbers):
            raise ValueError("there are fewer ids")
        for _ in range(count):
            del self._numbers[self._order.popleft()]

    def find(self, tx_id: bytes) -> int | None:
        """The number of an id, while it is remembered."""
        return self._numbers.get(tx_id)


def _is_id(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == ID_BYTES
