"""The one signature rule (consensus.md 2), pinned by third-party edge cases."""

import json
from pathlib import Path
from typing import Any

import pytest

from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import SMALL_ORDER, verify, verify_many

_VECTORS = Path(__file__).parents[3] / "shared/vectors/ed25519"
_ORDER = 2**252 + 27742317777372353535851937790883648493
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P

needs_vectors = pytest.mark.skipif(not _VECTORS.is_dir(), reason="third-party vectors are not beside the repository")


def _load(name: str) -> Any:
    return json.loads((_VECTORS / name).read_text())


@needs_vectors
def test_cctv() -> None:
    """Of CCTV's 914 edge cases the rule accepts exactly 43: none with a small-order key or R."""
    cases = _load("cctv.json")
    verdicts = verify_many(
        [case["msg"].encode() for case in cases],
        [bytes.fromhex(case["sig"]) for case in cases],
        [bytes.fromhex(case["key"]) for case in cases],
    )
    flags = [set(case.get("flags") or ()) for case in cases]
    accepted = [flag for flag, good in zip(flags, verdicts, strict=True) if good]

    assert (914, 43) == (len(cases), len(accepted))
    assert not any(flag & {"low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R"} for flag in accepted)


@needs_vectors
def test_wycheproof() -> None:
    """Wycheproof's verdicts are ours, all 151."""
    wrong = [
        case["tcId"]
        for group in _load("wycheproof.json")["testGroups"]
        for case in group["tests"]
        if (case["result"] == "valid")
        != verify(bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]), bytes.fromhex(group["publicKey"]["pk"]))
    ]

    assert 151 == _load("wycheproof.json")["numberOfTests"]
    assert [] == wrong


def _add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Addition on the twisted Edwards curve of RFC 8032, from its formula."""
    product = _D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + product, -1, _P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, _P)
    return x % _P, y % _P


def _decodes(encoding: bytes) -> tuple[int, int] | None:
    """The point of an encoding, y taken modulo p (a lax decoder); None where y is on no point."""
    y = (int.from_bytes(encoding, "little") & 2**255 - 1) % _P
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    return (x, y) if x * x % _P == square else None


def test_small_order_list() -> None:
    """The list holds 14 encodings, and each is a point of order 1, 2, 4 or 8."""
    assert 14 == len(SMALL_ORDER)
    for encoding in SMALL_ORDER:
        point = _decodes(encoding)
        assert point is not None
        for _ in range(3):
            point = _add(point, point)
        assert (0, 1) == point


@pytest.mark.parametrize("key", sorted(SMALL_ORDER))
def test_invalid_small_order_key(key: bytes) -> None:
    """No signature is good under a small-order key, not even the one that every lax verifier accepts."""
    assert not verify(b"anything", key + bytes(32), key)


def test_invalid_second_encoding_of_s() -> None:
    """S + L is the same number to a lax verifier; here it is refused."""
    signer = SigningKey(bytes(32))
    signature = signer.sign(b"m")
    larger = signature[:32] + (int.from_bytes(signature[32:], "little") + _ORDER).to_bytes(32, "little")

    assert [True, False] == [verify(b"m", each, signer.public_key) for each in (signature, larger)]


@pytest.mark.parametrize(
    ("signature", "key"), [(bytes(63), bytes(32)), (bytes(65), bytes(32)), (bytes(64), bytes(31)), (b"", b"")]
)
def test_invalid_sizes(signature: bytes, key: bytes) -> None:
    """Wrong sizes are a refusal, no exception."""
    assert not verify(b"m", signature, key)


def test_verify_many_keeps_order() -> None:
    """One verdict each, in order; a bad one does not affect the others."""
    signer = SigningKey(bytes(32))
    messages = [b"a", b"b", b"c"]
    signatures = [signer.sign(b"a"), signer.sign(b"x"), signer.sign(b"c")]

    assert [True, False, True] == verify_many(messages, signatures, [signer.public_key] * 3)


def test_invalid_lengths() -> None:
    """Sequences of different length are our own mistake."""
    with pytest.raises(ValueError, match=r"differ in number|zip"):
        verify_many([b"a"], [], [])
