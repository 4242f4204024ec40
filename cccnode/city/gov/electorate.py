"""Who may vote with what weight, as it was when a vote began.

The standing of an account follows from its record, what it has bonded, and delegations.  Before it changes while a
vote is open, the old one is saved; so a snapshot costs nothing, and later changes never reach it.
"""

from math import isqrt
from typing import Final

from cccnode.city.gov.messages import Space
from cccnode.city.gov.state import (
    CITIZENS,
    Carried,
    Mode,
    Proposal,
    Standing,
    Tally,
    delegate_of,
    last_number,
    open_numbers,
    read_carried,
    read_proposal,
    roots,
    saved_standings,
    set_roots,
    set_saved,
    write_carried,
)
from cccnode.city.members.state import Account, Kind, Personhood, Pillar, Status, active_count, read_account
from cccnode.city.staking.state import bonded
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader

SNAPSHOT: Final = "snapshot"
_PILLARS: Final = (Pillar.GOVERNMENT, Pillar.PRIVATE, Pillar.ACADEMIA)
"""Whose organisations have chambers 1, 2 and 3."""


def standing_of(state: Reader, account: bytes) -> Standing:
    """The standing of an account now."""
    return _standing(state, account, read_account(state, account), bonded(state, account))


def standing_at(state: Reader, account: bytes, snapshot: int) -> Standing:
    """The standing of an account as of a snapshot: the first one saved for it or later, else that of now."""
    for saved, standing in saved_standings(state, account).items():
        if saved >= snapshot:
            return standing
    return standing_of(state, account)


def _standing(state: Reader, account: bytes, record: Account | None, tokens: int) -> Standing:
    active = record is not None and record.status is Status.ACTIVE
    person = record is not None and active and record.kind is Kind.PERSON
    vouched = record is not None and person and record.personhood is not Personhood.NONE
    chamber = 0
    if record is not None and active and record.kind is Kind.ORGANISATION and record.pillar in _PILLARS:
        chamber = _PILLARS.index(record.pillar) + 1
    carried = read_carried(state, account)
    return Standing(
        person=int(person),
        root=isqrt(tokens) if vouched else 0,
        chamber=chamber,
        member_to=delegate_of(state, account, Space.MEMBER),
        token_to=delegate_of(state, account, Space.TOKEN),
        member_in=carried.member,
        token_in=carried.token,
    )


def own_weights(proposal: Proposal, standing: Standing) -> tuple[int, ...]:
    """What an account's own vote weighs in each tally."""
    together = {Mode.NOBODY: 0, Mode.MEMBER: standing.person, Mode.QUADRATIC: standing.root}[proposal.usual.mode]
    if not proposal.chambers:
        return (together, 0, 0, 0, 0)
    organisations = [int(standing.chamber == chamber) for chamber in range(1, CITIZENS)]
    return (together, *organisations, standing.person)


def delegated(proposal: Proposal, *, member: int, token: int) -> tuple[int, ...]:
    """Delegated weight by tally: organisations delegate nothing."""
    together = {Mode.NOBODY: 0, Mode.MEMBER: member, Mode.QUADRATIC: token}[proposal.usual.mode]
    return (together, 0, 0, 0, member if proposal.chambers else 0)


def totals(state: Reader, proposal: Proposal) -> tuple[Tally, ...]:
    """Empty tallies, with everybody who may vote now."""
    persons = sum(active_count(state, Kind.PERSON, pillar) for pillar in Pillar)
    together = {Mode.NOBODY: 0, Mode.MEMBER: persons, Mode.QUADRATIC: roots(state)}[proposal.usual.mode]
    if not proposal.chambers:
        return (Tally(total=together), *(Tally() for _ in range(CITIZENS)))
    chambers = [active_count(state, Kind.ORGANISATION, pillar) for pillar in _PILLARS]
    return tuple(Tally(total=total) for total in (together, *chambers, persons))


# -- changes ---------------------------------------------------------------------------------------------------------


def account_changed(context: Context, address: bytes, before: Account | None, after: Account) -> None:
    """Listens to `members/changed`."""
    state = context.state
    tokens = bonded(state, address)
    _changed(state, address, _standing(state, address, before, tokens), _standing(state, address, after, tokens))


def bond_changed(context: Context, address: bytes, before: int, after: int) -> None:
    """Listens to `staking/bonded`."""
    state = context.state
    record = read_account(state, address)
    _changed(state, address, _standing(state, address, record, before), _standing(state, address, record, after))


def _changed(state: Overlay, address: bytes, before: Standing, after: Standing) -> None:
    """Save what was, and keep the sums."""
    if before == after:
        return
    save(state, address, before)
    set_roots(state, roots(state) + after.root - before.root)
    carry(state, before.member_to, member=after.person - before.person)
    carry(state, before.token_to, token=after.root - before.root)


def carry(state: Overlay, delegate: bytes | None, *, member: int = 0, token: int = 0) -> None:
    """Add weight to what is delegated to an account, or take it away."""
    if delegate is None or (not member and not token):
        return
    save(state, delegate, standing_of(state, delegate))
    now = read_carried(state, delegate)
    write_carried(state, delegate, Carried(now.member + member, now.token + token))


def save(state: Overlay, account: bytes, standing: Standing) -> None:
    """Keep a standing that is about to change for the votes that are open; forget what no open vote asks for."""
    oldest = oldest_snapshot(state)
    saved = saved_standings(state, account)
    for snapshot in saved:
        if oldest is None or snapshot < oldest:
            set_saved(state, account, snapshot, None)
    newest = last_number(state, SNAPSHOT)
    if oldest is not None and newest not in saved:
        set_saved(state, account, newest, standing)


def oldest_snapshot(state: Reader) -> int | None:
    """The snapshot of the oldest open vote, or None."""
    proposals = (read_proposal(state, number) for number in open_numbers(state))
    return min((row.snapshot for row in proposals if row is not None and row.snapshot), default=None)


def weight_at(state: Reader, proposal: Proposal, account: bytes) -> tuple[int, ...]:
    """What the own vote of an account weighs in each tally of a proposal."""
    return own_weights(proposal, standing_at(state, account, proposal.snapshot))
