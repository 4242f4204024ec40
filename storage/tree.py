"""The levels above the buckets: a binary tree of fixed depth in byte arrays.

A block changes the tree in two moves.  `branches` computes the new nodes beside the tree, in slices; `adopt` makes them
current at once, by reference.  They are copied into the arrays in slices too, at the beginning of the next block
(`fold`), so that no move blocks the loop that also carries votes.
"""

from collections.abc import Generator, Iterator
from hashlib import sha256
from itertools import islice
from struct import Struct
from typing import Final

from cccnode.crypto.hashing import BRANCH

Nodes = list[dict[int, bytes]]
"""Changed nodes of each level, the buckets first, the root last."""

SLICE_NODES: Final = 1_000
"""Nodes in one slice: about a millisecond."""

_put_node: Final = Struct("32s").pack_into  # Twice as fast as assigning a slice.
_children: Final = Struct("32s32s").unpack_from


class Tree:
    """Node hashes of all levels; level 0 are the buckets."""

    def __init__(self, leaves: bytes) -> None:
        self._levels = [bytearray(leaves)]
        self._recent: Nodes = []
        """Adopted nodes that are not in the arrays yet."""
        level = leaves
        while len(level) > 32:
            level = b"".join([sha256(BRANCH + level[i : i + 64]).digest() for i in range(0, len(level), 64)])
            self._levels.append(bytearray(level))
        self.depth: Final = len(self._levels) - 1
        self._recent = [{} for _ in self._levels]

    @property
    def root(self) -> bytes:
        """The state root."""
        return self.node(self.depth, 0)

    def node(self, level: int, index: int) -> bytes:
        """One node's hash."""
        recent = self._recent[level].get(index)
        return bytes(self._levels[level][index << 5 : (index << 5) + 32]) if recent is None else recent

    def path(self, bucket: int) -> tuple[bytes, ...]:
        """The siblings on the way from a bucket to the root."""
        return tuple(self.node(level, (bucket >> level) ^ 1) for level in range(self.depth))

    def fold(self) -> Iterator[None]:
        """Copy the adopted nodes into the arrays, slice by slice; must be run to its end before `branches`."""
        for level, nodes in zip(self._levels, self._recent, strict=True):
            rest = iter(nodes.items())
            while part := list(islice(rest, 4 * SLICE_NODES)):
                for index, value in part:
                    _put_node(level, index << 5, value)
                yield
        for nodes in self._recent:
            nodes.clear()

    def branches(self, buckets: dict[int, bytes]) -> Generator[None, None, Nodes]:
        """The nodes that change when these buckets do; yields between slices."""
        assert not any(self._recent), "fold() first"
        changed = [buckets]
        for level in self._levels[:-1]:
            below, above = changed[-1], dict[int, bytes]()
            parents = iter(dict.fromkeys([index >> 1 for index in below]))
            while part := list(islice(parents, SLICE_NODES)):
                _hash_parents(part, level=level, below=below, above=above)
                yield
            changed.append(above)
        return changed

    def adopt(self, nodes: Nodes) -> None:
        """Make the nodes that `branches` returned current."""
        self._recent = nodes


def _hash_parents(parents: list[int], *, level: bytearray, below: dict[int, bytes], above: dict[int, bytes]) -> None:
    """Hash each parent from its two children; a child that did not change comes from the array."""
    get = below.get
    for parent in parents:
        left, right = _children(level, parent << 6)
        child = parent << 1
        above[parent] = sha256(BRANCH + get(child, left) + get(child | 1, right)).digest()
