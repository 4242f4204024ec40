"""Proposals, votes, delegations and saved standings in the state: the only place that knows their groups and items.

gov              proposal, snapshot   int: the number given last
                 open                 tuple of int: proposals that wait for endorsements or votes
                 roots                int: sum of the roots of what vouched persons have bonded
gp/<proposal>    ""                   Proposal
                 m<n>                 bytes: its messages
gv/<proposal><account>  ""            Ballot
                        taken         Taken: weight that delegators took back by voting themselves
                        endorsed      True
gd/<account>     <space>              bytes: to whom it delegates
                 in                   Carried: weight that is delegated to it
gs/<account>     <snapshot>           Standing: as it was for this snapshot and those since the one saved before
gx               <module>.<name>      Setting: parameters that the city has set
par/gov          ""                   Params

A standing is saved when it changes, and only while a vote is open: what is not saved is still as it is now.
Proposals and snapshots are numbered from 1 in 8 bytes, big-endian.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.gov.messages import MESSAGES_MAX, Choice, Kind, Packed, Space
from cccnode.codec import Noun
from cccnode.ledger.pages import wide
from cccnode.ledger.parameters import read_parameters
from cccnode.ledger.policies import Policy
from cccnode.ledger.state import Overlay, Reader, Scan
from cccnode.types.scalars import U16, U32, U63, AccountId, Amount, Hash, Millis
from cccnode.types.units import DAY_MS, HOUR_MS

OPEN_MAX: Final = 128
ENDORSING_MAX: Final = OPEN_MAX // 2
"""Of them without a deposit."""
"""Proposals that are open at a time."""
CHAMBERS: Final = ("all", "government", "private", "academia", "citizens")
"""Tallies of a proposal: everybody together, and each pillar's chamber."""
CITIZENS: Final = 4
_GOV: Final = b"gov"
_PROPOSAL: Final = b"gp/"
_VOTE: Final = b"gv/"
_DELEGATE: Final = b"gd/"
_STANDING: Final = b"gs/"
_SETTINGS: Final = b"gx"
_ONLY: Final = b""
_IN: Final = b"in"


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Numbers that genesis sets, and the city by vote (modules.md 3.3)."""

    voting_ms: Annotated[int, Meta(ge=60_000, le=30 * DAY_MS)] = DAY_MS
    """How long is voted; a quarter of it for an expedited proposal."""
    gov_deposit: Annotated[int, Meta(ge=0, le=10**15)] = 100_000_000
    """Base units of uccc that a proposer leaves until the vote ends."""
    endorse_min: Annotated[int, Meta(ge=1, le=10_000)] = 20
    """Members that bring a proposal without a deposit to a vote."""
    endorse_ms: Annotated[int, Meta(ge=60_000, le=60 * DAY_MS)] = 7 * DAY_MS
    """Within what time."""
    late_ms: Annotated[int, Meta(ge=0, le=7 * DAY_MS)] = 6 * HOUR_MS
    """A quorum that is reached later than this before the end moves the end once, to so long after it."""
    spend_big: Amount = 10_000_000_000
    """Spending more than so many base units needs the chambers too."""
    max_open: Annotated[int, Meta(ge=1, le=OPEN_MAX)] = 3
    """Open proposals of one proposer."""
    valset_delay_ms: Annotated[int, Meta(ge=0, le=30 * DAY_MS)] = 0
    """Between carrying out a decision about validators and its effect."""
    lock_ms: Annotated[int, Meta(ge=0, le=30 * DAY_MS)] = DAY_MS
    """Between the end of a vote and what it decided; twice as long for the charter and upgrades."""


class Mode(IntEnum):
    """Whose votes are counted together, beside the chambers."""

    NOBODY = 0
    MEMBER = 1
    """Every person once."""
    QUADRATIC = 2
    """Vouched persons, by the root of what they have bonded."""


class Rule(Noun, frozen=True, array_like=True, gc=False):
    """What a proposal needs; copied into it when it is made."""

    mode: Mode
    quorum: U16
    """Of those counted together, in ten-thousandths of their weight."""
    organisations_quorum: U16
    """Of each pillar's organisations."""
    citizens_quorum: U16
    threshold: U16
    """Yes must be more than so many ten-thousandths of yes, no and veto."""
    chambers: Policy | None
    """Which chambers must carry it."""
    lock_ms: Millis


class Tally(Noun, frozen=True, array_like=True, gc=False):
    """Weights of the votes of one chamber."""

    yes: Amount = 0
    no: Amount = 0
    abstain: Amount = 0
    veto: Amount = 0
    total: Amount = 0
    """Of everybody who may vote there."""


class Status(IntEnum):
    """Where a proposal is."""

    ENDORSING = 0
    VOTING = 1
    PASSED = 2
    """It waits for its time."""
    EXECUTED = 3
    FAILED = 4
    """It passed, and could not be carried out."""
    REJECTED_QUORUM = 5
    REJECTED = 6
    VETOED = 7
    CANCELLED = 8
    EXPIRED = 9
    """Too few endorsed it."""


class Proposal(Noun, frozen=True, array_like=True, gc=False):
    """A question to the city."""

    number: U63
    kind: Kind
    title: str
    body: Hash
    proposer: AccountId
    messages: U16
    rule: Rule
    usual: Rule
    """What it goes on with where `expedited` fails; the same as `rule` otherwise."""
    chambers: bool
    """Whether the chambers are counted too."""
    expedited: bool
    snapshot: U63
    """Standings as of this one count; 0 before voting begins."""
    created_ms: Millis
    start_ms: Millis
    end_ms: Millis
    extended: bool
    quorate: bool
    eta_ms: Millis
    """When what passed is carried out."""
    effect_ms: Millis
    """When a decision about validators takes effect; 0 for others, and afterwards."""
    deadline_ms: Millis
    """When it goes on by itself; 0 once it has ended."""
    deposit: Amount
    endorsers: U32
    votes: U32
    """Accounts that voted themselves."""
    status: Status
    error: U32
    """Code of what kept it from being carried out."""
    tallies: Annotated[tuple[Tally, ...], Meta(min_length=5, max_length=5)]
    """In the order of `CHAMBERS`."""


class Standing(Noun, frozen=True, array_like=True, gc=False):
    """What an account's vote is worth, and who carries it."""

    person: U16 = 0
    """1 for an active person."""
    root: Amount = 0
    """Root of what a vouched person has bonded."""
    chamber: U16 = 0
    """The chamber in which it votes as an organisation; 0: none."""
    member_to: AccountId | None = None
    token_to: AccountId | None = None
    member_in: Amount = 0
    """Weight that others delegated to it."""
    token_in: Amount = 0


class Carried(Noun, frozen=True, array_like=True, gc=False):
    """Weight that is delegated to an account now."""

    member: Amount = 0
    token: Amount = 0


class Taken(Noun, frozen=True, array_like=True, gc=False):
    """Weight that delegators of an account took back in one proposal by voting themselves."""

    member: Amount = 0
    token: Amount = 0


class Ballot(Noun, frozen=True, array_like=True, gc=False):
    """How an account voted, and with what weight in each tally, delegators included."""

    choice: Choice
    weights: Annotated[tuple[Amount, ...], Meta(min_length=5, max_length=5)]
    own: Annotated[tuple[Amount, ...], Meta(min_length=5, max_length=5)]
    """Without delegators."""


class Setting(Noun, frozen=True, array_like=True, gc=False):
    """A parameter as the city set it."""

    module: str
    name: str
    value: str
    at_ms: Millis


def read_params(state: Reader) -> Params:
    """The module's parameters."""
    return read_parameters(state, "gov", Params)


def take_number(state: Overlay, what: str) -> int:
    """The next number of a kind."""
    number = last_number(state, what) + 1
    state.put(_GOV, what.encode(), number)
    return number


def last_number(state: Reader, what: str) -> int:
    """The number given last; 0 before the first."""
    return state.get(_GOV, what.encode(), int) or 0


def open_numbers(state: Reader) -> tuple[int, ...]:
    """Proposals that wait for endorsements or votes, oldest first."""
    return state.get(_GOV, b"open", tuple[int, ...]) or ()


def set_open(state: Overlay, numbers: tuple[int, ...]) -> None:
    """Say which are open."""
    state.put(_GOV, b"open", numbers or None)


def roots(state: Reader) -> int:
    """Sum of the roots of all vouched persons."""
    return state.get(_GOV, b"roots", int) or 0


def set_roots(state: Overlay, total: int) -> None:
    """Keep it."""
    state.put(_GOV, b"roots", total or None)


def read_proposal(state: Reader, number: int) -> Proposal | None:
    """A proposal, or None."""
    return state.get(_PROPOSAL + wide(number), _ONLY, Proposal)


def write_proposal(state: Overlay, proposal: Proposal) -> None:
    """Set it."""
    state.put(_PROPOSAL + wide(proposal.number), _ONLY, proposal)


def read_messages(state: Reader, proposal: Proposal) -> tuple[Packed, ...]:
    """What it carries."""
    group = _PROPOSAL + wide(proposal.number)
    found = (state.get(group, b"m" + bytes([place]), bytes) for place in range(min(proposal.messages, MESSAGES_MAX)))
    return tuple(raw for raw in found if raw is not None)


def write_messages(state: Overlay, number: int, messages: tuple[Packed, ...]) -> None:
    """Keep them."""
    for place, raw in enumerate(messages):
        state.put(_PROPOSAL + wide(number), b"m" + bytes([place]), raw)


def _ballot(number: int, account: bytes) -> bytes:
    return _VOTE + wide(number) + account


def read_ballot(state: Reader, number: int, account: bytes) -> Ballot | None:
    """How an account voted, or None."""
    return state.get(_ballot(number, account), _ONLY, Ballot)


def write_ballot(state: Overlay, number: int, account: bytes, vote: Ballot) -> None:
    """Set it."""
    state.put(_ballot(number, account), _ONLY, vote)


def read_taken(state: Reader, number: int, account: bytes) -> Taken:
    """What delegators of an account took back."""
    return state.get(_ballot(number, account), b"taken", Taken) or Taken()


def write_taken(state: Overlay, number: int, account: bytes, taken: Taken) -> None:
    """Set it."""
    state.put(_ballot(number, account), b"taken", taken)


def has_endorsed(state: Reader, number: int, account: bytes) -> bool:
    """Whether an account endorsed a proposal."""
    return state.has(_ballot(number, account), b"endorsed")


def write_endorsement(state: Overlay, number: int, account: bytes) -> None:
    """Keep it."""
    state.put(_ballot(number, account), b"endorsed", True)


def delegate_of(state: Reader, account: bytes, space: Space) -> bytes | None:
    """To whom an account delegates now, or None."""
    return state.get(_DELEGATE + account, bytes([space]), bytes)


def set_delegate(state: Overlay, account: bytes, space: Space, to: bytes | None) -> None:
    """Set it."""
    state.put(_DELEGATE + account, bytes([space]), to)


def read_carried(state: Reader, account: bytes) -> Carried:
    """Weight that is delegated to an account now."""
    return state.get(_DELEGATE + account, _IN, Carried) or Carried()


def write_carried(state: Overlay, account: bytes, carried: Carried) -> None:
    """Set it."""
    state.put(_DELEGATE + account, _IN, carried if carried != Carried() else None)


def saved_standings(state: Reader, account: bytes) -> dict[int, Standing]:
    """Saved standings of an account by snapshot, oldest first."""
    found = state.group(_STANDING + account, Standing)
    return {int.from_bytes(item, "big"): standing for item, standing in found.items()}


def set_saved(state: Overlay, account: bytes, snapshot: int, standing: Standing | None) -> None:
    """Save a standing, or forget it."""
    state.put(_STANDING + account, wide(snapshot), standing)


def settings(state: Reader) -> tuple[Setting, ...]:
    """Parameters that the city has set, by module and name."""
    return tuple(state.group(_SETTINGS, Setting).values())


def write_setting(state: Overlay, setting: Setting) -> None:
    """Keep what a parameter was set to."""
    state.put(_SETTINGS, f"{setting.module}.{setting.name}".encode(), setting)


def all_proposals(state: Scan) -> Iterator[Proposal]:
    """Every proposal, by number."""
    for number in range(1, last_number(state, "proposal") + 1):
        row = read_proposal(state, number)
        if row is not None:
            yield row


def all_votes(state: Scan, number: int) -> Iterator[tuple[bytes, Ballot]]:
    """Every ballot of a proposal, by account."""
    prefix = _VOTE + wide(number)
    for group in state.groups(prefix):
        account = group[len(prefix) :]
        vote = read_ballot(state, number, account)
        if vote is not None:
            yield account, vote
