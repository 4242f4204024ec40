"""Receipts and rotations: what a consensus key signs before it votes; and which votes contradict each other."""

import pytest
from msgspec.structs import replace

from cccnode.codec import decode, encode
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify
from cccnode.types.readiness import VERSION_CHARS_MAX, ReadinessReceipt, readiness_bytes, rotation_bytes, sign_readiness
from cccnode.types.validators import certificate_key
from cccnode.types.vote import Kind, Proposal, Vote, contradict, nullified, vote_bytes

KEY = SigningKey(bytes(range(32)))
HEADER = bytes.fromhex("302a300506032b6570032100")


def _receipt() -> ReadinessReceipt:
    return sign_readiness(KEY, organisation="lab", node_key=b"n" * 32, height=64, state_root=b"r" * 32, version="0.1.0")


def test_a_receipt_is_signed_by_its_key() -> None:
    """The signature covers every field, so a receipt is also a proof of possession."""
    receipt = _receipt()
    assert verify(readiness_bytes(receipt), receipt.signature, receipt.consensus_key)
    assert receipt == decode(ReadinessReceipt, encode(receipt))

    for change in (
        {"organisation": "lap"},
        {"consensus_key": b"k" * 32},
        {"node_key": b"m" * 32},
        {"height": 65},
        {"state_root": b"s" * 32},
        {"version": "0.1.1"},
    ):
        assert not verify(readiness_bytes(replace(receipt, **change)), receipt.signature, KEY.public_key)


def test_long_versions_are_cut() -> None:
    """A long version makes a valid receipt with its first 32 characters."""
    receipt = sign_readiness(
        KEY, organisation="lab", node_key=b"n" * 32, height=64, state_root=b"r" * 32, version="v" * 99
    )

    assert VERSION_CHARS_MAX == len(receipt.version)
    assert verify(readiness_bytes(receipt), receipt.signature, KEY.public_key)


def test_signed_texts_are_apart() -> None:
    """No vote, receipt or rotation can be taken for another: their prefixes differ."""
    texts = [
        readiness_bytes(_receipt()),
        rotation_bytes(bytes(32), "lab", KEY.public_key),
        *(vote_bytes(kind, bytes(32), 0, nullified(1)) for kind in Kind),
    ]

    assert len(texts) == len({text[:9] for text in texts})
    assert rotation_bytes(bytes(32), "a", bytes(32)) != rotation_bytes(b"\x01" * 32, "a", bytes(32))


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        (b"", None),
        (HEADER, None),
        (HEADER + b"k" * 31, None),
        (b"before" + HEADER + b"k" * 32, b"k" * 32),
        (b"before" + HEADER + b"k" * 32 + b"after", b"k" * 32),
        (HEADER + b"k" * 32 + HEADER + b"l" * 32, None),
        (HEADER[:-1] + b"k" * 40, None),
    ],
)
def test_certificate_key(certificate: bytes, key: bytes | None) -> None:
    """A certificate's key is found where it carries exactly one of the right kind."""
    assert key == certificate_key(certificate)


@pytest.mark.parametrize(("nullify", "proof"), [(nullified(9), True), (Proposal(9, 8, 7, bytes(32)), False)])
def test_only_a_real_nullify_contradicts(nullify: Proposal, proof: bool) -> None:
    """A nullify vote names its view and zeros; anything else is no vote, and proves nothing."""
    finalize = Vote(Kind.FINALIZE, Proposal(9, 8, 7, b"b" * 32), 1, bytes(64))
    vote = Vote(Kind.NULLIFY, nullify, 1, bytes(64))

    assert (proof, proof) == (contradict(vote, finalize), contradict(finalize, vote))
    assert not contradict(vote, Vote(Kind.NULLIFY, nullified(9), 1, bytes(64)))
