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
    if core.leaders.of(core.view) != core.me or core.guard.mute(core.view) or core.over:
        return
    if core.unsigned is not None and core.unsigned[1].view == core.view:
        _propose_block(core, *core.unsigned)
    if core.building:
        return
    own = core.guard.of(core.view)
    if own.notarized is not None or own.nullified is not None:
        return
    if core.view > core.guard.careful:
        _propose(core)
    elif core.timers.armed_ms is not None:
        core.give_up()  # R13: it may have proposed here before; the others skip this view at once.


def _propose(core: Core) -> None:
    """Part of R2: on which block, and whether now."""
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
    if rules.ends_epoch(block.header) and block.header.epoch == core.config.epoch:
        _repeat(core, parent, block)
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


def _repeat(core: Core, certified: Proposal, block: Block) -> None:
    """R12: nothing is built on the last block of an epoch; it is proposed again until one finalization exists."""
    proposal = Proposal(core.view, certified.view, block.header.height, block.block_id)
    _propose_block(core, block, proposal, None)


def propose_ms(core: Core, parent: Block) -> int:
    """When the leader may propose: `min_interval` after it saw the parent (J12).

    The last block of an epoch is about to become final by itself, so its repetition waits a little longer (R12).
    """
    timers = core.config.record.timers
    if rules.ends_epoch(parent.header) and parent.header.epoch == core.config.epoch:
        return core.timers.entered_ms + timers.min_interval_ms + timers.delta_ms // 2
    return max(core.timers.entered_ms, parent.seen_ms + timers.min_interval_ms)


def propose_due_ms(core: Core) -> int | None:
    """When `min_interval` will let this leader propose, if nothing else holds it back."""
    if core.leaders.of(core.view) != core.me or core.building or core.timers.nullified or core.over:
        return None
    parent = core.parent()
    block = core.chain.get(parent.block_id) if parent is not None else None
    if block is None or core.guard.mute(core.view) or propose_ms(core, block) <= core.now:
        return None
    return propose_ms(core, block)


def _has_reason(core: Core, parent: Block) -> bool:
    """J13: batches, a root that can be published now, others that wait for a block, or an epoch to end (R12)."""
    if rules.ends_epoch(parent.header) and parent.header.epoch == core.config.epoch:
        return True
    if core.pending or (core.timers.armed_ms is not None and not core.timers.for_root):
        return True
    return core.root_pending(parent) and choose_exec_height(core, parent) >= core.pending_root


def choose_exec_height(core: Core, parent: Block) -> int:
    """J17: the highest E that a quorum reports and this node has, never below the parent's."""
    reported = core.peers.executed_by(core.quorum)
    return max(parent.header.exec_height, min(reported, core.chain.executed_height))


def accept(core: Core, event: Built) -> None:
    """Part of R2: the driver's block, checked as strictly as any other's, becomes the proposal of this view."""
    if event.view != core.view or not core.building or core.guard.mute(core.view):
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
    proposal = Proposal(core.view, header.parent_view, header.height, block.block_id)
    _propose_block(core, block, proposal, core.certificates.finalization if shows_final else None)


def _propose_block(core: Core, block: Block, proposal: Proposal, finalization: Certificate | None) -> None:
    """Part of R2: persist the block and the own notarize vote together, then send the proposal."""
    vote = core.guard.notarize(proposal, view=core.view)
    # A signer elsewhere may have signed this block when it answers, so no other is proposed in this view.
    core.unsigned = (block, proposal, finalization) if vote is None else None
    if vote is None:
        return
    core.chain.add(block)
    message = proposal_message(core, proposal, block, finalization, vote.signature)
    core.proposals[core.view] = message
    core.timers.arm(core.now)
    core.timers.proposal_seen = True
    # Durable together with the vote that follows.
    core.persist(BlockRecord(block.header, block.body or (), block.justification), sync=False)
    core.cast(vote, message)


def proposal_message(
    core: Core, proposal: Proposal, block: Block, finalization: Certificate | None, signature: bytes
) -> ProposalMessage:
    """A block as this node proposes it: for the first time, again after a restart, or again as R12 says."""
    repeated = proposal.view > block.header.view
    return ProposalMessage(
        core.config.epoch,
        proposal,
        block.header,
        block.body or (),
        justification(core, proposal.parent_view) if repeated else block.justification,
        finalization,
        core.chain.executed_height,
        signature,
    )


def justification(core: Core, parent_view: int) -> Justification:
    """The parent's certificate and the newest nullifications above it, as many as go inline."""
    certificate = core.certificates.certified(parent_view)
    lowest = max(parent_view + 1, core.view - INLINE_CERTIFICATES_MAX)
    nullified = core.certificates.nullified
    # After a restart some may lie at or below the newest final view: then the proposal is moot anyway.
    skipped = tuple(nullified[view] for view in range(lowest, core.view) if view in nullified)
    return (certificate, *skipped) if certificate is not None else skipped
