"""Messages and journal records byte for byte: other nodes, and this node's own past, must understand them."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import DecodeError
from cccnode.types.certificate import make_certificate
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Proposal, Vote
from consensus.messages import (
    BlockMessage,
    BlockRequest,
    CertificatesMessage,
    CertificatesRequest,
    Message,
    ProposalMessage,
    StatusMessage,
    VotesMessage,
    decode_message,
    encode_message,
)
from consensus.records import (
    BlockRecord,
    CertificateRecord,
    Record,
    VoteRecord,
    decode_record,
    encode_record,
    record_view,
)
from tests.simulation.fakes import epoch_record, genesis_header, make_header

PROPOSAL = Proposal(5, 4, 3, b"b" * 32)
VOTE = Vote(Kind.NOTARIZE, PROPOSAL, 2, b"s" * 64)
CERTIFICATE = make_certificate(Kind.NOTARIZE, PROPOSAL, {0: b"0" * 64, 2: b"2" * 64, 3: b"3" * 64}, 4)
BODY = (b"a" * 32,)
HEADER = make_header(genesis_header(epoch_record(4, Timers())), view=5, parent_view=4, proposer=2, body=BODY)

MESSAGES: dict[str, Message] = {
    "6966b164": ProposalMessage(1, PROPOSAL, HEADER, BODY, (CERTIFICATE,), None, 2, b"s" * 64),
    "f00f6ac3": VotesMessage(1, 2, (VOTE,)),
    "f0914bba": CertificatesMessage(1, (CERTIFICATE,)),
    "3926866e": CertificatesRequest(1, 2, 3),
    "6cf06b1d": BlockRequest(1, b"b" * 32),
    "06bd2b5b": BlockMessage(1, HEADER, BODY),
    "d05d244d": StatusMessage(1, 6, PROPOSAL, 2, True),
}
RECORDS: dict[str, Record] = {
    "eed56c3e": VoteRecord(VOTE),
    "0c00f622": CertificateRecord(CERTIFICATE),
    "983fc038": BlockRecord(HEADER, BODY, (CERTIFICATE,)),
}


@pytest.mark.parametrize(("digest", "message"), MESSAGES.items(), ids=lambda value: type(value).__name__)
def test_message_bytes_are_fixed(digest: str, message: Message) -> None:
    """Golden vectors: changing one is a change of the protocol."""
    raw = encode_message(message)

    assert message == decode_message(raw)
    assert digest == sha256(raw).hexdigest()[:8]


@pytest.mark.parametrize(("digest", "record"), RECORDS.items(), ids=lambda value: type(value).__name__)
def test_record_bytes_are_fixed(digest: str, record: Record) -> None:
    """Golden vectors: changing one is a change of the format on disk."""
    raw = encode_record(record)

    assert record == decode_record(raw)
    assert 5 == record_view(record)
    assert digest == sha256(raw).hexdigest()[:8]


@pytest.mark.parametrize("message", MESSAGES.values(), ids=lambda value: type(value).__name__)
def test_invalid_message_bytes_are_refused(message: Message) -> None:
    """Every truncation, and a surplus byte, is refused by name."""
    raw = encode_message(message)

    for end in range(len(raw)):
        with pytest.raises(DecodeError):
            decode_message(raw[:end])
    with pytest.raises(DecodeError):
        decode_message(raw + b"\x00")


@given(st.sampled_from(list(MESSAGES.values())), st.integers(0), st.binary(min_size=1, max_size=3))
def test_damaged_bytes_never_raise_anything_else(message: Message, position: int, damage: bytes) -> None:
    """Whatever is written over a message, it decodes to a message with that one encoding, or is refused."""
    raw = bytearray(encode_message(message))
    start = position % len(raw)
    raw[start : start + len(damage)] = damage
    try:
        changed = decode_message(bytes(raw))
    except DecodeError:
        return

    assert bytes(raw) == encode_message(changed)
