"""HELLO and the other messages as bytes, and the acceptor's and dialler's verdicts without any socket."""

import dataclasses

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.types.errors import Fault
from p2p import handshake, messages
from p2p.addresses import AddressRecord
from p2p.messages import Ack, Known, Reject, Role

CHAIN = bytes(range(32))
KEY = b"\x07" * 32
OWN = handshake.Self(
    node_key=b"\x01" * 32, chain=CHAIN, role=Role.VALIDATOR, height=9, listen="a.example:7000", program="1.2"
)
HELLO = handshake.hello(dataclasses.replace(OWN, node_key=KEY, role=Role.PEER), wall_ms=5, nonce=b"n" * 16)
WELCOME = handshake.Facts(
    own=OWN, tls_key=KEY, registered=True, validator=False, crossed=False, banned_ms=0, peer_links=0, peer_links_max=8
)
RECORD = AddressRecord(KEY, 3, ("b:1",), b"s" * 64)
RECORD_HEX = "94c420" + "07" * 32 + "0391a3623a31c440" + "73" * 64
HASHES = st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(0, 2**63 - 1)


def test_golden_hello():
    """The bytes of HELLO, ACK and REJECT never change; an independent encoder agrees on HELLO."""
    expected = [1, 1, 1, CHAIN, KEY, 2, 9, "a.example:7000", 5, b"n" * 16, "1.2"]
    assert messages.write(HELLO) == msgpack.packb(expected, use_bin_type=True)
    assert messages.write(HELLO).hex() == (
        "9b010101c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fc420" + "07" * 32 + "0209"
        "ae612e6578616d706c653a3730303005c410" + "6e" * 16 + "a3312e32"
    )
    assert messages.write(handshake.ack(HELLO, OWN, wall_ms=6)).hex() == (
        "990201c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0109"
        "ae612e6578616d706c653a3730303006c410" + "6e" * 16 + "a3312e32"
    )
    assert messages.write(Reject("net/VERSION", "own=1..1", (Known(KEY, "b:1"),))).hex() == (
        "9403ab6e65742f56455253494f4ea86f776e3d312e2e319192c420" + "07" * 32 + "a3623a31"
    )


def test_golden_gossip():
    """The bytes of the other messages never change."""
    samples = {
        messages.Ping(1, 2, 3): "9404010203",
        messages.Pong(1, 2, 3): "9405010203",
        messages.Pause(4): "920604",
        messages.Resume(4): "920704",
        messages.Notice("n", "t"): "9308a16ea174",
        messages.AddressesRequest(7): "920207",
        messages.Addresses(7, (RECORD,)): "93030791" + RECORD_HEX,
        messages.Moved((RECORD,)): "920491" + RECORD_HEX,
        messages.Report(b"fine"): "9209c40466696e65",
        messages.BlocksRequest(1, 300, 64): "940101cd012c40",
        messages.Blocks(1, (b"x",)): "93020191c40178",
        messages.Forward(8, (b"tx",)): "93010891c4027478",
        messages.Announce(5, CHAIN, 0, 1): "950105c420" + CHAIN.hex() + "0001",
    }
    assert {message: messages.write(message).hex() for message in samples} == samples


def test_welcome():
    """A registered node of the same chain is let in with the newest common protocol and its nonce."""
    assert handshake.judge(HELLO, WELCOME) is None
    answer = handshake.ack(HELLO, OWN, wall_ms=6)
    assert handshake.read_answer(messages.write(answer), HELLO) == answer
    assert handshake.read_hello(messages.write(HELLO)) == HELLO


REFUSALS = {
    "net/WRONG_CHAIN": {"own": dataclasses.replace(OWN, chain=bytes(32))},
    "net/WRONG_IDENTITY": {"tls_key": bytes(32)},
    "net/NOT_REGISTERED": {"registered": False},
    "net/MISBEHAVED": {"banned_ms": 5},
    "net/CROSSED": {"crossed": True},
    "net/TOO_MANY_PEERS": {"peer_links": 8},
}


@pytest.mark.parametrize("name", REFUSALS)
def test_invalid_hello_is_refused_by_name(name):
    """Each reason alone refuses, is told with its values, and arrives as the same named error."""
    reason = handshake.judge(HELLO, dataclasses.replace(WELCOME, **REFUSALS[name]))
    assert reason.spec.name == name
    told = handshake.read_answer(messages.write(handshake.reject(reason)), HELLO)
    assert handshake.told(told).spec is reason.spec
    assert str(next(iter(reason.values))) in handshake.told(told).values["told"]


def test_full_house_still_admits_validators():
    """TOO_MANY_PEERS is about non-validators only."""
    assert handshake.judge(HELLO, dataclasses.replace(WELCOME, validator=True, peer_links=99)) is None


@pytest.mark.parametrize(("low", "high", "common"), [(1, 1, 1), (1, 9, 1), (0, 1, 1), (2, 9, None), (0, 0, None)])
def test_version_is_the_newest_common_one(low, high, common):
    """Ranges that overlap agree on the newest; others have none."""
    assert handshake.common_version(low, high) == common


def test_invalid_future_hello_is_a_version_matter():
    """A HELLO of a later format that we cannot decode is refused as VERSION if its range says so."""
    future = msgpack.packb([1, 5, 6, "everything", "else", "is", "new"])
    with pytest.raises(Fault, match="net/VERSION"):
        handshake.read_hello(future)
    with pytest.raises(Fault, match="net/MALFORMED_FRAME"):
        handshake.read_hello(msgpack.packb([1, 1, 6, "but", "not", "a", "hello"]))


def test_invalid_unknown_reason_is_shown_as_it_is():
    """A reason that a later version invented is shown under CLOSED with its name."""
    assert handshake.told(Reject("net/LATER", "text", ())).values == {"told": "net/LATER", "text": "text"}


def test_long_reasons_are_cut():
    """What is told fits its message, whatever the values are."""
    reason = handshake.judge(HELLO, dataclasses.replace(WELCOME, registered=False))
    reason.values["long"] = "x" * 5_000
    many = (Known(KEY, "b:1"),) * 20
    assert isinstance(messages.read_link(messages.write(handshake.reject(reason, many))), Reject)


@given(st.binary(max_size=200))
def test_garbage_is_malformed(garbage):
    """Any bytes on any channel are a message or a named error."""
    for read in (
        messages.read_link, messages.read_control, messages.read_block, messages.read_tx, handshake.read_hello,
    ):  # fmt: skip
        try:
            assert messages.write(read(garbage)) == garbage
        except Fault as reason:
            assert reason.spec.name.startswith("net/")  # noqa: PT017 - both outcomes are right


@given(
    HASHES, HASHES, NUMBERS, st.text(max_size=128), NUMBERS, st.binary(min_size=16, max_size=16), st.integers(0, 200)
)
def test_handshake_round_trip(chain, key, height, listen, wall_ms, nonce, cut):
    """Every HELLO is read back as it was said; no prefix of it is taken for one."""
    own = handshake.Self(node_key=key, chain=chain, role=Role.VALIDATOR, height=height, listen=listen)
    message = handshake.hello(own, wall_ms=wall_ms, nonce=nonce)
    raw = messages.write(message)
    assert handshake.read_hello(raw) == message
    answer = handshake.read_answer(messages.write(handshake.ack(message, own, wall_ms=wall_ms)), message)
    assert isinstance(answer, Ack)
    with pytest.raises(Fault):
        handshake.read_hello(raw[: min(cut, len(raw) - 1)])
