"""What anyone may ask about the city's decisions."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.gov.counting import chambers_verdict, quorate
from cccnode.city.gov.electorate import standing_at, standing_of, weight_at
from cccnode.city.gov.messages import Kind, Packed, Space
from cccnode.city.gov.state import (
    CHAMBERS,
    Ballot,
    Proposal,
    Setting,
    Standing,
    Status,
    Tally,
    delegate_of,
    last_number,
    read_ballot,
    read_messages,
    read_proposal,
    read_taken,
    settings,
)
from cccnode.codec import Noun
from cccnode.ledger.policies import reasons
from cccnode.ledger.state import Reader
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.scalars import U32, U63, AccountId, Amount, Millis, Name

PAGE_MAX: Final = 64


class NoParams(Noun, frozen=True, array_like=True, gc=False):
    """Nothing to say."""


class ProposalParams(Noun, frozen=True, array_like=True, gc=False):
    """Which proposal."""

    proposal: U63


class PageParams(Noun, frozen=True, array_like=True, gc=False):
    """Which page."""

    before: U63 = 2**63 - 1
    """Only those with a smaller number."""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_MAX


class PowerParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose vote in which proposal."""

    account: AccountId
    proposal: U63


class AccountParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose."""

    account: AccountId


class ChamberTally(Noun, frozen=True, array_like=True, gc=False):
    """Weights of the votes of one chamber."""

    name: Name
    """`all`: everybody whose votes are counted together."""
    yes: Amount
    no: Amount
    abstain: Amount
    veto: Amount
    total: Amount


class CityProposal(Noun, frozen=True, array_like=True, gc=False):
    """A proposal as it stands."""

    number: U63
    kind: Kind
    status: Status
    title: str
    proposer: AccountId
    expedited: bool
    start_ms: Millis
    end_ms: Millis
    eta_ms: Millis
    """When what passed is, or was, carried out."""
    effect_ms: Millis
    """When a decision about validators takes effect; 0 for others, and afterwards."""
    deposit: Amount
    endorsers: U32
    error: U32
    """Code of what kept it from being carried out, or 0."""
    tallies: tuple[ChamberTally, ...]
    """Of those whose votes count for this kind."""
    messages: tuple[Packed, ...]


class TallyAnswer(Noun, frozen=True, array_like=True, gc=False):
    """How a vote stands, and why it does not pass as it stands."""

    status: Status
    quorate: bool
    tallies: tuple[ChamberTally, ...]
    lacking: tuple[str, ...]
    """What the chambers lack, one line each."""
    lacking_th: tuple[str, ...]


class PowerAnswer(Noun, frozen=True, array_like=True, gc=False):
    """What an account's vote is worth in a proposal."""

    own: tuple[Amount, ...]
    """In `all` and the chambers of government, private, academia and citizens."""
    member_in: Amount
    """Delegated to it as persons' votes, less what delegators took back."""
    token_in: Amount
    vote: Ballot | None


class DelegatesAnswer(Noun, frozen=True, array_like=True, gc=False):
    """To whom an account delegates now, and what is delegated to it."""

    member: AccountId | None
    token: AccountId | None
    standing: Standing


def gov_proposal(state: Reader, params: ProposalParams) -> CityProposal:
    """A proposal; rpc/NOT_FOUND when there is none."""
    return _answer(state, _known(state, params.proposal))


def gov_proposals(state: Reader, params: PageParams) -> tuple[CityProposal, ...]:
    """Proposals, newest first."""
    first = min(params.before - 1, last_number(state, "proposal"))
    found = (read_proposal(state, number) for number in range(first, max(first - params.limit, 0), -1))
    return tuple(_answer(state, row) for row in found if row is not None)


def gov_tally(state: Reader, params: ProposalParams) -> TallyAnswer:
    """How a vote stands."""
    proposal = _known(state, params.proposal)
    verdict = chambers_verdict(proposal.rule, proposal.tallies)
    english, thai = ((), ()) if verdict is None else (tuple(reasons(verdict)), tuple(reasons(verdict, "th")))
    return TallyAnswer(proposal.status, quorate(proposal.rule, proposal.tallies), _tallies(proposal), english, thai)


def gov_power(state: Reader, params: PowerParams) -> PowerAnswer:
    """What an account's vote is worth in a proposal."""
    proposal = _known(state, params.proposal)
    standing = standing_at(state, params.account, proposal.snapshot)
    taken = read_taken(state, proposal.number, params.account)
    return PowerAnswer(
        weight_at(state, proposal, params.account),
        standing.member_in - taken.member,
        standing.token_in - taken.token,
        read_ballot(state, proposal.number, params.account),
    )


def gov_delegates(state: Reader, params: AccountParams) -> DelegatesAnswer:
    """To whom an account delegates now."""
    member, token = (delegate_of(state, params.account, space) for space in (Space.MEMBER, Space.TOKEN))
    return DelegatesAnswer(member, token, standing_of(state, params.account))


def gov_settings(state: Reader, _params: NoParams) -> tuple[Setting, ...]:
    """Every parameter that the city has set; all others are as genesis has them."""
    return settings(state)


def _known(state: Reader, number: int) -> Proposal:
    proposal = read_proposal(state, number)
    if proposal is None:
        raise fault(NOT_FOUND, proposal=number)
    return proposal


def _answer(state: Reader, row: Proposal) -> CityProposal:
    return CityProposal(
        row.number,
        row.kind,
        row.status,
        row.title,
        row.proposer,
        row.expedited,
        row.start_ms,
        row.end_ms,
        row.eta_ms,
        row.effect_ms,
        row.deposit,
        row.endorsers,
        row.error,
        _tallies(row),
        read_messages(state, row),
    )


def _tallies(row: Proposal) -> tuple[ChamberTally, ...]:
    """Those that count: everybody together, the chambers, or both."""
    asked = [
        (0, row.usual.mode.value != 0),
        *((chamber, row.chambers) for chamber in range(1, 5)),
    ]
    return tuple(_named(chamber, row.tallies[chamber]) for chamber, counts in asked if counts)


def _named(chamber: int, tally: Tally) -> ChamberTally:
    return ChamberTally(CHAMBERS[chamber], tally.yes, tally.no, tally.abstain, tally.veto, tally.total)
