"""Addresses as text, and the record by which a node says its own: golden bytes, spelling, size."""

import msgspec
import pytest

from cccnode.codec import decode, encode
from cccnode.types.errors import Fault
from cccnode.types.limits import NODE_ADDRESSES_MAX
from p2p.addresses import (
    ADDRESS_CHARS_MAX,
    AddressRecord,
    PlainAddress,
    is_somewhere,
    join_address,
    record_bytes,
    split_address,
)
from p2p.frames import LIMITS, Channel
from p2p.messages import RECORDS_MAX, Addresses, Moved, write

CHAIN = bytes(range(32))
KEY = b"\x07" * 32


def test_golden_record():
    """What a node signs never changes: the tag, the chain, and the three fields."""
    signed = record_bytes(chain=CHAIN, node_key=KEY, time_ms=5, addresses=("a.example:7000",))
    assert signed == b"ccc/1/addr" + CHAIN + b"\x93\xc4\x20" + KEY + b"\x05\x91\xae" + b"a.example:7000"
    record = AddressRecord(KEY, 5, ("a.example:7000",), b"s" * 64)
    assert encode(record) == b"\x94\xc4\x20" + KEY + b"\x05\x91\xae" + b"a.example:7000" + b"\xc4\x40" + b"s" * 64
    assert decode(AddressRecord, encode(record)) == record


@pytest.mark.parametrize("good", ["a:1", "node-1.example.org:27600", "10.0.0.1:65535", "[2001:db8::1]:7", "[::1]:1"])
def test_addresses_are_plain_text(good):
    """Names and IP addresses with a port are read, and written the same way."""
    assert msgspec.convert(good, PlainAddress) == good
    assert join_address(*split_address(good)) == good


@pytest.mark.parametrize(
    "bad", ["", "a", "a:", ":1", "a:1\n", "a b:1", "ก:1", "a:123456", "::1:5", "[x]:1", "a:1:2", "x" * 127 + ":1"]
)
def test_invalid_address_in_a_record(bad):
    """Anything else is no record: nothing strange reaches a resolver, a log or a terminal."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, PlainAddress)


@pytest.mark.parametrize(
    ("address", "dialled"),
    [("a:1", True), ("127.0.0.1:5", True), ("0.0.0.0:5", False), ("[::]:5", False), ("a:0", False)],
)
def test_everywhere_is_nowhere(address, dialled):
    """The address that means every address of this machine can be listened on, and not be dialled."""
    assert is_somewhere(address) is dialled


@pytest.mark.parametrize("wrong", ["nonsense", "127.0.0.1:99999", ":1", "a:-1"])
def test_invalid_address(wrong):
    """What is no address is named as such."""
    with pytest.raises(Fault, match="config/INVALID"):
        split_address(wrong)


def test_records_fit_their_channel():
    """The longest message of records is within the limit of CONTROL; one more of anything is no message."""
    longest = "x" * (ADDRESS_CHARS_MAX - 6) + ":65535"
    record = AddressRecord(KEY, 2**63 - 1, (longest,) * NODE_ADDRESSES_MAX, bytes(64))
    for message in (Addresses(2**32 - 1, (record,) * RECORDS_MAX), Moved((record,) * RECORDS_MAX)):
        assert len(write(message)) <= LIMITS[Channel.CONTROL].payload_bytes
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert([KEY, 1, ["a:1"] * (NODE_ADDRESSES_MAX + 1), bytes(64)], AddressRecord)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert([4, [[KEY, 1, [], bytes(64)]] * (RECORDS_MAX + 1)], Moved)
