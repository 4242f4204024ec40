"""What a node shows to somebody who believes no node: one noun for each question, each with everything in it.

All of them hang on an `Anchor`, a header with its finalization.  Its `results_root` holds what executing each block
gave (J1): a leaf [height, state_root, receipts_root].  Its `history_root` holds the id of each block before it.

- `GroupProof`: all items of a state group at a height, or that there is no such group
- `TransactionProof`: a transaction stands in a block, and this is its receipt
- `EventsProof`: these are all receipts of a block, and so all of its events
- `HistoryProof`: a block lies in the history of the anchor, which grew from a known one by appending only

`verify` asks the `Trust` of `types/finality.py`; what it returns is shown, everything else raises a named fault.
"""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import DecodeError, Noun, decode, decode_trusted
from cccnode.crypto import merkle
from cccnode.crypto.merkle import Branch
from cccnode.crypto.proofs import InvalidProof, StateProof, verify_state_proof
from cccnode.types.batch import RawTransaction
from cccnode.types.block import Header, result_leaf
from cccnode.types.errors import INVALID_PROOF, PROOF_CONTENT, PROOF_HISTORY, PROOF_RESULT, fault
from cccnode.types.finality import Anchor, Links, Past, Trust
from cccnode.types.limits import STATE_KEY_BYTES_MAX
from cccnode.types.receipt import Receipt
from cccnode.types.scalars import Hash, Height
from cccnode.types.transaction import signed_part, transaction_id

RECEIPTS_MAX: Final = 16_384
"""Of one block: its transactions, and the events of block-level rules."""
PROOFS_MAX: Final = 1_024
"""Of one kind in an evidence file."""
EVIDENCE_VERSION: Final = 1
_RAW_RECEIPT: Final = Meta(min_length=1, max_length=1024 * 1024)

Group = Annotated[bytes, Meta(min_length=1, max_length=STATE_KEY_BYTES_MAX)]
RawReceipt = Annotated[bytes, _RAW_RECEIPT]


class Result(Noun, frozen=True, array_like=True, gc=False):
    """What executing one block gave, as a later final header reports it."""

    height: Height
    state_root: Hash
    receipts_root: Hash
    path: merkle.Path
    """From the leaf of these three to `results_root` of the anchor."""
    anchor: Anchor

    def verify(self, trust: Trust) -> Header:
        """The anchor's header.

        Raises:
            Fault: proof/RESULT, or what `Trust.verify` raises.
        """
        header = trust.verify(self.anchor)
        leaf = result_leaf(self.height, self.state_root, self.receipts_root)
        size = header.exec_height + 1
        if not merkle.verify_inclusion(
            leaf=leaf, index=self.height, size=size, path=self.path, root=header.results_root
        ):
            raise fault(PROOF_RESULT, height=self.height, anchor=header.height)
        return header


class GroupProof(Noun, frozen=True, array_like=True, gc=False):
    """Everything that a group of the state held after a height."""

    group: Group
    proof: StateProof
    result: Result

    def verify(self, trust: Trust) -> dict[bytes, bytes]:
        """All items of the group; empty if it was not there.

        Raises:
            Fault: state/INVALID_PROOF, or what `Result.verify` raises.
        """
        self.result.verify(trust)
        try:
            return verify_state_proof(self.proof, self.group, self.result.state_root, trust.depth)
        except InvalidProof as error:
            raise fault(INVALID_PROOF, group=self.group, why=str(error)) from error


class TransactionProof(Noun, frozen=True, array_like=True, gc=False):
    """A transaction, where it stands, and what became of it."""

    raw: RawTransaction
    batch: Branch
    """From the bytes of the transaction to the id of its batch."""
    body: Branch
    """From there to `body_root`."""
    block: Past
    receipt: RawReceipt
    receipts: Branch
    """From the bytes of the receipt to `receipts_root`."""
    result: Result

    def verify(self, trust: Trust) -> tuple[bytes, Receipt]:
        """The id of the transaction, and its receipt.

        Raises:
            Fault: proof/CONTENT, proof/HISTORY, or what `Result.verify` raises.
        """
        self.block.verify(self.result.verify(trust))
        header = self.block.header
        if header.height != self.result.height:
            raise fault(PROOF_CONTENT, height=header.height, why="block and receipt are of different heights")
        batch = self.batch.root(self.raw)
        if batch is None or self.body.root(batch) != header.body_root:
            raise fault(PROOF_CONTENT, height=header.height, why="the transaction is not in the block")
        if self.receipts.root(self.receipt) != self.result.receipts_root:
            raise fault(PROOF_CONTENT, height=header.height, why="the receipt is not one of the block")
        identity, receipt = id_of(self.raw), read_receipt(self.receipt)
        if receipt.tx_id != identity:
            raise fault(PROOF_CONTENT, height=header.height, why="the receipt is another transaction's")
        return identity, receipt


class EventsProof(Noun, frozen=True, array_like=True, gc=False):
    """All receipts of one block, in order."""

    receipts: Annotated[tuple[RawReceipt, ...], Meta(max_length=RECEIPTS_MAX)]
    block: Past
    result: Result

    def verify(self, trust: Trust) -> tuple[Receipt, ...]:
        """The receipts; there are no others.

        Raises:
            Fault: proof/CONTENT, proof/HISTORY, or what `Result.verify` raises.
        """
        self.block.verify(self.result.verify(trust))
        height = self.block.header.height
        if height != self.result.height:
            raise fault(PROOF_CONTENT, height=height, why="block and receipts are of different heights")
        if merkle.root(self.receipts) != self.result.receipts_root:
            raise fault(PROOF_CONTENT, height=height, why="these are not the receipts of the block, all of them")
        return tuple(read_receipt(raw) for raw in self.receipts)


class HistoryProof(Noun, frozen=True, array_like=True, gc=False):
    """That a header which was known before lies in the history of the anchor, and nothing before it was changed."""

    block: Past
    consistency: merkle.Path
    """From `history_root` of the known header to that of the anchor; empty where the known one has no history."""
    anchor: Anchor

    def verify(self, trust: Trust) -> Header:
        """The header of the block.

        Raises:
            Fault: proof/HISTORY, or what `Trust.verify` raises.
        """
        later = trust.verify(self.anchor)
        self.block.verify(later)
        known = self.block.header
        if known.height == 0:
            if self.consistency:
                raise fault(PROOF_HISTORY, height=0, why="the first block has no history")
        elif not merkle.verify_consistency(
            first=known.height,
            size=later.height,
            path=self.consistency,
            first_root=known.history_root,
            root=later.history_root,
        ):
            raise fault(PROOF_HISTORY, height=known.height, why="the history before it was changed")
        return known


class Evidence(Noun, frozen=True, array_like=True, gc=False, tag="ccc/evidence"):
    """Proofs with all that is needed to check them without a node: the content of an evidence file."""

    version: Annotated[int, Meta(ge=EVIDENCE_VERSION, le=EVIDENCE_VERSION)]
    genesis: Annotated[bytes, Meta(max_length=16 * 1024 * 1024)]
    """The genesis document as `genesis.document.document_encoding` gives it: its tagged hash is the chain id."""
    links: Links
    """From epoch 0 to the newest epoch that an anchor here belongs to."""
    transactions: Annotated[tuple[TransactionProof, ...], Meta(max_length=PROOFS_MAX)] = ()
    groups: Annotated[tuple[GroupProof, ...], Meta(max_length=PROOFS_MAX)] = ()
    blocks: Annotated[tuple[EventsProof, ...], Meta(max_length=PROOFS_MAX)] = ()


def id_of(raw: bytes) -> bytes:
    """The id of an encoded transaction of any kind.

    Raises:
        Fault: proof/CONTENT: it is no transaction.
    """
    try:
        fields = decode_trusted(list[object], raw)
    except DecodeError as error:
        raise fault(PROOF_CONTENT, why="not a transaction") from error
    signatures = fields[-1] if fields else None
    if len(fields) != _FIELDS or not isinstance(signatures, list):
        raise fault(PROOF_CONTENT, why="not a transaction")
    return transaction_id(signed_part(raw, len(signatures)))


def read_receipt(raw: bytes) -> Receipt:
    """A receipt out of a proof.

    Raises:
        Fault: proof/CONTENT: it is none.
    """
    try:
        return decode(Receipt, raw)
    except DecodeError as error:
        raise fault(PROOF_CONTENT, why="not a receipt") from error


_FIELDS: Final = 10
"""Of a transaction."""
