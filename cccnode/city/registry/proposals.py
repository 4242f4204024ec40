"""Propose, approve, withdraw, expire: how organisations decide together, each signing with its own account (J21).

A change is carried out in the transaction that reaches its policy's share.  If it cannot be then (a quorum at risk, a
key used meanwhile), the approval stands, an event says why, and any elector may approve again to try once more.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cccnode.city.registry.changes import carry_out, check, check_fresh
from cccnode.city.registry.errors import (
    ALREADY_APPROVED,
    DUPLICATE_PROPOSAL,
    NOT_ELIGIBLE,
    NOT_PROPOSER,
    PROPOSAL_EXPIRED,
    RETIRED,
    TOO_MANY_PROPOSALS,
    UNKNOWN_PROPOSAL,
)
from cccnode.city.registry.messages import (
    AddValidator,
    Change,
    RegistryApprove,
    RegistryPropose,
    RegistryWithdraw,
    RemoveValidator,
    kind_of,
    subject_of,
)
from cccnode.city.registry.policies import electors, needed, passes
from cccnode.city.registry.preflight import current_members
from cccnode.city.registry.rules import acting, organisation_of
from cccnode.city.registry.state import (
    Approval,
    Decision,
    Ending,
    Proposal,
    Standing,
    approvals,
    drop_proposal,
    first_expiry,
    founders_retired,
    open_proposals,
    read_organisation,
    read_policy,
    read_proposal,
    take_number,
    write_approval,
    write_first_expiry,
    write_proposal,
)
from cccnode.codec import encode
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import Fault, fault
from cccnode.types.validators import faults

OPEN_MAX: Final = 64
OPEN_PER_ORGANISATION_MAX: Final = 4
EXPIRED_PER_BLOCK_MAX: Final = 8
"""Expired proposals that one block closes: bounds what its end may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far a proposal has come."""

    electors: tuple[str, ...]
    approving: tuple[str, ...]
    """Electors that approved."""
    needed: int
    """Of them."""
    reaching: tuple[str, ...]
    """Electors that say they reach the candidate's node; for a new validator only."""
    reach_needed: int
    passed: bool


def propose(context: Context, message: RegistryPropose) -> None:
    """Open a proposal; the proposer approves it."""
    _check_founders(context)
    name = acting(context)
    settle(context, open_proposal(context, name, message.change, flagged=message.flagged))


def approve(context: Context, message: RegistryApprove) -> None:
    """Approve a proposal, and carry it out if that is enough."""
    _check_founders(context)
    name = acting(context)
    proposal = _open(context, message.proposal)
    tally = tally_of(context.state, proposal, len(current_members(context)))
    if name not in tally.electors:
        raise fault(NOT_ELIGIBLE, organisation=name, proposal=proposal.number)
    before = approvals(context.state, proposal.number).get(name)
    if before is None or (message.reached and not before.reached):
        _approve(context, proposal, name, reached=message.reached)
    elif not tally.passed:
        raise fault(ALREADY_APPROVED, organisation=name, proposal=proposal.number)
    settle(context, proposal)


def _check_founders(context: Context) -> None:
    if founders_retired(context.state):
        raise fault(RETIRED)


def withdraw(context: Context, message: RegistryWithdraw) -> None:
    """Take back an own proposal."""
    name = acting(context)
    proposal = read_proposal(context.state, message.proposal)
    if proposal is None:
        raise fault(UNKNOWN_PROPOSAL, proposal=message.proposal)
    if proposal.proposer != name:
        raise fault(NOT_PROPOSER, organisation=name, proposer=proposal.proposer)
    _close(context, proposal, Ending.WITHDRAWN)


def accuse(context: Context, account: bytes, accused: str) -> int | None:
    """Propose in the name of the organisation behind `account` that `accused` validates no more.

    Returns the proposal's number, or None where none was opened: no organisation, nothing to remove, or no room.
    """
    if founders_retired(context.state):
        return None
    name = organisation_of(context.state, account)
    record = None if name is None else read_organisation(context.state, name)
    if name is None or record is None or record.standing is not Standing.ACTIVE:
        return None
    try:
        proposal = open_proposal(context, name, RemoveValidator(accused), flagged=False)
    except Fault:  # it checks before it writes
        return None
    settle(context, proposal)
    return proposal.number


def open_proposal(context: Context, name: str, change: Change, *, flagged: bool) -> Proposal:
    """Open a proposal of an organisation, with its own approval if it is an elector.

    Raises:
        Fault: registry/TOO_MANY_PROPOSALS, DUPLICATE_PROPOSAL, or why the change could not be; nothing is written.
    """
    state = context.state
    already = open_proposals(state)
    mine = sum(row.proposer == name for row in already.values())
    if len(already) >= OPEN_MAX or mine >= OPEN_PER_ORGANISATION_MAX:
        raise fault(
            TOO_MANY_PROPOSALS, open=len(already), limit=OPEN_MAX, own=mine, own_limit=OPEN_PER_ORGANISATION_MAX
        )
    digest = sha256(encode(change)).digest()
    for number, row in already.items():
        if row.digest == digest:
            raise fault(DUPLICATE_PROPOSAL, proposal=number)
    check(context, change)
    check_fresh(context, change)
    policy = read_policy(state, kind_of(change))
    proposal = Proposal(
        number=take_number(state),
        proposer=name,
        change=change,
        flagged=flagged,
        opened_ms=context.time_ms,
        expires_ms=context.time_ms + policy.lifetime_ms,
    )
    write_proposal(state, proposal, digest)
    context.emit(
        "registry",
        "proposed",
        proposal.number,
        name,
        kind_of(change).name.lower(),
        subject_of(change),
        flagged,
        proposal.expires_ms,
    )
    if name in electors(state, policy.of):
        _approve(context, proposal, name, reached=False)
    return proposal


def settle(context: Context, proposal: Proposal) -> None:
    """Carry out a proposal that has what it needs."""
    if not tally_of(context.state, proposal, len(current_members(context))).passed:
        return
    try:
        carry_out(context, proposal.change, flagged=proposal.flagged)
    except Fault as refused:  # before it wrote anything
        context.emit("registry", "refused", proposal.number, refused.spec.name, _values(refused))
        return
    _close(context, proposal, Ending.EXECUTED)


def tally_of(state: Reader, proposal: Proposal, validators: int) -> Tally:
    """How far a proposal has come, by the policy, the electors and the `validators` of now.

    A new validator needs, beside the share, f + 1 electors other than itself that reach it: one of them is honest.
    """
    policy = read_policy(state, kind_of(proposal.change))
    voters = electors(state, policy.of)
    given = approvals(state, proposal.number)
    approving = tuple(name for name in voters if name in given)
    reaching: tuple[str, ...] = ()
    reach_needed = 0
    if isinstance(proposal.change, AddValidator):
        candidate = proposal.change.organisation
        reaching = tuple(name for name in approving if given[name].reached and name != candidate)
        reach_needed = faults(validators) + 1
    return Tally(
        electors=voters,
        approving=approving,
        needed=needed(policy, len(voters)),
        reaching=reaching,
        reach_needed=reach_needed,
        passed=passes(policy, len(approving), len(voters)) and len(reaching) >= reach_needed,
    )


def expire(context: Context) -> None:
    """Close the proposals whose time is over, a few a block; looks at them only when one is due."""
    due = first_expiry(context.state)
    if due is None or context.time_ms < due:
        return
    over = [number for number, row in open_proposals(context.state).items() if row.expires_ms <= context.time_ms]
    for number in over[:EXPIRED_PER_BLOCK_MAX]:
        proposal = read_proposal(context.state, number)
        assert proposal is not None, "every open proposal has its content"
        _close(context, proposal, Ending.EXPIRED)
    rest = [row.expires_ms for row in open_proposals(context.state).values()]
    write_first_expiry(context.state, min(rest, default=None))


def _open(context: Context, number: int) -> Proposal:
    proposal = read_proposal(context.state, number)
    if proposal is None:
        raise fault(UNKNOWN_PROPOSAL, proposal=number)
    if context.time_ms >= proposal.expires_ms:
        raise fault(PROPOSAL_EXPIRED, proposal=number, expired_ms=proposal.expires_ms)
    return proposal


def _approve(context: Context, proposal: Proposal, name: str, *, reached: bool) -> None:
    write_approval(context.state, proposal.number, name, Approval(reached, context.height))
    context.emit("registry", "approved", proposal.number, name, reached)


def _close(context: Context, proposal: Proposal, ending: Ending) -> None:
    kind, subject = kind_of(proposal.change), subject_of(proposal.change)
    decision = Decision(proposal.number, proposal.proposer, kind, subject, ending, context.height)
    drop_proposal(context.state, proposal.number, decision)
    context.emit("registry", ending.name.lower(), proposal.number, kind.name.lower(), subject)


def _values(refused: Fault) -> str:
    """The numbers of a refusal, as one text of a receipt's event."""
    return ", ".join(
        f"{key}={value.hex() if isinstance(value, bytes) else value}" for key, value in refused.values.items()
    )
