"""State proofs: what they show, and that nothing else passes for one."""

from dataclasses import dataclass

import msgspec
import pytest

from cccnode.codec import DecodeError, decode, encode
from cccnode.crypto.proofs import (
    DEPTH_MAX,
    InvalidProof,
    StateProof,
    branch_hash,
    bucket_hash,
    bucket_of,
    group_hash,
    listed,
    parse_listed,
    value_hash,
    verify_item_proof,
    verify_state_proof,
)

DEPTH = 2
CONTENT = {b"group %d" % number: {b"a": b"%d" % number, b"b": b"x" * number} for number in range(12)}


@dataclass
class Tree:
    """A whole small state, hashed without the storage room."""

    content: dict

    def __post_init__(self):
        self.groups = {name: group_hash(name, sorted(items.items())) for name, items in self.content.items()}
        self.levels = [[bucket_hash(DEPTH, number, listed(self.bucket(number))) for number in range(1 << DEPTH)]]
        while len(self.levels[-1]) > 1:
            pairs = iter(self.levels[-1])
            self.levels.append([branch_hash(a, b) for a, b in zip(pairs, pairs, strict=True)])
        self.root = self.levels[-1][0]

    def bucket(self, number):
        return sorted((name, digest) for name, digest in self.groups.items() if bucket_of(name, DEPTH) == number)

    def prove(self, group, shown=None):
        number = bucket_of(group, DEPTH)
        items = sorted(self.content.get(group, {}).items())
        return StateProof(
            items=tuple(pair for pair in items if shown in (None, pair[0])),
            hidden=tuple((name, value_hash(value)) for name, value in items if shown not in (None, name)),
            neighbours=tuple(pair for pair in self.bucket(number) if pair[0] != group),
            path=tuple(self.levels[level][(number >> level) ^ 1] for level in range(DEPTH)),
        )


TREE = Tree(CONTENT)
PRESENT, ABSENT = b"group 5", b"group 99"


def refused(proof, group=PRESENT, root=TREE.root, depth=DEPTH):
    try:
        verify_state_proof(proof, group, root, depth)
    except InvalidProof:
        return True
    return False


def test_presence_and_completeness():
    """A proof shows all items of a group."""
    assert verify_state_proof(TREE.prove(PRESENT), PRESENT, TREE.root, DEPTH) == CONTENT[PRESENT]


def test_absence():
    """A proof shows that a group is not there: as an empty group, and each item as None."""
    assert verify_state_proof(TREE.prove(ABSENT), ABSENT, TREE.root, DEPTH) == {}
    assert verify_item_proof(TREE.prove(ABSENT), ABSENT, b"a", TREE.root, DEPTH) is None


def test_one_item():
    """A proof may show one item and hide the rest; it shows as well that an item is not there."""
    proof = TREE.prove(PRESENT, shown=b"a")
    assert len(proof.hidden) == 1
    assert verify_item_proof(proof, PRESENT, b"a", TREE.root, DEPTH) == b"5"
    assert verify_item_proof(proof, PRESENT, b"never", TREE.root, DEPTH) is None
    assert verify_item_proof(TREE.prove(PRESENT), PRESENT, b"b", TREE.root, DEPTH) == b"xxxxx"


def test_invalid_hidden():
    """What is hidden is neither absent nor part of a complete group."""
    proof = TREE.prove(PRESENT, shown=b"a")
    with pytest.raises(InvalidProof):
        verify_item_proof(proof, PRESENT, b"b", TREE.root, DEPTH)
    assert refused(proof)
    assert InvalidProof.name == "state/INVALID_PROOF"


@pytest.mark.parametrize("group", [PRESENT, ABSENT])
def test_every_changed_byte_is_refused(group):
    """Each byte of an encoded proof matters: whatever replaces it, decoding or verifying refuses."""
    raw = encode(TREE.prove(group))
    expected = verify_state_proof(decode(StateProof, raw), group, TREE.root, DEPTH)
    assert expected == CONTENT.get(group, {})
    for position in range(len(raw)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(raw)
            changed[position] ^= flip
            try:
                proof = decode(StateProof, bytes(changed))
            except DecodeError:
                continue
            assert refused(proof, group)


def test_every_changed_part_is_refused():
    """Dropped, repeated, swapped, added and moved parts of a proof are refused."""
    proof = TREE.prove(PRESENT)
    assert len(proof.neighbours) >= 2
    extra = (b"z", bytes(32))
    for changes in (
        {"items": proof.items[:1]},
        {"items": proof.items[::-1]},
        {"items": proof.items + proof.items[-1:]},
        {"items": (*proof.items, (b"z", b""))},
        {"items": ()},
        {"items": (), "neighbours": tuple(TREE.bucket(bucket_of(PRESENT, DEPTH)))},
        {"neighbours": proof.neighbours[1:]},
        {"neighbours": proof.neighbours[::-1]},
        {"neighbours": proof.neighbours + proof.neighbours[-1:]},
        {"neighbours": (*proof.neighbours, extra)},
        {"hidden": (extra,)},
        {"path": proof.path[:-1]},
        {"path": (*proof.path, bytes(32))},
        {"path": proof.path[::-1]},
        {"path": ()},
    ):
        assert refused(msgspec.structs.replace(proof, **changes)), changes


def test_invalid_question():
    """A proof does not answer for another group, root or depth, nor for a name that no group can have."""
    proof = TREE.prove(PRESENT)
    assert refused(proof, group=b"group 6")
    assert refused(proof, group=ABSENT)
    assert refused(proof, root=bytes(32))
    assert refused(proof, depth=DEPTH + 1)
    assert refused(proof, depth=0)
    assert refused(proof, group=b"")
    assert refused(proof, group=b"g" * 256)
    assert refused(msgspec.structs.replace(proof, path=(bytes(32),) * (DEPTH_MAX + 1)), depth=DEPTH_MAX + 1)


def test_an_item_cannot_be_shown_and_hidden():
    """The same name twice, once shown and once hidden, is refused."""
    proof = TREE.prove(PRESENT)
    both = msgspec.structs.replace(proof, hidden=((b"a", value_hash(b"5")),))
    with pytest.raises(InvalidProof):
        verify_item_proof(both, PRESENT, b"b", TREE.root, DEPTH)


def test_listing_round_trip():
    """A listing parses to what it was made of."""
    pairs = dict(TREE.bucket(1))
    assert parse_listed(listed(pairs.items())) == pairs
    assert parse_listed(b"") == {}


GOLDEN = {
    "group": "ab320803b8469489bffd787dcc008f76374cb1ca90f210cb4ee1a0652cddd6ef",
    "bucket": "3b2d29687461f89f59c40384fbf1953affa7cf95074163ed304d56f5a9f911be",
    "empty bucket": "fc7b75348dcf659dcf3eb2a1290ece1a5683f4654d65644e499800bf55839fa8",
    "branch": "e3404f0fefd6d927e3a63adfd843aeaed23a7e503b2a6330123d10a1e7b4f6c6",
    "root": "e5c0e8b4a3339bdf1bcb0346b2602a66f8bb14f3ff110aa0177b25d382afdda1",
    "proof": "552017e1600ec141adea9b3b9edc8b588df65a48216fd5dac10565f8b2dc8bb1",
}


def test_golden():
    """The hashes of a fixed group, bucket, branch and proof; a change here is a change of format."""
    group = group_hash(b"bank/ccc1", [(b"balance", b"\x01"), (b"name", b"Somchai")])
    hashes = {
        "group": group,
        "bucket": bucket_hash(16, 7, listed([(b"bank/ccc1", group)])),
        "empty bucket": bucket_hash(16, 7, b""),
        "branch": branch_hash(bytes(32), group),
        "root": TREE.root,
        "proof": value_hash(encode(TREE.prove(PRESENT))),
    }
    assert {name: value.hex() for name, value in hashes.items()} == GOLDEN
    assert bucket_of(b"bank/ccc1", 16) == 45904
