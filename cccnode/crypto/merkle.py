"""RFC 6962 Merkle trees (section 2.1): roots, inclusion and consistency proofs, and the frontier of a growing list.

Leaves are hashed with prefix 0x00 and nodes with 0x01; a list splits at the largest power of two below
its length.  The root of the empty list is SHA-256 of nothing.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.crypto import kernel
from cccnode.crypto.trees import next_level

EMPTY_ROOT: Final = sha256(b"").digest()
LEVELS_MAX: Final = 63
"""Siblings of the longest path: no list is longer than 2**63."""

_Node = Annotated[bytes, Meta(min_length=32, max_length=32)]
Path = Annotated[tuple[_Node, ...], Meta(max_length=LEVELS_MAX)]
"""Siblings from the leaf up."""
RangeRoot = Callable[[int, int], bytes]
"""The root over the leaves from `start` up to but not with `end`, where a tree has them below one node."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The tree head of `leaves` (raw bytes, not hashes)."""
    return kernel.list_root(leaves)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of `leaves[index]`, from the leaf up (RFC 6962 section 2.1.1)."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of a tree of {len(leaves)}")
    level = [leaf_hash(leaf) for leaf in leaves]
    path = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = next_level(level)
        index >>= 1
    return tuple(path)


def verify_inclusion(*, leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that `leaf` is number `index` of the `size` leaves under `root` (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, value = index, size - 1, leaf_hash(leaf)
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            value = node_hash(sibling, value)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            value = node_hash(value, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and value == root


class Branch(Noun, frozen=True, array_like=True, gc=False):
    """The audit path of a leaf whose place in the list is not claimed, only that it is there.

    A path alone fits several places in lists of several lengths; nothing here says which, so nothing can be altered.
    """

    left: Annotated[int, Meta(ge=0, le=2**LEVELS_MAX - 1)]
    """A bit for each sibling, lowest first: whether it stands on the left."""
    path: Path

    def root(self, leaf: bytes) -> bytes | None:
        """The root that this leads to from `leaf` (raw bytes); None if it is not in its one form."""
        if self.left >> len(self.path):
            return None
        value = leaf_hash(leaf)
        for level, sibling in enumerate(self.path):
            value = node_hash(sibling, value) if self.left >> level & 1 else node_hash(value, sibling)
        return value


def branch(leaves: Sequence[bytes], index: int) -> Branch:
    """The branch of `leaves[index]`."""
    path = inclusion_proof(leaves, index)
    left, level, last = 0, 0, len(leaves) - 1
    while last:
        if index ^ 1 <= last:
            left |= (index & 1) << level
            level += 1
        index >>= 1
        last >>= 1
    return Branch(left, path)


def inclusion_path(index: int, size: int, before: "Frontier", range_root: RangeRoot) -> tuple[bytes, ...]:
    """The audit path of leaf `index` of `size` without the leaves, from O(log size) hashes.

    `before`: the frontier of the `index` leaves before it, which are its siblings on the left; `range_root` is asked
    for those on the right.
    """
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} of a tree of {size}")
    assert before.size == index
    path, start, end, peaks = [], 0, size, iter(before.peaks)
    while end - start > 1:
        split = _split(start, end)
        if index < split:
            path.append(range_root(split, end))
            end = split
        else:
            path.append(next(peaks))
            start = split
    return tuple(reversed(path))


def consistency_path(size: int, before: "Frontier", range_root: RangeRoot) -> tuple[bytes, ...]:
    """Proof that the tree of `size` leaves grew from the one of `before` by appending (RFC 6962 section 2.1.2)."""
    first = before.size
    if not 0 < first <= size:
        raise IndexError(f"a tree of {first} within one of {size}")
    path, start, end, peaks = [], 0, size, iter(before.peaks)
    while end != first:
        split = _split(start, end)
        if first <= split:
            path.append(range_root(split, end))
            end = split
        else:
            path.append(next(peaks))
            start = split
    return tuple(reversed([*path, next(peaks)] if start else path))


def verify_consistency(*, first: int, size: int, path: Sequence[bytes], first_root: bytes, root: bytes) -> bool:
    """Whether `path` proves that the tree of `size` leaves begins with that of `first` (RFC 9162 2.1.4.2)."""
    if not 0 < first <= size:
        return False
    if first == size or not path:
        return first == size and not path and first_root == root
    nodes = [first_root, *path] if first & (first - 1) == 0 else list(path)
    position, last = first - 1, size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, node)
        position >>= 1
        last >>= 1
    return (old, new, last) == (first_root, root, 0)


def _split(start: int, end: int) -> int:
    """Where the list from `start` to `end` parts: after the largest power of two below its length."""
    return start + (1 << (end - start - 1).bit_length() - 1)


class Frontier(Noun, frozen=True, array_like=True, gc=False):
    """The right edge of a growing RFC 6962 tree: enough to append and to name the root, O(log n) hashes."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()
    """Roots of the complete subtrees, largest first: one for every set bit of `size`."""

    def append(self, leaf: bytes) -> "Frontier":
        """The frontier with one more leaf (raw bytes)."""
        peaks, node, size = list(self.peaks), leaf_hash(leaf), self.size
        while size & 1:
            node = node_hash(peaks.pop(), node)
            size >>= 1
        return Frontier(self.size + 1, (*peaks, node))

    def root(self) -> bytes:
        """The tree head over everything appended so far."""
        if not self.peaks:
            return EMPTY_ROOT
        value = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            value = node_hash(peak, value)
        return value

    def last(self, count: int, leaf: bytes) -> bytes:
        """The root over the last `count` leaves and then `leaf`, where a tree has them below one node.

        With the frontiers of all sizes at hand, that is every range that a proof names.
        """
        peaks = self.peaks[len(self.peaks) - count.bit_count() :]
        return Frontier(count, peaks).append(leaf).root()
