"""When a header is valid (consensus.md 3.7): what can be said without state, transactions or a clock.

Every function returns None, or what is wrong in words.  Wrong means wrong for ever: nothing here depends on what this
node happens to have.
"""

from cccnode.crypto.hashing import ZERO
from cccnode.types.block import HEADER_VERSION, Body, Header, block_id, body_root
from cccnode.types.limits import UNEXECUTED_MAX
from cccnode.types.vote import Proposal
from consensus.config import Config


def header_fault(config: Config, header: Header, body: Body) -> str | None:
    """What is wrong with a block by itself."""
    if header.version != HEADER_VERSION:
        return "header version"
    if (header.chain, header.epoch) != (config.chain, config.epoch):
        return "chain or epoch"
    if header.epoch_record_hash != config.record_hash:
        return "epoch record"
    if header.extra_hash != ZERO:
        return "extra hash"
    if not (header.parent_view < header.view and header.exec_height < header.height):
        return "view or height order"
    return body_fault(header, body)


def body_fault(header: Header, body: Body) -> str | None:
    """Whether the list of batches is the one the header commits to; what the batches hold is the driver's to check."""
    if len(set(body)) != len(body):
        return "a batch listed twice"
    if not body and (header.tx_count, header.body_bytes) != (0, 0):
        return "transactions without a batch"
    if body and not header.tx_count:
        return "batches without a transaction"
    return None if header.body_root == body_root(body) else "body root"


def ends_epoch(header: Header) -> bool:
    """Whether this is the last block of its epoch (consensus.md 3.10).  That it may be one is the driver's to check."""
    return header.next_epoch_record_hash != ZERO


def proposal_fault(proposal: Proposal, header: Header, leader: int) -> str | None:
    """Whether the proposal names this header, and the header its view and leader."""
    if proposal.view > header.view:
        return _repeat_fault(proposal, header)
    if header.proposer != leader:
        return "proposer"
    named = Proposal(header.view, header.parent_view, header.height, block_id(header))
    return None if proposal == named else "proposal does not name its header"


def _repeat_fault(proposal: Proposal, header: Header) -> str | None:
    """Part of R12: only the last block of an epoch is proposed again, on its own certificate."""
    if not ends_epoch(header):
        return "a block of an earlier view that does not end the epoch"
    if not header.view <= proposal.parent_view < proposal.view:
        return "repeated without its own certificate"
    named = (proposal.height, proposal.block_id)
    return None if named == (header.height, block_id(header)) else "proposal does not name its header"


def child_fault(header: Header, parent: Header) -> str | None:
    """What is wrong with a block as a child of its parent."""
    if header.height != parent.height + 1:
        return "height"
    if ends_epoch(parent) and parent.epoch == header.epoch:
        return "its parent ends the epoch"
    if header.time_ms <= parent.time_ms:
        return "time does not increase"
    if header.exec_height < parent.exec_height:
        return "executed height falls"
    if must_be_empty(header.height, header.exec_height) and header.tx_count:
        return "not empty although execution is too far behind"
    return None


def must_be_empty(height: int, exec_height: int) -> bool:
    """Back-pressure: beyond this distance a block lists nothing, which bounds the tail that waits for execution."""
    return height - exec_height > UNEXECUTED_MAX
