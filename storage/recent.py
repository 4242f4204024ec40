"""What the last blocks replaced in the state, in memory: proofs of the states before them.

A header reports the state of a block or two before its own (J1), so that a proof that can be completed at once is one
of a state that is already gone.  Only quiet blocks are undone here; under load the next header is never far, and a
large block ends what was known.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from cccnode.crypto.trees import Pages
from storage.tree import Nodes, Tree

BLOCKS_MAX: Final = 32
"""As far as E may lag, and as much again."""
BUCKETS_MAX: Final = 256
"""Of one block: about half a millisecond to remember."""
BYTES_MAX: Final = 16 << 20
"""Of all pages."""
_NODE: Final = 36
"""Bytes of a changed node: its number, its hash."""


@dataclass(frozen=True, slots=True)
class _Undo:
    """What one block replaced."""

    root: bytes
    """Before it."""
    pages: dict[int, bytes]
    nodes: list[dict[int, bytes]]
    """Hashes by number, for each level below the root."""
    size: int


class Recent:
    """The newest states but the current one."""

    def __init__(self) -> None:
        """Only the current state is known."""
        self._undo: deque[_Undo] = deque()
        self._held = 0

    def replaced(self, pages: Pages, tree: Tree, nodes: Nodes) -> None:
        """A block is about to change these nodes and the pages of its buckets."""
        if len(nodes[0]) > BUCKETS_MAX * _NODE:
            self._undo.clear()
            self._held = 0
            return
        numbers = [_numbers(level) for level in nodes[:-1]]
        old = {bucket: pages[bucket] or b"" for bucket in numbers[0]}
        size = sum(map(len, old.values()))
        before = [{number: tree.node(level, number) for number in row} for level, row in enumerate(numbers)]
        self._undo.append(_Undo(tree.root, old, before, size))
        self._held += size
        while len(self._undo) > BLOCKS_MAX or self._held > BYTES_MAX:
            self._held -= self._undo.popleft().size

    def since(self, root: bytes) -> "list[_Undo] | None":
        """What was replaced since the state had this root, oldest first; None: that is not known."""
        for number in range(len(self._undo) - 1, -1, -1):
            if self._undo[number].root == root:
                return list(self._undo)[number:]
        return None


def page_then(undone: list[_Undo], bucket: int) -> bytes | None:
    """The page of a bucket before the first of these; None: none of them touched it."""
    return next((undo.pages[bucket] for undo in undone if bucket in undo.pages), None)


def node_then(undone: list[_Undo], level: int, number: int) -> bytes | None:
    """The hash of a node before the first of these; None: none of them touched it."""
    return next((undo.nodes[level][number] for undo in undone if number in undo.nodes[level]), None)


def _numbers(level: bytes) -> list[int]:
    return [int.from_bytes(level[at : at + 4], "big") for at in range(0, len(level), _NODE)]
