"""Which headers are final, and which proofs hold: every refusal by its name, on nouns made by hand."""

from typing import Any

import pytest
from msgspec.structs import replace

from cccnode.codec import encode
from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.merkle import Branch
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify_many
from cccnode.types.block import Header, block_id, result_leaf
from cccnode.types.certificate import make_certificate
from cccnode.types.errors import (
    PROOF_CERTIFICATE,
    PROOF_CHAIN,
    PROOF_CONTENT,
    PROOF_HISTORY,
    PROOF_RESULT,
    PROOF_VALIDATORS,
    ErrorSpec,
    Fault,
)
from cccnode.types.finality import Anchor, EpochLink, Past, Trust
from cccnode.types.proofs import EventsProof, HistoryProof, Result, id_of, read_receipt
from cccnode.types.receipt import Receipt
from cccnode.types.validators import EpochRecord, Limits, Timers, Validator, epoch_record_hash
from cccnode.types.vote import Kind, Proposal, vote_bytes

CHAIN = bytes(range(32))


def keys(epoch: int) -> list[SigningKey]:
    return [SigningKey(bytes([epoch, number]) * 16) for number in range(4)]


def record(epoch: int) -> EpochRecord:
    members = tuple(Validator(f"org{i}", key.public_key, ()) for i, key in enumerate(keys(epoch)))
    return EpochRecord(epoch, members, Limits(), Timers(), ())


RECEIPTS = tuple(encode(Receipt(bytes([i]) * 32, 0, i, ())) for i in range(5))
ROWS = [(bytes([height]) * 32, merkle.root(RECEIPTS) if height == 3 else merkle.EMPTY_ROOT) for height in range(20)]


def header(height: int, epoch: int = 0, **changes: Any) -> Header:
    leaves = [result_leaf(h, *ROWS[h]) for h in range(height)]
    named = {
        "version": 1, "chain": CHAIN, "epoch": epoch, "view": height, "height": height, "parent": ZERO,
        "parent_view": 0, "time_ms": height, "proposer": 0, "body_root": ZERO, "tx_count": 0, "body_bytes": 0,
        "exec_height": max(0, height - 1), "state_root": ROWS[max(0, height - 1)][0],
        "results_root": merkle.root(leaves),
        "history_root": merkle.root([block_id(header(h)) for h in range(height)]) if height < 5 else ZERO,
        "epoch_record_hash": epoch_record_hash(record(epoch)), "next_epoch_record_hash": ZERO, "extra_hash": ZERO,
    }  # fmt: skip
    return Header(**{**named, **changes})


def final(head: Header, signers: Any = (0, 1, 3), kind: Kind = Kind.FINALIZE, epoch: int | None = None) -> Anchor:
    proposal = Proposal(head.view, head.parent_view, head.height, block_id(head))
    message = vote_bytes(kind, CHAIN, head.epoch, proposal)
    signing = keys(head.epoch if epoch is None else epoch)
    return Anchor(head, make_certificate(kind, proposal, {i: signing[i].sign(message) for i in signers}, 4))


def end(epoch: int, height: int, following: EpochRecord | None = None, named: bytes | None = None) -> EpochLink:
    after = following or record(epoch + 1)
    last = header(height, epoch, next_epoch_record_hash=named or epoch_record_hash(after))
    return EpochLink(final(last), after)


def trust(epochs: int = 0) -> Trust:
    made = Trust(chain=CHAIN, depth=4, record=record(0), verify_many=verify_many)
    for epoch in range(epochs):
        made.follow(end(epoch, 4 * (epoch + 1)))
    return made


def refused(spec: ErrorSpec, action: Any, *arguments: Any) -> None:
    with pytest.raises(Fault) as caught:
        action(*arguments)
    assert spec is caught.value.spec, caught.value


def test_a_final_header() -> None:
    """A quorum of the header's own epoch makes it final."""
    for anchor in (final(header(2)), final(header(7, 1)), final(header(9, 2))):
        assert anchor.header == trust(2).verify(anchor)
    assert (record(2), 8) == (trust(2).record, trust(2).start)


@pytest.mark.parametrize(
    ("spec", "anchor"),
    [
        (PROOF_CHAIN, final(header(2, chain=ZERO))),
        (PROOF_VALIDATORS, final(header(13, 3))),
        (PROOF_VALIDATORS, final(header(2, epoch_record_hash=ZERO))),
        (PROOF_VALIDATORS, final(header(5, 0))),
        (PROOF_HISTORY, final(header(4, 1))),
        (PROOF_HISTORY, final(header(8, 2))),
        (PROOF_CERTIFICATE, final(header(2), signers=(0, 1))),
        (PROOF_CERTIFICATE, final(header(2), kind=Kind.NOTARIZE)),
        (PROOF_CERTIFICATE, final(header(7, 1), epoch=0)),
        (PROOF_CERTIFICATE, replace(final(header(2)), header=header(2, time_ms=1))),
        (PROOF_CERTIFICATE, replace(final(header(2)), certificate=final(header(3)).certificate)),
    ],
)
def test_invalid_headers(spec: ErrorSpec, anchor: Anchor) -> None:
    """Another chain, an unknown epoch, other validators, old validators, no quorum, no finalization, another block."""
    refused(spec, trust(2).verify, anchor)


@pytest.mark.parametrize(
    ("spec", "link"),
    [
        (PROOF_HISTORY, end(0, 4)),
        (PROOF_HISTORY, end(2, 12)),
        (PROOF_HISTORY, end(1, 3)),
        (PROOF_HISTORY, EpochLink(final(header(8, 1)), record(2))),
        (PROOF_VALIDATORS, end(1, 8, named=epoch_record_hash(record(3)))),
        (PROOF_VALIDATORS, end(1, 8, following=record(3))),
        (PROOF_CERTIFICATE, replace(end(1, 8), last=final(end(1, 8).last.header, epoch=0))),
    ],
)
def test_invalid_links(spec: ErrorSpec, link: EpochLink) -> None:
    """An epoch again, too early, ended before it began, not ended, with others than named, left out, or by old keys."""
    known = trust(1)
    refused(spec, known.follow, link)
    assert record(1) == known.record


def test_a_copy_learns_alone() -> None:
    """Following a server leaves the trust as it was until it is taken over."""
    known = trust(1)
    known.copy().follow(end(1, 8))
    assert 1 == known.record.epoch


def result(height: int, anchor: Anchor) -> Result:
    leaves = [result_leaf(h, *ROWS[h]) for h in range(anchor.header.exec_height + 1)]
    return Result(height, *ROWS[height], merkle.inclusion_proof(leaves, height), anchor)


def past(height: int, later: int) -> Past:
    ids = [block_id(header(h)) for h in range(later)]
    return Past(header(height), merkle.inclusion_proof(ids, height))


def test_events() -> None:
    """All receipts of a block hold; of other heights, or one less, they do not."""
    proof = EventsProof(RECEIPTS, past(3, 4), result(3, final(header(4))))
    assert 5 == len(proof.verify(trust()))
    refused(PROOF_CONTENT, replace(proof, receipts=RECEIPTS[:4]).verify, trust())
    refused(PROOF_CONTENT, replace(proof, block=past(2, 4)).verify, trust())
    refused(PROOF_HISTORY, replace(proof, block=replace(past(3, 4), path=())).verify, trust())
    refused(PROOF_RESULT, replace(proof, result=replace(proof.result, state_root=ZERO)).verify, trust())
    refused(PROOF_RESULT, replace(proof, result=replace(proof.result, height=4)).verify, trust())


def test_history() -> None:
    """A known header lies in a later history that grew from its own."""
    ids = [block_id(header(h)) for h in range(4)]
    frontier = merkle.Frontier().append(ids[0]).append(ids[1])
    path = merkle.consistency_path(4, frontier, lambda start, stop: merkle.root(ids[start:stop]))
    proof = HistoryProof(past(2, 4), path, final(header(4)))
    assert header(2) == proof.verify(trust())
    refused(PROOF_HISTORY, replace(proof, consistency=()).verify, trust())
    refused(PROOF_HISTORY, replace(proof, block=past(1, 4)).verify, trust())
    first = HistoryProof(past(0, 4), (), final(header(4)))
    assert header(0) == first.verify(trust())
    refused(PROOF_HISTORY, replace(first, consistency=(ZERO,)).verify, trust())


@pytest.mark.parametrize("raw", [b"", b"\xc1", encode([]), encode([1] * 10), encode([[]] * 9), encode(7)])
def test_invalid_content(raw: bytes) -> None:
    """proof/CONTENT: bytes that are no transaction, and no receipt."""
    refused(PROOF_CONTENT, id_of, raw)
    refused(PROOF_CONTENT, read_receipt, raw)
    assert Branch(1, ()).root(raw) is None
