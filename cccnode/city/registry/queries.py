"""What anyone may ask about organisations, nodes, validators and what is being decided."""

from cccnode.city.members.state import Pillar
from cccnode.city.registry.messages import Change, ChangeKind, Electorate, Policy, kind_of
from cccnode.city.registry.policies import electors
from cccnode.city.registry.preflight import Preflight, after_adding, after_removing, live_names, recorded_members
from cccnode.city.registry.proposals import Tally, tally_of
from cccnode.city.registry.record import RegisteredNode, advance, nodes_of, read_plan
from cccnode.city.registry.state import (
    Checkpoint,
    Decision,
    Proposal,
    Standing,
    approvals,
    checkpoints,
    decisions,
    open_proposals,
    organisation_account,
    organisation_names,
    read_consensus_key,
    read_features,
    read_organisation,
    read_participation,
    read_planned,
    read_policy,
    read_proposal,
)
from cccnode.city.registry.upgrades import readiness
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.scalars import U16, U63, AccountId, Hash, Height, Millis, Name, PublicKey
from cccnode.types.validators import Validator


class NoParams(Noun, frozen=True, array_like=True, gc=False):
    """Nothing to choose."""


class OrganisationAnswer(Noun, frozen=True, array_like=True, gc=False):
    """A partner as it stands."""

    name: Name
    number: U16
    pillar: Pillar
    standing: Standing
    consensus_key: PublicKey | None
    """Present where it validates (from the next epoch on)."""
    account: AccountId | None
    """Who acts for it; absent where genesis gave it no account."""
    since_ms: Millis


class ValidatorAnswer(Noun, frozen=True, array_like=True, gc=False):
    """A validator of this epoch, or of the next one as far as is known now."""

    organisation: Name
    consensus_key: PublicKey | None
    """In this epoch."""
    next_key: PublicKey | None
    """In the next one; absent where it leaves."""
    since_height: Height
    """When its key began to validate; 0 where it does not yet."""
    led_height: Height
    """The last block that it proposed; 0 if none."""
    live: bool
    """Whether it led lately, or has not had its turns yet; false where it does not validate yet."""


class ApprovalAnswer(Noun, frozen=True, array_like=True, gc=False):
    """One organisation's word on a proposal."""

    organisation: Name
    reached: bool
    """It reaches the candidate's node."""
    counts: bool
    """Whether the policy counts it now."""
    height: Height


class ProposalAnswer(Noun, frozen=True, array_like=True, gc=False):
    """A change that waits for approvals."""

    number: U63
    proposer: Name
    kind: ChangeKind
    change: Change
    flagged: bool
    opened_ms: Millis
    expires_ms: Millis
    approvals: tuple[ApprovalAnswer, ...]
    electors: U16
    approving: U16
    needed: U16
    """Approvals that are enough."""
    reaching: U16
    """For a new validator: how many reach its node."""
    reach_needed: U16
    passed: bool
    """It has what it needs and could not be carried out; any elector may approve again to try once more."""


class PolicyAnswer(Noun, frozen=True, array_like=True, gc=False):
    """When a kind of change passes."""

    kind: ChangeKind
    policy: Policy
    electors: U16
    """How many organisations' approvals count now."""


class PreflightParams(Noun, frozen=True, array_like=True, gc=False):
    """A change of validators to try."""

    organisation: Name
    joins: bool
    """Whether it would join; else it would leave, pause or be removed."""
    flagged: bool = False


class PlannedAnswer(Noun, frozen=True, array_like=True, gc=False):
    """A feature that waits for its height and for the validators."""

    feature: Name
    height: Height
    code: Hash
    ready: tuple[Name, ...]
    """Validators of the next epoch that know it."""
    needed: U16
    """So many must."""


class FeaturesAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Which rules hold, beside those that always do."""

    active: tuple[Name, ...]
    """From the next epoch on at the latest."""
    planned: tuple[PlannedAnswer, ...]


def registry_features(state: Reader, params: NoParams) -> FeaturesAnswer:
    """Features in force, and what is scheduled."""
    epoch, members = recorded_members(state)
    planned = read_planned(state)
    ready, needed = readiness(state, planned, members, epoch)
    rows = (PlannedAnswer(row.feature, row.height, row.code, ready[row.feature], needed) for row in planned)
    return FeaturesAnswer(read_features(state), tuple(rows))


def registry_organisations(state: Reader, params: NoParams) -> tuple[OrganisationAnswer, ...]:
    """Every organisation that ever was, by number."""
    answers = []
    for name in organisation_names(state):
        record = read_organisation(state, name)
        assert record is not None, "every listed organisation has its record"
        answers.append(
            OrganisationAnswer(
                name,
                record.number,
                record.pillar,
                record.standing,
                read_consensus_key(state, name),
                organisation_account(state, name),
                record.since_ms,
            )
        )
    return tuple(answers)


def registry_nodes(state: Reader, params: NoParams) -> tuple[RegisteredNode, ...]:
    """Every node that the network trusts."""
    return nodes_of(state)


def registry_validators(state: Reader, params: NoParams) -> tuple[ValidatorAnswer, ...]:
    """Who validates now and next, in the order of the organisations."""
    epoch, members = recorded_members(state)
    now = {member.organisation: member for member in members}
    plan = read_plan(state)
    coming = {row.organisation: row for row in advance(members, plan, epoch + 1)}
    live = live_names(state, members, _height(state, members))
    return tuple(
        _validator(state, name, now.get(name), coming.get(name), live=name in live)
        for name in plan.order
        if name in now or name in coming
    )


def _validator(
    state: Reader, name: str, now: Validator | None, coming: Validator | None, *, live: bool
) -> ValidatorAnswer:
    seen = None if now is None else read_participation(state, now.consensus_key)
    return ValidatorAnswer(
        name,
        None if now is None else now.consensus_key,
        None if coming is None else coming.consensus_key,
        0 if seen is None else seen.since,
        0 if seen is None else seen.last,
        live,
    )


def _height(state: Reader, members: tuple[Validator, ...]) -> int:
    """The height of the newest block: its leader's turn was written down."""
    turns = [read_participation(state, member.consensus_key) for member in members]
    return max((turn.last for turn in turns if turn is not None), default=0)


def registry_preflight(state: Reader, params: PreflightParams) -> Preflight:
    """What would remain if an organisation joined the validators and were dead, or left them."""
    epoch, members = recorded_members(state)
    look = after_adding if params.joins else after_removing
    return look(
        state,
        members,
        epoch=epoch,
        height=_height(state, members),
        name=params.organisation,
        flagged=params.flagged,
    )


def registry_proposals(state: Reader, params: NoParams) -> tuple[ProposalAnswer, ...]:
    """Every open proposal, by number."""
    _, members = recorded_members(state)
    found = [read_proposal(state, number) for number in open_proposals(state)]
    return tuple(
        _proposal(state, proposal, tally_of(state, proposal, len(members)))
        for proposal in found
        if proposal is not None
    )


def _proposal(state: Reader, proposal: Proposal, tally: Tally) -> ProposalAnswer:
    given = approvals(state, proposal.number)
    return ProposalAnswer(
        number=proposal.number,
        proposer=proposal.proposer,
        kind=kind_of(proposal.change),
        change=proposal.change,
        flagged=proposal.flagged,
        opened_ms=proposal.opened_ms,
        expires_ms=proposal.expires_ms,
        approvals=tuple(
            ApprovalAnswer(name, row.reached, name in tally.electors, row.height) for name, row in given.items()
        ),
        electors=len(tally.electors),
        approving=len(tally.approving),
        needed=tally.needed,
        reaching=len(tally.reaching),
        reach_needed=tally.reach_needed,
        passed=tally.passed,
    )


def registry_decisions(state: Reader, params: NoParams) -> tuple[Decision, ...]:
    """What became of the last 64 proposals, by number."""
    return decisions(state)


def registry_policies(state: Reader, params: NoParams) -> tuple[PolicyAnswer, ...]:
    """When each kind of change passes."""
    counts = {of: len(electors(state, of)) for of in Electorate}
    policies = {kind: read_policy(state, kind) for kind in ChangeKind}
    return tuple(PolicyAnswer(kind, policy, counts[policy.of]) for kind, policy in policies.items())


def registry_checkpoints(state: Reader, params: NoParams) -> tuple[Checkpoint, ...]:
    """The heights and roots that a readiness receipt may name, by height."""
    return checkpoints(state)
