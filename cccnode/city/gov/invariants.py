"""What must hold of decisions after every block (modules.md 3.3), read from the whole state."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from cccnode.city.bank.state import balance
from cccnode.city.gov.electorate import own_weights, standing_at, standing_of
from cccnode.city.gov.messages import Choice
from cccnode.city.gov.rules import FIELDS
from cccnode.city.gov.state import (
    Proposal,
    Status,
    all_proposals,
    all_votes,
    open_numbers,
    read_carried,
    roots,
)
from cccnode.city.members.state import every_account
from cccnode.city.staking.messages import ASSET
from cccnode.ledger.deadlines import next_due
from cccnode.ledger.module import GOVERNANCE, Invariant
from cccnode.ledger.state import Scan


def _open(state: Scan) -> Iterator[Proposal]:
    return (row for row in all_proposals(state) if row.status is Status.VOTING)


def tallies_are_the_ballots(state: Scan) -> Iterator[str]:
    """GOV-1 and GOV-8: counted anew from every standing and ballot, each weight once."""
    for proposal in _open(state):
        ballots = dict(all_votes(state, proposal.number))
        counted: Counter[tuple[int, Choice]] = Counter()
        for account, _ in every_account(state):
            standing = standing_at(state, account, proposal.snapshot)
            own = own_weights(proposal, standing)
            for chamber, weight in enumerate(own):
                token = chamber == 0 and proposal.usual.mode.name == "QUADRATIC"
                delegate = standing.token_to if token else standing.member_to
                ballot = ballots.get(account)
                if ballot is None and chamber in (0, 4) and delegate is not None:
                    ballot = ballots.get(delegate)
                if ballot is not None and weight:
                    counted[chamber, ballot.choice] += weight
        for chamber, tally in enumerate(proposal.tallies):
            for choice in Choice:
                said, found = getattr(tally, FIELDS[choice]), counted[chamber, choice]
                if said != found:
                    yield f"proposal {proposal.number}, tally {chamber}: {choice.name} {said}, counted anew {found}"


def tallies_stay_within(state: Scan) -> Iterator[str]:
    """GOV-2."""
    for proposal in all_proposals(state):
        for chamber, tally in enumerate(proposal.tallies):
            if tally.yes + tally.no + tally.abstain + tally.veto > tally.total:
                yield f"proposal {proposal.number}, tally {chamber}: more votes than weight"


def carried_out_in_time(state: Scan) -> Iterator[str]:
    """GOV-4."""
    for row in all_proposals(state):
        if row.status in {Status.PASSED, Status.EXECUTED, Status.FAILED} and row.eta_ms < row.end_ms:
            yield f"proposal {row.number}: carried out before its vote ended"


def deposits_are_held(state: Scan) -> Iterator[str]:
    """GOV-5."""
    held = sum(row.deposit for row in all_proposals(state))
    owned = balance(state, GOVERNANCE, ASSET)
    if held != owned:
        yield f"m:gov holds {owned}, open deposits are {held}"


def sums_are_right(state: Scan) -> Iterator[str]:
    """Delegated weight and the sum of roots, counted anew."""
    member: Counter[bytes] = Counter()
    token: Counter[bytes] = Counter()
    total, accounts = 0, [account for account, _ in every_account(state)]
    for account in accounts:
        standing = standing_of(state, account)
        total += standing.root
        if standing.member_to is not None:
            member[standing.member_to] += standing.person
        if standing.token_to is not None:
            token[standing.token_to] += standing.root
    if total != roots(state):
        yield f"the sum of roots is {roots(state)}, counted anew {total}"
    for account in accounts:
        carried = read_carried(state, account)
        if (carried.member, carried.token) != (member[account], token[account]):
            yield f"{account.hex()} carries {carried}, counted anew {member[account]}, {token[account]}"


def open_ones_wake(state: Scan) -> Iterator[str]:
    """Every proposal that is not over is listed as open or waits for its time, and something will wake it."""
    listed = set(open_numbers(state))
    for row in all_proposals(state):
        if (row.status in {Status.ENDORSING, Status.VOTING}) != (row.number in listed):
            yield f"proposal {row.number} is {row.status.name} and {'listed' if row.number in listed else 'not listed'}"
        waits = row.status in {Status.ENDORSING, Status.VOTING, Status.PASSED} or row.effect_ms > 0
        if waits != bool(row.deadline_ms) or (waits and next_due(state, "gov") is None):
            yield f"proposal {row.number} is {row.status.name}, deadline {row.deadline_ms}"


INVARIANTS: Final = (
    Invariant(
        name="GOV-1",
        en="Each account's weight is counted once, by itself or its delegate: tallies are the ballots.",
        th="น้ำหนักเสียงของแต่ละบัญชีถูกนับครั้งเดียว โดยตนเองหรือผู้รับมอบ",
        check=tallies_are_the_ballots,
    ),
    Invariant(
        name="GOV-2",
        en="No tally exceeds the weight of its snapshot.",
        th="คะแนนรวมไม่เกินน้ำหนักเสียงในขณะเปิดลงคะแนน",
        check=tallies_stay_within,
    ),
    Invariant(
        name="GOV-4",
        en="Nothing is carried out before its vote has ended.",
        th="ไม่มีการดำเนินการก่อนสิ้นสุดการลงคะแนน",
        check=carried_out_in_time,
    ),
    Invariant(
        name="GOV-5",
        en="The module holds exactly the open deposits.",
        th="โมดูลถือเงินประกันที่เปิดอยู่พอดี",
        check=deposits_are_held,
    ),
    Invariant(
        name="GOV-8",
        en="Delegated weight and the sum of roots are what counting anew gives.",
        th="เสียงที่มอบและผลรวมรากตรงกับการนับใหม่",
        check=sums_are_right,
    ),
    Invariant(
        name="GOV-9",
        en="Every proposal that is not over is listed and has a deadline.",
        th="ข้อเสนอที่ยังไม่จบทุกข้อมีกำหนดเวลาและอยู่ในรายการ",
        check=open_ones_wake,
    ),
)
