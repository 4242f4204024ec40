"""R3: whether to notarize what the leader proposes."""

from enum import Enum

from cccnode.types.vote import Proposal
from consensus import rules
from consensus.chain import Block, Verdict, ancestors
from consensus.effects import CheckBody
from consensus.records import BlockRecord
from consensus.view import Core


class Judgement(Enum):
    """What R3 says of a proposal."""

    YES = 0
    WAIT = 1
    """Something is missing here: never a reason to refuse."""
    NEVER = 2


def consider(core: Core) -> None:
    """R3: notarize the current proposal, give the view up if it can never be valid, or wait for what is missing."""
    message = core.proposals.get(core.view)
    if message is None or core.guard.mute(core.view) or core.over:
        return
    if not core.guard.may_notarize(message.proposal, view=core.view):
        return
    block = core.chain.get(message.proposal.block_id)
    if block is None:
        return
    repeated = message.proposal.view > block.header.view
    judgement = justified(core, message.proposal, block.header.parent, repeated=repeated)
    if judgement is Judgement.YES and not repeated:
        judgement = _valid(core, block)
    if judgement is Judgement.YES:
        vote = core.guard.notarize(message.proposal, view=core.view)
        if vote is not None:
            # Durable together with the vote that follows.
            core.persist(BlockRecord(block.header, block.body or (), block.justification), sync=False)
            core.cast(vote)
    elif judgement is Judgement.NEVER:
        core.give_up()


def justified(core: Core, proposal: Proposal, parent: bytes, *, repeated: bool = False) -> Judgement:
    """Part of R3: the parent (R12: the block itself) is certified, or final, and every view between is nullified."""
    final = core.chain.final
    if proposal.parent_view < final.view:
        return Judgement.NEVER  # The final view would have to be nullified, which cannot be.
    if proposal.parent_view == final.view:
        certified = final
    else:
        held = core.certificates.notarized.get(proposal.parent_view)
        if held is None:
            core.miss(proposal.parent_view)
            return Judgement.WAIT
        certified = held.proposal
    # R12: the last block of an epoch, proposed again, stands on its own certificate.
    base = (proposal.block_id, proposal.height) if repeated else (parent, proposal.height - 1)
    if (certified.block_id, certified.height) != base:
        return Judgement.NEVER
    if core.certificates.reach(proposal.view) > proposal.parent_view + 1:
        core.miss(proposal.parent_view + 1)
        return Judgement.WAIT
    return Judgement.YES


def _valid(core: Core, block: Block) -> Judgement:
    """Part of R3: header rules, E final, and the body checked by the driver.  Missing is never invalid."""
    header = block.header
    parent = core.chain.get(header.parent)
    if parent is None:
        core.want(header.parent, core.certificates.certified(header.parent_view))
        return Judgement.WAIT
    if rules.child_fault(header, parent.header) is not None or block.verdict is Verdict.INVALID:
        return Judgement.NEVER
    if header.exec_height > core.chain.final.height:
        core.miss(core.final_view() + 1)
        return Judgement.WAIT
    if block.verdict is Verdict.UNASKED:
        _check_body(core, block)
    return Judgement.YES if block.verdict is Verdict.READY else Judgement.WAIT


def _check_body(core: Core, block: Block) -> None:
    path, missing = core.chain.path(block.header.parent, above=core.chain.executed_height)
    if missing is not None:
        core.want(missing, None)
        return
    block.verdict = Verdict.ASKED
    core.out.append(
        CheckBody(
            block_id=block.block_id,
            header=block.header,
            body=block.body or (),
            proposer=block.header.proposer,
            ancestors=ancestors(path),
        )
    )
