"""The duplicate window: ids of everything decided in the last `tx_lifetime_max` (J3, J5).

A transaction decided at t has a deadline of at most t + tx_lifetime_max, so once a block's time reaches that, no
later block can decide it again and its id may be forgotten.  Ids are grouped by block and dropped whole.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Container, Iterable, Sequence
from typing import Final, NamedTuple

from cccnode.crypto import kernel
from cccnode.ledger.ids import Ids

_IDS: Final[type[Ids]] = kernel.IDS or Ids


class Decided(NamedTuple):
    """Where a transaction was decided."""

    height: int
    position: int
    """Index of its receipt in the block's receipts."""


class _Block(NamedTuple):
    height: int
    time_ms: int
    first: int
    """Number of its first id."""


class Window:
    """Decided ids, in memory; rebuilt from receipts at start.  Changes only through `add`, after a block is stored."""

    __slots__ = ("_blocks", "_ids", "_next", "ids", "lifetime_ms")

    def __init__(self, lifetime_ms: int) -> None:
        """An empty window; `lifetime_ms` is the genesis constant tx_lifetime_max."""
        self.lifetime_ms = lifetime_ms
        self._blocks: deque[_Block] = deque()
        self._ids = _IDS()
        self._next = 0
        """Number of the next id: how many were added since this window was made."""
        self.ids: Container[bytes] = self._ids
        """Every remembered id: what execution tests ten thousand times a block."""

    def __contains__(self, tx_id: bytes) -> bool:
        """Whether this id was decided within the window."""
        return tx_id in self._ids

    def __len__(self) -> int:
        """How many ids are remembered."""
        return len(self._ids)

    @property
    def time_ms(self) -> int:
        """Time of the newest block added; 0 before the first."""
        return self._blocks[-1].time_ms if self._blocks else 0

    @property
    def height(self) -> int:
        """Height of the newest block added; -1 before the first."""
        return self._blocks[-1].height if self._blocks else -1

    @property
    def first_height(self) -> int:
        """Height of the oldest block remembered; one above the newest when there is none."""
        return self._blocks[0].height if self._blocks else self.height + 1

    def add(self, height: int, time_ms: int, ids: Sequence[bytes]) -> None:
        """Remember the decided ids of the next executed block, and forget blocks that left the window."""
        if self._blocks:
            assert height == self.height + 1, "blocks enter the window in height order"
            assert time_ms > self.time_ms, "header time grows strictly"
        self._ids.add(ids)
        self._blocks.append(_Block(height, time_ms, self._next))
        self._next += len(ids)
        while self._blocks[0].time_ms <= time_ms - self.lifetime_ms:
            self._blocks.popleft()
        kept = self._next - self._blocks[0].first
        if kept < len(self._ids):
            self._ids.drop(len(self._ids) - kept)

    def find(self, tx_id: bytes) -> Decided | None:
        """Where an id was decided, while it is in the window."""
        number = self._ids.find(tx_id)
        if number is None:
            return None
        block = self._blocks[bisect_right(self._blocks, number, key=_first) - 1]
        return Decided(block.height, number - block.first)

    def expired(self, tx_id: bytes, valid_until_ms: int) -> bool:
        """Whether an id without a receipt in the index can never be decided any more (J6).

        Ask the index first: a transaction decided early in its life leaves the window before its deadline is final.
        """
        return tx_id not in self._ids and self.time_ms >= valid_until_ms

    @classmethod
    def rebuilt(cls, lifetime_ms: int, blocks: Iterable[tuple[int, int, Sequence[bytes]]]) -> "Window":
        """A window from (height, time_ms, decided ids) of stored blocks, oldest first."""
        window = cls(lifetime_ms)
        for height, time_ms, ids in blocks:
            window.add(height, time_ms, ids)
        return window


def _first(block: _Block) -> int:
    return block.first
