"""Proofs of the state: one form shows an item, its absence, or that a group is complete (architecture D6).

The state is a set of groups, each a set of (item, value).  With H a domain-separated SHA-256 and `short(x)` the one
byte len(x) followed by x:

    value_hash   = H("ccc/1/value", value)
    group_hash   = H("ccc/1/group", short(group), [short(item), value_hash] for each item, ascending)
    bucket       = the first `depth` bits of SHA-256(group)
    bucket_hash  = H("ccc/1/bucket", depth u8, bucket u32, [short(group), group_hash] for each group in it, ascending)
    branch       = H("ccc/1/branch", left, right), `depth` levels up to the state root

All groups of a bucket go into one leaf, so a proof that lists them shows as well that another group is not there.
Pure; clients verify with this file alone.
"""

from collections.abc import Iterable
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.crypto.hashing import BRANCH, BUCKET, GROUP, tagged

VALUE: Final = b"ccc/1/value"
DEPTH_MAX: Final = 24
"""Half a gigabyte of hashes; the default of 16 serves a million groups."""

_SHORT: Final = tuple(bytes((length,)) for length in range(256))
"""The length byte before a name."""

_Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Group = Annotated[bytes, Meta(min_length=1, max_length=255)]
_Item = Annotated[bytes, Meta(max_length=255)]  # A group of one item may leave its name empty.
_Hashes = Annotated[tuple[tuple[_Group, _Hash], ...], Meta(max_length=65_536)]


class InvalidProof(ValueError):
    """The proof does not lead to the root, or is not in the one form that it must have."""

    name: ClassVar[str] = "state/INVALID_PROOF"


class StateProof(Noun, frozen=True, array_like=True, gc=False):
    """What a bucket holds, seen from one group, and the way from the bucket to the state root."""

    items: Annotated[tuple[tuple[_Item, bytes], ...], Meta(max_length=256)]
    """The items of the group that are shown, ascending."""
    hidden: Annotated[tuple[tuple[_Item, _Hash], ...], Meta(max_length=256)]
    """The other items of the group, as value hashes, ascending; with both empty the group is absent."""
    neighbours: _Hashes
    """The other groups of the bucket with their group hashes, ascending."""
    path: Annotated[tuple[_Hash, ...], Meta(max_length=DEPTH_MAX)]
    """The sibling at each level, from the bucket up."""


def value_hash(value: bytes) -> bytes:
    """What stands for a value in its group's hash."""
    return sha256(VALUE + value).digest()


def group_hash(group: bytes, items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The hash of a group from its (item, value) pairs, which must be ascending."""
    entries = [_SHORT[len(item)] + item + sha256(VALUE + value).digest() for item, value in items]
    return sha256(GROUP + _SHORT[len(group)] + group + b"".join(entries)).digest()


def bucket_of(group: bytes, depth: int) -> int:
    """The number of the bucket that a group lies in."""
    return int.from_bytes(sha256(group).digest()[:4], "big") >> (32 - depth)


def bucket_hash(depth: int, bucket: int, listing: bytes) -> bytes:
    """The leaf over a bucket: `listing` holds its groups with their hashes, ascending (`listed`)."""
    return sha256(BUCKET + _SHORT[depth] + bucket.to_bytes(4, "big") + listing).digest()


def listed(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Names with their hashes: one byte of length, the name, 32 bytes.  No two lists give the same bytes."""
    return b"".join([_SHORT[len(name)] + name + digest for name, digest in pairs])


def parse_listed(listing: bytes) -> dict[bytes, bytes]:
    """The names and hashes of a listing that this node made."""
    pairs, start, size = {}, 0, len(listing)
    while start < size:
        middle = start + 1 + listing[start]
        end = middle + 32
        pairs[listing[start + 1 : middle]] = listing[middle:end]
        start = end
    return pairs


def branch_hash(left: bytes, right: bytes) -> bytes:
    """The node above two others."""
    return sha256(BRANCH + left + right).digest()


def verify_state_proof(proof: StateProof, group: bytes, root: bytes, depth: int) -> dict[bytes, bytes]:
    """All items of `group` under the state root `root`; empty if the group is not there.

    Raises:
        InvalidProof: the proof is not one for this group, root and depth, or hides an item.
    """
    if proof.hidden:
        raise InvalidProof("the proof hides items of the group")
    _verify(proof, group, root, depth)
    return dict(proof.items)


def verify_item_proof(proof: StateProof, group: bytes, item: bytes, root: bytes, depth: int) -> bytes | None:
    """The value of one item under the state root `root`, None if it is not there; other items may be hidden.

    Raises:
        InvalidProof: the proof is not one for this group, root and depth, or hides the item.
    """
    if any(name == item for name, _ in proof.hidden):
        raise InvalidProof("the proof hides the item")
    _verify(proof, group, root, depth)
    return dict(proof.items).get(item)


def _verify(proof: StateProof, group: bytes, root: bytes, depth: int) -> None:
    if not 0 < depth <= DEPTH_MAX or len(proof.path) != depth:
        raise InvalidProof("the path has another length than the tree")
    if not 0 < len(group) <= 255:
        raise InvalidProof("no group has such a name")
    entries = sorted([(item, value_hash(value)) for item, value in proof.items] + list(proof.hidden))
    groups = list(proof.neighbours)
    if entries:
        groups = sorted([*groups, (group, tagged(GROUP, _SHORT[len(group)], group, listed(entries)))])
    elif any(name == group for name, _ in groups):
        raise InvalidProof("the group is listed and said to be absent")
    for part in (proof.items, proof.hidden, proof.neighbours, entries, groups):
        _check_ascending(part)
    bucket = bucket_of(group, depth)
    value = bucket_hash(depth, bucket, listed(groups))
    for level, sibling in enumerate(proof.path):
        value = branch_hash(sibling, value) if bucket >> level & 1 else branch_hash(value, sibling)
    if value != root:
        raise InvalidProof("the path does not lead to the root")


def _check_ascending(pairs: Iterable[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in pairs]
    if any(left >= right for left, right in pairwise(names)):
        raise InvalidProof("names are not in ascending order, or repeat")
