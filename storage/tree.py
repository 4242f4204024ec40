"""The levels above the buckets: a binary tree of fixed depth in byte arrays.

A block changes the tree in two moves: `branches` computes the new nodes beside the tree, level by level; `adopt` copies
them into the arrays.
"""

from collections.abc import Generator
from hashlib import sha256
from typing import Final

from cccnode.crypto import kernel
from cccnode.crypto.hashing import BRANCH

Nodes = list[bytes]
"""Changed nodes of each level, the buckets first, the root last; each level as `kernel.parents` has it."""

_HASH: Final = slice(4, 36)
"""Where the hash stands in the first node of a level."""


class Tree:
    """Node hashes of all levels; level 0 are the buckets."""

    def __init__(self, leaves: bytes) -> None:
        self._levels = [bytearray(leaves)]
        level = leaves
        while len(level) > 32:
            level = b"".join([sha256(BRANCH + level[i : i + 64]).digest() for i in range(0, len(level), 64)])
            self._levels.append(bytearray(level))
        self.depth: Final = len(self._levels) - 1

    @property
    def root(self) -> bytes:
        """The state root."""
        return bytes(self._levels[-1])

    def node(self, level: int, index: int) -> bytes:
        """One node's hash."""
        return bytes(self._levels[level][index << 5 : (index << 5) + 32])

    def nodes(self, level: int, first: int, count: int) -> bytes:
        """The hashes of some neighbours on one level, joined; none beyond its end."""
        return bytes(self._levels[level][first << 5 : (first + count) << 5])

    def path(self, bucket: int) -> tuple[bytes, ...]:
        """The siblings on the way from a bucket to the root."""
        return tuple(self.node(level, (bucket >> level) ^ 1) for level in range(self.depth))

    def branches(self, buckets: bytes) -> Generator[None, None, Nodes]:
        """The nodes that change when these buckets do; yields after each level."""
        changed = [buckets]
        for level in self._levels[:-1]:
            changed.append(kernel.parents(level, changed[-1]))
            yield
        return changed

    def adopt(self, nodes: Nodes) -> None:
        """Make the nodes that `branches` returned current."""
        for level, changed in zip(self._levels, nodes, strict=True):
            kernel.put_nodes(level, changed)


def root_of(nodes: Nodes) -> bytes | None:
    """The new root among changed nodes; None if nothing changed."""
    return nodes[-1][_HASH] or None
