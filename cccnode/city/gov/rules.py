"""Propose, endorse, vote, delegate, cancel, and set parameters (modules.md 3.3)."""

from msgspec.structs import replace

from cccnode.city.bank.messages import TreasurySpend
from cccnode.city.bank.rules import move
from cccnode.city.bank.state import TREASURY
from cccnode.city.gov.counting import quorate
from cccnode.city.gov.electorate import (
    SNAPSHOT,
    carry,
    delegated,
    own_weights,
    save,
    standing_at,
    standing_of,
    totals,
)
from cccnode.city.gov.errors import (
    CLOSED,
    DELEGATE,
    ENDORSED,
    KIND,
    NO_WEIGHT,
    NOT_A_MEMBER,
    NOT_PROPOSER,
    TOO_MANY,
    UNKNOWN_PROPOSAL,
    VOTED,
)
from cccnode.city.gov.kinds import expedited, rule_of
from cccnode.city.gov.messages import (
    Choice,
    GovCancel,
    GovDelegate,
    GovEndorse,
    GovPropose,
    GovVote,
    Kind,
    ParamSet,
    Space,
)
from cccnode.city.gov.state import (
    CITIZENS,
    ENDORSING_MAX,
    OPEN_MAX,
    Ballot,
    Mode,
    Proposal,
    Setting,
    Standing,
    Status,
    Taken,
    Tally,
    delegate_of,
    has_endorsed,
    open_numbers,
    read_ballot,
    read_params,
    read_proposal,
    read_taken,
    set_delegate,
    set_open,
    take_number,
    write_ballot,
    write_endorsement,
    write_messages,
    write_proposal,
    write_setting,
    write_taken,
)
from cccnode.city.members.state import Kind as AccountKind
from cccnode.city.members.state import Status as AccountStatus
from cccnode.city.members.state import is_person, read_account
from cccnode.city.staking.messages import ASSET
from cccnode.codec import Noun
from cccnode.ledger.deadlines import schedule
from cccnode.ledger.module import GOVERNANCE, Context
from cccnode.ledger.parameters import changed, write_parameters
from cccnode.ledger.state import Reader
from cccnode.types.errors import PARAMETER_FOUNDING, UNKNOWN_PARAMETER, fault

QUEUE = "gov"
FIELDS = ("yes", "no", "abstain", "veto")
"""Of a tally, in the order of `Choice`."""


# -- proposing -------------------------------------------------------------------------------------------------------


def propose(context: Context, message: GovPropose) -> None:
    """Open a proposal: for votes, or first for endorsements."""
    state, account, params = context.state, context.account, read_params(context.state)
    _member(state, account)
    spends = _checked(context, message)
    numbers = open_numbers(state)
    _check_room(state, numbers, account, endorsed=message.endorsed)
    usual = rule_of(message.kind, params, spends=spends)
    deposit = 0 if message.endorsed else params.gov_deposit
    if deposit:
        move(state, source=account, target=GOVERNANCE, asset=ASSET, amount=deposit)
    proposal = Proposal(
        number=take_number(state, "proposal"),
        kind=message.kind,
        title=message.title,
        body=message.body,
        proposer=account,
        messages=len(message.messages),
        rule=expedited() if message.expedited else usual,
        usual=usual,
        chambers=message.expedited or usual.chambers is not None,
        expedited=message.expedited,
        snapshot=0,
        created_ms=context.time_ms,
        start_ms=0,
        end_ms=0,
        extended=False,
        quorate=False,
        eta_ms=0,
        effect_ms=0,
        deadline_ms=context.time_ms + params.endorse_ms,
        deposit=deposit,
        endorsers=0,
        votes=0,
        status=Status.ENDORSING,
        error=0,
        tallies=(Tally(),) * (CITIZENS + 1),
    )
    set_open(state, (*numbers, proposal.number))
    write_messages(state, proposal.number, message.messages)
    context.emit("gov", "proposed", proposal.number, message.kind.name.lower(), account, message.expedited)
    if message.endorsed:
        wake(context, proposal)
    else:
        begin(context, proposal)


def _check_room(state: Reader, numbers: tuple[int, ...], account: bytes, *, endorsed: bool) -> None:
    """Refuse one proposal too many: of all, of one proposer, or of those that cost no deposit.

    These have half of the places, so that nobody keeps the city from voting by proposing for nothing.
    """
    rows = [row for row in (read_proposal(state, number) for number in numbers) if row is not None]
    mine, most = sum(row.proposer == account for row in rows), read_params(state).max_open
    free = sum(row.status is Status.ENDORSING for row in rows)
    if len(rows) >= OPEN_MAX or mine >= most or (endorsed and free >= ENDORSING_MAX):
        raise fault(TOO_MANY, open=len(rows), limit=OPEN_MAX, own=mine, own_limit=most, endorsing=free)


def _member(state: Reader, account: bytes) -> None:
    record = read_account(state, account)
    active = record is not None and record.status is AccountStatus.ACTIVE
    if record is None or not active or record.kind not in {AccountKind.PERSON, AccountKind.ORGANISATION}:
        raise fault(NOT_A_MEMBER, account=account)


def _checked(context: Context, message: GovPropose) -> int:
    """Refuse messages that this kind may not carry or that could not be; what they pay out altogether."""
    assert context.city is not None, "messages are decoded by the registry"
    if bool(message.messages) == (message.kind is Kind.TEXT):
        raise fault(KIND, kind=message.kind.name.lower(), messages=len(message.messages))
    spends = 0
    for raw in message.messages:
        noun = context.city.decode_message(raw)
        row = context.city.rows[type(noun)]
        if row.decided != message.kind.name.lower():
            raise fault(KIND, kind=message.kind.name.lower(), message=type(noun).__name__, needs=row.decided)
        if (texts := context.city.texts.get(type(noun))) is not None:
            texts(noun)
        if row.check is not None:
            row.check(context, noun)
        # Together: one large payment in small pieces would otherwise need no chamber.
        spends += noun.amount if isinstance(noun, TreasurySpend) else 0
    return spends


def begin(context: Context, proposal: Proposal) -> None:
    """Voting begins: whoever has a vote now has one in this proposal."""
    state, params = context.state, read_params(context.state)
    length = params.voting_ms // 4 if proposal.expedited else params.voting_ms
    opened = replace(
        proposal,
        status=Status.VOTING,
        snapshot=take_number(state, SNAPSHOT),
        start_ms=context.time_ms,
        end_ms=context.time_ms + length,
        deadline_ms=context.time_ms + length,
        tallies=totals(state, proposal),
    )
    wake(context, opened)
    context.emit("gov", "opened", opened.number, opened.end_ms)


def wake(context: Context, proposal: Proposal) -> None:
    """Write a proposal, and look at it again at its deadline."""
    write_proposal(context.state, proposal)
    schedule(context.state, QUEUE, proposal.deadline_ms, proposal.number.to_bytes(8, "big"))


def endorse(context: Context, message: GovEndorse) -> None:
    """Support a proposal; the last endorsement that it needs begins the vote."""
    state, account = context.state, context.account
    proposal = _known(state, message.proposal)
    if not is_person(state, account):
        raise fault(NOT_A_MEMBER, account=account)
    if proposal.status is not Status.ENDORSING or context.time_ms >= proposal.deadline_ms:
        raise fault(CLOSED, proposal=proposal.number, status=proposal.status.name.lower())
    if has_endorsed(state, proposal.number, account):
        raise fault(ENDORSED, proposal=proposal.number)
    write_endorsement(state, proposal.number, account)
    supported = replace(proposal, endorsers=proposal.endorsers + 1)
    context.emit("gov", "endorsed", proposal.number, account, supported.endorsers)
    if supported.endorsers >= read_params(state).endorse_min:
        begin(context, supported)
    else:
        write_proposal(state, supported)


def cancel(context: Context, message: GovCancel) -> None:
    """Take back an own proposal for which nobody has voted."""
    state = context.state
    proposal = _known(state, message.proposal)
    if proposal.proposer != context.account:
        raise fault(NOT_PROPOSER, proposal=proposal.number)
    if proposal.status not in {Status.ENDORSING, Status.VOTING} or context.time_ms >= proposal.deadline_ms:
        raise fault(CLOSED, proposal=proposal.number, status=proposal.status.name.lower())
    if proposal.votes:
        raise fault(VOTED, proposal=proposal.number, votes=proposal.votes)
    close(context, proposal, Status.CANCELLED)
    context.emit("gov", "cancelled", proposal.number)


def close(context: Context, proposal: Proposal, status: Status) -> Proposal:
    """End a vote or what precedes it: the deposit goes back, or to the city where it was vetoed."""
    state = context.state
    set_open(state, tuple(number for number in open_numbers(state) if number != proposal.number))
    closed = replace(proposal, status=status, deadline_ms=0, deposit=0)
    write_proposal(state, closed)
    if proposal.deposit and status is not Status.VETOED:
        move(state, source=GOVERNANCE, target=proposal.proposer, asset=ASSET, amount=proposal.deposit)
    elif proposal.deposit:
        move(state, source=GOVERNANCE, target=TREASURY, asset=ASSET, amount=proposal.deposit)
    return closed


def _known(state: Reader, number: int) -> Proposal:
    proposal = read_proposal(state, number)
    if proposal is None:
        raise fault(UNKNOWN_PROPOSAL, proposal=number)
    return proposal


# -- voting ----------------------------------------------------------------------------------------------------------


def vote(context: Context, message: GovVote) -> None:
    """Count a vote: the own weight, and that of delegators who have not voted themselves."""
    state, account = context.state, context.account
    proposal = _known(state, message.proposal)
    if proposal.status is not Status.VOTING or context.time_ms >= proposal.end_ms:
        raise fault(CLOSED, proposal=proposal.number, status=proposal.status.name.lower())
    _member(state, account)
    standing = standing_at(state, account, proposal.snapshot)
    own = own_weights(proposal, standing)
    taken = read_taken(state, proposal.number, account)
    brought = delegated(proposal, member=standing.member_in - taken.member, token=standing.token_in - taken.token)
    weights = tuple(mine + others for mine, others in zip(own, brought, strict=True))
    if not any(weights):
        raise fault(NO_WEIGHT, proposal=proposal.number)
    before = read_ballot(state, proposal.number, account)
    tallies = list(proposal.tallies)
    if before is None:
        _take_back(context, proposal, standing, tallies)
    else:
        _add(tallies, before.choice, before.weights, -1)
    _add(tallies, message.choice, weights, 1)
    write_ballot(state, proposal.number, account, Ballot(message.choice, weights, own))
    voted = replace(proposal, tallies=tuple(tallies), votes=proposal.votes + (before is None))
    context.emit("gov", "voted", proposal.number, account, message.choice.name.lower(), *weights)
    _watch_quorum(context, voted)


def _take_back(context: Context, proposal: Proposal, standing: Standing, tallies: list[Tally]) -> None:
    """Whoever votes himself takes his weight back from his delegates, whether these have voted or not yet."""
    member = standing.person if standing.member_to is not None else 0
    token = standing.root if standing.token_to is not None else 0
    if member and standing.member_to is not None:
        _take(context, proposal, standing.member_to, tallies, member=member)
    if token and standing.token_to is not None and proposal.usual.mode is Mode.QUADRATIC:
        _take(context, proposal, standing.token_to, tallies, token=token)


def _take(
    context: Context, proposal: Proposal, delegate: bytes, tallies: list[Tally], *, member: int = 0, token: int = 0
) -> None:
    state, number = context.state, proposal.number
    taken = read_taken(state, number, delegate)
    write_taken(state, number, delegate, Taken(taken.member + member, taken.token + token))
    voted = read_ballot(state, number, delegate)
    if voted is not None:
        less = delegated(proposal, member=member, token=token)
        _add(tallies, voted.choice, less, -1)
        left = tuple(weight - back for weight, back in zip(voted.weights, less, strict=True))
        write_ballot(state, number, delegate, replace(voted, weights=left))
    context.emit("gov", "overridden", number, delegate, context.account, member, token)


def _add(tallies: list[Tally], choice: Choice, weights: tuple[int, ...], sign: int) -> None:
    field = FIELDS[choice]
    for chamber, weight in enumerate(weights):
        if weight:
            tallies[chamber] = replace(tallies[chamber], **{field: getattr(tallies[chamber], field) + sign * weight})


def _watch_quorum(context: Context, proposal: Proposal) -> None:
    """Write a proposal after a vote; a quorum that is reached late gives everybody time to answer, once."""
    if proposal.quorate or not quorate(proposal.rule, proposal.tallies):
        write_proposal(context.state, proposal)
        return
    late_ms = read_params(context.state).late_ms
    proposal = replace(proposal, quorate=True)
    if proposal.extended or proposal.end_ms - context.time_ms >= late_ms:
        write_proposal(context.state, proposal)
        return
    end_ms = context.time_ms + late_ms
    wake(context, replace(proposal, extended=True, end_ms=end_ms, deadline_ms=end_ms))
    context.emit("gov", "extended", proposal.number, end_ms)


def delegate(context: Context, message: GovDelegate) -> None:
    """Let another person vote too, or nobody any more; votes that are open stay as they were."""
    state, account = context.state, context.account
    if not is_person(state, account):
        raise fault(NOT_A_MEMBER, account=account)
    now = delegate_of(state, account, message.space)
    if message.to in {now, account} or (message.to is not None and not is_person(state, message.to)):
        raise fault(DELEGATE, to=message.to)
    standing = standing_of(state, account)
    save(state, account, standing)
    member, token = (standing.person, 0) if message.space is Space.MEMBER else (0, standing.root)
    carry(state, now, member=-member, token=-token)
    set_delegate(state, account, message.space, message.to)
    carry(state, message.to, member=member, token=token)
    context.emit("gov", "delegated", account, message.space.name.lower(), message.to)


# -- what proposals carry --------------------------------------------------------------------------------------------


def check_parameter(context: Context, message: ParamSet) -> None:
    """Refuse a parameter that does not exist, or a value out of its bounds."""
    _parameter(context, message)


def set_parameter(context: Context, message: ParamSet) -> None:
    """Set a parameter of a module."""
    write_parameters(context.state, message.module, _parameter(context, message))
    setting = Setting(message.module, message.name, str(message.value), context.time_ms)
    write_setting(context.state, setting)
    context.emit("gov", "parameter", message.module, message.name, str(message.value))


def _parameter(context: Context, message: ParamSet) -> Noun:
    assert context.city is not None, "parameters are known to the registry"
    kind = context.city.parameters.get(message.module)
    if message.name in context.city.founding.get(message.module, ()):
        raise fault(PARAMETER_FOUNDING, module=message.module, name=message.name)
    if kind is None:
        raise fault(UNKNOWN_PARAMETER, module=message.module, name=message.name)
    return changed(context.state, message.module, kind, message.name, message.value)
