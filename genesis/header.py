"""The block of height 0: it has no body and no certificate, and its id is known to whoever has the document."""

from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.types.block import HEADER_VERSION, Header, body_root, result_leaf
from cccnode.types.validators import EpochRecord, Validator, epoch_record_hash
from genesis.document import Document, Genesis


def genesis_header(genesis: Genesis, *, state_root: bytes, record: EpochRecord) -> Header:
    """The header of height 0, over the root of the first state and the record of epoch 0.

    It reports its own result (exec_height 0): nothing was executed before it.
    """
    assert record.epoch == 0
    return Header(
        version=HEADER_VERSION,
        chain=genesis.chain,
        epoch=0,
        view=0,
        height=0,
        parent=ZERO,
        parent_view=0,
        time_ms=genesis.document.time_ms,
        proposer=0,
        body_root=body_root(()),
        tx_count=0,
        body_bytes=0,
        exec_height=0,
        state_root=state_root,
        results_root=merkle.root([result_leaf(0, state_root, merkle.EMPTY_ROOT)]),
        history_root=merkle.EMPTY_ROOT,
        epoch_record_hash=epoch_record_hash(record),
        next_epoch_record_hash=ZERO,
        extra_hash=ZERO,
    )


def first_record(document: Document) -> EpochRecord:
    """The record of epoch 0, out of the document alone: what a client that has no state begins with.

    The same as the registry makes of the first state.
    """
    return EpochRecord(
        epoch=0,
        validators=tuple(
            Validator(
                entry.name, bytes.fromhex(entry.consensus_key), tuple(sorted(bytes.fromhex(n.key) for n in entry.nodes))
            )
            for entry in document.organisations
            if entry.consensus_key is not None
        ),
        limits=document.limits.noun(),
        timers=document.timers.noun(),
        features=tuple(document.features),
    )
