"""The newest part of the chain as the voter needs it: roots of executed heights, ids and bodies above them.

Headers commit to history, results and the duplicate window; this is what those commitments are computed from when a
block is built and when one is checked, by the same functions.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cccnode.codec import Noun
from cccnode.crypto.merkle import Frontier
from cccnode.types.block import Body, Header
from cccnode.types.scalars import Hash, Height
from consensus.effects import Ancestor, Finalized, FinalizedBlock
from storage.store import Ahead

ROOTS_KEPT = 256
"""Executed heights whose roots are at hand: E lags by at most 16 heights plus what the slowest quorum lags."""
BODIES_MAX = 1_024
"""Proposed blocks whose lists are remembered: many times the views between two executed blocks."""


class Roots(Noun, frozen=True, array_like=True, gc=False):
    """What a header says about one executed height E."""

    height: Height
    state_root: Hash
    results_root: Hash
    ahead: Ahead = Ahead()
    """What the state after it says of the next epoch."""


@dataclass(slots=True)
class FinalBlocks:
    """Final blocks that wait for their turn or for their batches, by height."""

    blocks: dict[int, tuple[FinalizedBlock, Finalized]] = field(default_factory=dict)
    height: int = 0
    """Newest height known to be final."""


@dataclass(slots=True)
class Chain:
    """Facts about the chain near its tip; updated by the executor after each stored block."""

    height: int
    """Last executed height."""
    block_id: bytes
    history: Frontier
    """Block ids of heights 0..height."""
    roots: dict[int, Roots]
    window: deque[tuple[int, int]]
    """(time_ms, tx_count) of executed headers within the duplicate window, newest first."""
    find_roots: Callable[[int], Roots | None] = lambda _: None
    """Reads the roots of older heights."""
    bodies: dict[bytes, tuple[int, Body]] = field(default_factory=dict)
    """Height and batch ids of blocks that are not executed yet, by block id; changed through `remember`."""

    def remember(self, block_id: bytes, height: int, body: Body) -> None:
        """A block that is not executed yet lists these batches."""
        if height > self.height:
            self.bodies[block_id] = (height, body)
            if len(self.bodies) > BODIES_MAX:
                del self.bodies[next(iter(self.bodies))]

    def roots_at(self, height: int) -> Roots | None:
        """The roots of an executed height; None above it."""
        return self.roots.get(height) or self.find_roots(height)

    def executed(self, block_id: bytes, header: Header, roots: Roots, lifetime_ms: int) -> None:
        """A block was executed and stored."""
        self.height, self.block_id = header.height, block_id
        self.history = self.history.append(block_id)
        self.roots[header.height] = roots
        self.roots.pop(header.height - ROOTS_KEPT, None)
        self.window.appendleft((header.time_ms, header.tx_count))
        while self.window[-1][0] <= header.time_ms - lifetime_ms:
            self.window.pop()
        for stale in [key for key, (height, _) in self.bodies.items() if height <= header.height]:
            del self.bodies[stale]

    def above(self, ancestors: Sequence[Ancestor]) -> list[Ancestor] | None:
        """Those ancestors that are not executed yet, if they stand on the executed block; None while they do not."""
        rest = [ancestor for ancestor in ancestors if ancestor.header.height > self.height]
        if rest and (rest[0].header.height != self.height + 1 or rest[0].header.parent != self.block_id):
            return None
        return rest

    def history_root(self, above: Sequence[Ancestor]) -> bytes:
        """RFC 6962 root over all block ids up to the last of `above`."""
        frontier = self.history
        for ancestor in above:
            frontier = frontier.append(ancestor.block_id)
        return frontier.root()

    def listed(self, above: Sequence[Ancestor]) -> set[bytes]:
        """Batch ids that blocks above the executed one list already."""
        return {batch for ancestor in above for batch in ancestor.body}

    def window_headers(self, above: Sequence[Ancestor]) -> list[tuple[int, int]]:
        """(time_ms, tx_count) of the ancestors and of what was executed, newest first."""
        newest = [(ancestor.header.time_ms, ancestor.header.tx_count) for ancestor in reversed(above)]
        return newest + list(self.window)
