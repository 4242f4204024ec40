"""Join requests: signed by every key they name, and by no other."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Pillar
from cccnode.city.registry.messages import AdmitOrganisation, NodeOffer
from cccnode.cli.join_text import JOIN_CHARS_MAX, JOIN_PREFIX, JoinRequest, join_text, read_join
from cccnode.codec import encode
from cccnode.crypto.signing import SigningKey
from cccnode.types import errors
from cccnode.types.addresses import bech32m_encode
from cccnode.types.errors import ErrorSpec, Fault
from p2p.directory import make_certificate

CHAIN = bytes(range(32))
ACCOUNT = SigningKey(bytes(31) + b"\x01")
NODE = SigningKey(bytes(31) + b"\x02")
THIRD = SigningKey(bytes(31) + b"\x03")


def _change(**changes: Any) -> AdmitOrganisation:
    """A request in which only what a test names matters."""
    offer = NodeOffer(make_certificate(NODE.seed), ("node.cmu.example:27600",))
    change = AdmitOrganisation("cmu", Pillar.ACADEMIA, (WeightedKey(ACCOUNT.public_key),), 1, (offer,))
    return msgspec.structs.replace(change, **changes)


def _text(request: JoinRequest, *, version: bytes = b"\x01") -> str:
    return bech32m_encode(JOIN_PREFIX, version + encode(request))


def _refused(text: str) -> ErrorSpec:
    with pytest.raises(Fault) as refused:
        read_join(text)
    return refused.value.spec


def _request() -> JoinRequest:
    return read_join(join_text(CHAIN, _change(), [ACCOUNT, NODE], made_ms=5))


@given(st.text("abcdef0123456789-", min_size=1, max_size=60), st.integers(0, 2**62), st.integers(1, 64))
def test_round_trip(name: str, made_ms: int, width: int) -> None:
    """A request reads back from its text, also from one that was broken into lines."""
    change = _change(name="o" + name)
    text = join_text(CHAIN, change, [NODE, ACCOUNT], made_ms=made_ms)
    request = read_join("\n".join(text[at : at + width] for at in range(0, len(text), width)))
    assert (request.chain, request.change, request.made_ms) == (CHAIN, change, made_ms)
    assert text.startswith("cccjoin1")


def test_largest_request_fits() -> None:
    """Sixteen account keys and eight nodes with eight long addresses are one text still."""
    accounts = [SigningKey(bytes([9, i]) + bytes(30)) for i in range(16)]
    nodes = [SigningKey(bytes([8, i]) + bytes(30)) for i in range(8)]
    change = _change(
        keys=tuple(WeightedKey(key.public_key) for key in accounts),
        nodes=tuple(NodeOffer(make_certificate(key.seed), ("n" * 40 + ".example:27600",) * 2) for key in nodes),
    )
    assert len(join_text(CHAIN, change, [*accounts, *nodes], made_ms=1)) <= JOIN_CHARS_MAX


@given(st.data())
def test_invalid_character(data: st.DataObject) -> None:
    """One wrong character is noticed."""
    text = join_text(CHAIN, _change(), [ACCOUNT, NODE], made_ms=5)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l".replace(text[place], "")))
    assert _refused(text[:place] + letter + text[place + 1 :]) is errors.JOIN_MALFORMED


@pytest.mark.parametrize("text", ["", "cccjoin1", "nonsense", "ccccard1qqqqqqqq", bech32m_encode("ccc", bytes(20))])
def test_invalid_text(text: str) -> None:
    """Anything else is refused by name."""
    assert _refused(text) is errors.JOIN_MALFORMED


def test_invalid_version() -> None:
    """A request of another version is refused."""
    assert _refused(_text(_request(), version=b"\x02")) is errors.JOIN_MALFORMED
    assert _refused(bech32m_encode(JOIN_PREFIX, b"")) is errors.JOIN_MALFORMED


@pytest.mark.parametrize(
    "changes",
    [
        {"change": _change(name="evil")},
        {"change": _change(pillar=Pillar.PRIVATE)},
        {"chain": bytes(32)},
        {"made_ms": 6},
        {"change": _change(keys=(WeightedKey(ACCOUNT.public_key), WeightedKey(THIRD.public_key)))},
        {"change": _change(keys=(WeightedKey(THIRD.public_key),))},
        {"change": _change(nodes=())},
        {"change": _change(nodes=(NodeOffer(make_certificate(THIRD.seed), ()),))},
    ],
)
def test_invalid_change_on_the_way(changes: dict[str, Any]) -> None:
    """Whoever passes it on cannot change a word of it, nor a key."""
    assert _refused(_text(msgspec.structs.replace(_request(), **changes))) is errors.JOIN_SIGNATURE


def test_invalid_signatures() -> None:
    """A missing signature, a further one, a wrong one, and another order are refused."""
    request = _request()
    one, two = request.signatures
    third = msgspec.structs.replace(one, key=THIRD.public_key)
    wrong = msgspec.structs.replace(one, signature=two.signature)
    for signatures in ((one,), (one, two, third), (two, one), (wrong, two)):
        forged = msgspec.structs.replace(request, signatures=signatures)
        assert _refused(_text(forged)) is errors.JOIN_SIGNATURE


def test_invalid_certificate() -> None:
    """A certificate without an Ed25519 key cannot be offered."""
    change = _change(nodes=(NodeOffer(b"not a certificate", ()),))
    with pytest.raises(Fault) as refused:
        join_text(CHAIN, change, [ACCOUNT], made_ms=1)
    assert refused.value.spec is errors.JOIN_MALFORMED


def test_invalid_missing_key() -> None:
    """A request is not made without the signature of each key."""
    with pytest.raises(Fault) as refused:
        join_text(CHAIN, _change(), [ACCOUNT], made_ms=1)
    assert refused.value.spec is errors.JOIN_SIGNATURE
