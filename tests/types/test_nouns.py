"""Small promises of the other nouns."""

import pytest

from cccnode.codec import Malformed, decode, encode
from cccnode.types.block import Header
from cccnode.types.certificate import Certificate, make_certificate, signer_indices
from cccnode.types.errors import CORE_ERRORS, TX_EXPIRED, WRONG_CHAIN, fault
from cccnode.types.limits import AMOUNT_MAX, BLOCK_BYTES_MAX, BLOCK_TXS_MAX
from cccnode.types.receipt import Receipt
from cccnode.types.validators import faults, quorum
from cccnode.types.vote import Kind, nullified, vote_bytes
from tests.types.samples import NOUNS


@pytest.mark.parametrize(
    ("validators", "f", "q"),
    [(1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 1, 3), (5, 1, 4), (6, 1, 5), (7, 2, 5), (100, 33, 67)],
)
def test_quorum(validators: int, f: int, q: int) -> None:
    """f = floor((n - 1) / 3) and q = n - f."""
    assert (f, q) == (faults(validators), quorum(validators))


@pytest.mark.parametrize("validators", range(1, 129))
def test_quorums_share_an_honest_member(validators: int) -> None:
    """Any two quorums overlap in more than f, and the honest alone are a quorum."""
    f, q = faults(validators), quorum(validators)

    assert 2 * q - validators > f
    assert validators - f >= q


def test_vote_bytes_have_fixed_width() -> None:
    """A vote signs 103 bytes; kinds, chains, epochs and views all change them."""
    chain = bytes(32)
    texts = [
        vote_bytes(Kind.NULLIFY, chain, 1, nullified(2)),
        vote_bytes(Kind.FINALIZE, chain, 1, nullified(2)),
        vote_bytes(Kind.NULLIFY, b"\x01" * 32, 1, nullified(2)),
        vote_bytes(Kind.NULLIFY, chain, 2, nullified(2)),
        vote_bytes(Kind.NULLIFY, chain, 1, nullified(3)),
    ]

    assert {103} == {len(text) for text in texts}
    assert 5 == len(set(texts))


@pytest.mark.parametrize(("signers", "validators"), [([0], 1), ([0, 7, 8], 9), ([3, 1, 2], 4), (range(128), 128)])
def test_bitmap(signers: list[int], validators: int) -> None:
    """A certificate's bitmap gives back its signers, with signatures in their order."""
    signatures = {signer: bytes([signer]) * 64 for signer in signers}
    certificate = make_certificate(Kind.NOTARIZE, nullified(1), signatures, validators)

    assert sorted(signers) == signer_indices(certificate.bitmap)
    assert [signatures[s] for s in sorted(signers)] == list(certificate.signatures)
    assert (validators + 7) // 8 == len(certificate.bitmap)
    assert certificate == decode(Certificate, encode(certificate))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 256),
        (1, bytes(31)),
        (4, -1),
        (4, 2**63),
        (8, 2**16),
        (10, BLOCK_TXS_MAX + 1),
        (11, BLOCK_BYTES_MAX + 1),
        (18, None),
    ],
)
def test_invalid_header_fields(place: int, value: object) -> None:
    """A header field out of its range does not decode."""
    fields = decode(list, encode(NOUNS["header"]))
    assert isinstance(fields, list)
    fields[place] = value
    with pytest.raises(Malformed):
        decode(Header, encode(fields))


@pytest.mark.parametrize("event", [[], ["one"], ["a"] * 33])
def test_invalid_events(event: list[object]) -> None:
    """An event has a module, a name and at most thirty fields."""
    with pytest.raises(Malformed):
        decode(Receipt, encode([bytes(32), 0, 0, [event]]))


def test_faults_explain_themselves() -> None:
    """A fault's text is its name, what happened, and the values in readable form."""
    assert "tx/EXPIRED" == str(fault(TX_EXPIRED)).split(":")[0]
    assert str(fault(WRONG_CHAIN, chain=b"\x01\x02", n=3)).endswith("(chain=0102, n=3)")


def test_core_errors_are_all_there() -> None:
    """The table of core rows holds every row of the file once."""
    assert TX_EXPIRED in CORE_ERRORS
    assert len(CORE_ERRORS) == len({row.code for row in CORE_ERRORS}) == len({row.name for row in CORE_ERRORS})


def test_amounts_fit_every_language() -> None:
    """The largest amount is the largest signed 64-bit integer."""
    assert 2**63 - 1 == AMOUNT_MAX
