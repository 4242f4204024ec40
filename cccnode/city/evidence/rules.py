"""What a report does: it is judged by that epoch's validators, once, and recorded for ever (consensus.md 3.13, J15).

Where the reporter is an organisation it opens a proposal to remove the validator.  Staking listens, and slashes.
"""

from typing import Final

from cccnode.city.evidence.errors import KNOWN, NO_CONTRADICTION, SIGNATURE, UNKNOWN_EPOCH, UNKNOWN_SIGNER
from cccnode.city.evidence.messages import EvidenceReport
from cccnode.city.evidence.state import Record, count, number_of, write_record
from cccnode.city.registry.proposals import accuse
from cccnode.city.registry.state import Member, epoch_members
from cccnode.crypto.verifying import verify
from cccnode.ledger.module import Context
from cccnode.types.errors import fault
from cccnode.types.vote import contradict, vote_bytes

RECORDED: Final = "evidence/recorded"
"""Hook: (organisation at fault, epoch of the fault)."""


def report(context: Context, message: EvidenceReport) -> None:
    """Judge two votes; record the fault that they prove."""
    member = _judged(context, message)
    epoch, view, signer = message.epoch, message.first.proposal.view, message.first.signer
    proposal = accuse(context, context.account, member.organisation)
    record = Record(
        number=count(context.state) + 1,
        epoch=epoch,
        view=view,
        signer=signer,
        organisation=member.organisation,
        consensus_key=member.consensus_key,
        first=message.first,
        second=message.second,
        reporter=context.account,
        height=context.height,
        time_ms=context.time_ms,
        proposal=proposal or 0,
    )
    write_record(context.state, record)
    context.emit("evidence", "recorded", record.number, epoch, view, signer, member.organisation, record.proposal)
    context.call(RECORDED, member.organisation, epoch)


def _judged(context: Context, message: EvidenceReport) -> Member:
    """The validator that is at fault.

    Raises:
        Fault: a row of this module; cheap checks come first, signatures last.
    """
    epoch, first, second = message.epoch, message.first, message.second
    if not contradict(first, second):
        raise fault(NO_CONTRADICTION, first=first.kind.name.lower(), second=second.kind.name.lower())
    known = number_of(context.state, epoch, first.proposal.view, first.signer)
    if known is not None:
        raise fault(KNOWN, number=known)
    validators = epoch_members(context.state, epoch)
    if validators is None:
        raise fault(UNKNOWN_EPOCH, epoch=epoch)
    if first.signer >= len(validators.members):
        raise fault(UNKNOWN_SIGNER, signer=first.signer, validators=len(validators.members))
    member = validators.members[first.signer]
    assert context.header is not None, "every block is executed with its header"
    for vote in (first, second):
        signed = vote_bytes(vote.kind, context.header.chain, epoch, vote.proposal)
        if not verify(signed, vote.signature, member.consensus_key):
            raise fault(SIGNATURE, vote=vote.kind.name.lower(), organisation=member.organisation)
    return member
