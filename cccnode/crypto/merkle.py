"""RFC 6962 Merkle trees (section 2.1): roots, inclusion proofs, and the frontier of a growing list.

Leaves are hashed with prefix 0x00 and nodes with 0x01; a list splits at the largest power of two below
its length.  The root of the empty list is SHA-256 of nothing.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cccnode.codec import Noun
from cccnode.crypto import kernel
from cccnode.crypto.trees import next_level

EMPTY_ROOT: Final = sha256(b"").digest()


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
