"""R2: when this node leads, on what it builds, and whether it builds at all (consensus.md 3.6, 3.9, J12, J13, J17)."""

from cccnode.types.block import block_id
from cccnode.types.certificate import Certificate
from cccnode.types.limits import INLINE_CERTIFICATES_MAX
from cccnode.types.vote import Proposal
from consensus import rules
from consensus.chain import Block, Verdict, ancestors
from consensus.effects import Build
from consensus.events import Built
from consensus.messages import Justification, ProposalMessage
from consensus.records import BlockRecord
from consensus.view import Core


def propose(core: Core) -> None:
    """R2: the leader builds on its parent when there is a reason to."""
    own = core.guard.of(core.view)
    if core.leaders.of(core.view) != core.me or core.building or core.guard.silent is not None:
        return
    if own.notarized is not None or own.nullified is not None:
        return
    parent = core.parent()
    if parent is None:
        core.miss(core.final_view() + 1)
        return
    block = core.chain.get(parent.block_id)
    if block is None:
        core.want(parent.block_id, core.certificates.certified(parent.view))
        return
    if core.now < propose_ms(core, block) or not _has_reason(core, block):
        return
    if core.chain.executed_height < block.header.exec_height:
        core.give_up()  # R2: this node is catching up, and the others should not wait for it.
        return
    path, missing = core.chain.path(parent.block_id, above=core.chain.executed_height)
    if missing is not None:
        core.want(missing, None)
        return
    core.building = True
    exec_height = choose_exec_height(core, block)
    core.out.append(
        Build(
            view=core.view,
            parent=block.header,
            parent_id=parent.block_id,
            parent_view=parent.view,
            exec_height=exec_height,
            empty=rules.must_be_empty(block.header.height + 1, exec_height),
            ancestors=ancestors(path),
        )
    )


def propose_ms(core: Core, parent: Block) -> int:
    """When the leader may propose: `min_interval` after it saw the parent (J12)."""
    return max(core.timers.entered_ms, parent.seen_ms + core.config.record.timers.min_interval_ms)


def propose_due_ms(core: Core) -> int | None:
    """When `min_interval` will let this leader propose, if nothing else holds it back."""
    if core.leaders.of(core.view) != core.me or core.building or core.timers.nullified:
        return None
    parent = core.parent()
    block = core.chain.get(parent.block_id) if parent is not None else None
    if block is None or core.guard.silent is not None or propose_ms(core, block) <= core.now:
        return None
    return propose_ms(core, block)


def _has_reason(core: Core, parent: Block) -> bool:
    """J13: batches, a root that can be published now, or others that wait for a block."""
    if core.pending or (core.timers.armed_ms is not None and not core.timers.for_root):
        return True
    return core.root_pending(parent) and choose_exec_height(core, parent) >= core.pending_root


def choose_exec_height(core: Core, parent: Block) -> int:
    """J17: the highest E that a quorum reports and this node has, never below the parent's."""
    reported = core.peers.executed_by(core.quorum)
    return max(parent.header.exec_height, min(reported, core.chain.executed_height))


def accept(core: Core, event: Built) -> None:
    """R2: the driver's block, checked as strictly as any other's, becomes the proposal of this view."""
    if event.view != core.view or not core.building or core.guard.silent is not None:
        return
    header, parent = event.header, core.parent()
    held = core.chain.get(header.parent)
    if parent is None or held is None or (parent.block_id, parent.view) != (header.parent, header.parent_view):
        core.building = False  # A certificate displaced the parent meanwhile: build again, on the new one.
        return
    fault = rules.header_fault(core.config, header, event.body) or rules.child_fault(header, held.header)
    assert fault is None, f"the driver built an invalid block: {fault}"
    assert (header.view, header.proposer) == (core.view, core.me), "the driver built for another view or proposer"
    block = Block(
        block_id(header), header, event.body, justification(core, header.parent_view), core.now, Verdict.READY
    )
    # Voters must know that E is final, which the parent's proposal did not show them yet.
    shows_final = header.exec_height > held.header.exec_height
    _propose_block(core, block, core.certificates.finalization if shows_final else None)


def _propose_block(core: Core, block: Block, finalization: Certificate | None) -> None:
    """R2: persist the block and the own notarize vote together, then send the proposal."""
    header = block.header
    proposal = Proposal(core.view, header.parent_view, header.height, block.block_id)
    vote = core.guard.notarize(proposal, view=core.view)
    if vote is None:
        return
    core.chain.add(block)
    message = proposal_message(core, proposal, block, finalization, vote.signature)
    core.proposals[core.view] = message
    core.timers.arm(core.now)
    core.timers.proposal_seen = True
    # Durable together with the vote that follows.
    core.persist(BlockRecord(header, block.body or (), block.justification), sync=False)
    core.cast(vote, message)


def proposal_message(
    core: Core, proposal: Proposal, block: Block, finalization: Certificate | None, signature: bytes
) -> ProposalMessage:
    """A block of this node as it is proposed, for the first time or again after a restart."""
    return ProposalMessage(
        core.config.epoch,
        proposal,
        block.header,
        block.body or (),
        block.justification,
        finalization,
        core.chain.executed_height,
        signature,
    )


def justification(core: Core, parent_view: int) -> Justification:
    """The parent's certificate and the newest nullifications above it, as many as go inline."""
    certificate = core.certificates.certified(parent_view)
    lowest = max(parent_view + 1, core.view - INLINE_CERTIFICATES_MAX)
    skipped = tuple(core.certificates.nullified[view] for view in range(lowest, core.view))
    return (certificate, *skipped) if certificate is not None else skipped
