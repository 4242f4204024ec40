"""What must hold of staking after every block (modules.md 3.4), read from the whole state."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from cccnode.city.bank.state import balance
from cccnode.city.staking.messages import ASSET
from cccnode.city.staking.rules import BONDED_ACCOUNT, REWARDS_ACCOUNT, UNBONDING_ACCOUNT
from cccnode.city.staking.state import (
    WAD,
    Validator,
    all_bonded,
    all_delegations,
    all_unbondings,
    delegations_of,
    delegator,
    read_validator,
    validators,
)
from cccnode.ledger.deadlines import next_due
from cccnode.ledger.module import Invariant
from cccnode.ledger.state import Scan


def _records(state: Scan) -> dict[bytes, Validator]:
    found = {address: read_validator(state, address) for address in validators(state)}
    return {address: record for address, record in found.items() if record is not None}


def bonded_is_owned(state: Scan) -> Iterator[str]:
    """STK-1."""
    records, tokens, owned = _records(state), Counter[bytes](), Counter[bytes]()
    for address, account, row in all_delegations(state):
        tokens[address] += row.amount
        owned[account] += row.amount
    for address, record in records.items():
        if tokens[address] != record.tokens:
            yield f"{record.organisation} has {record.tokens}, its delegators {tokens[address]}"
    for account, total in all_bonded(state):
        if owned[account] != total:
            yield f"{account.hex()} has {owned[account]} bonded, its total says {total}"
    held = balance(state, BONDED_ACCOUNT, ASSET)
    if held != sum(tokens.values()):
        yield f"m:bonded holds {held}, {sum(tokens.values())} are bonded"


def waiting_is_held(state: Scan) -> Iterator[str]:
    """STK-2."""
    waiting = sum(row.amount for _, row in all_unbondings(state))
    held = balance(state, UNBONDING_ACCOUNT, ASSET)
    if held != waiting:
        yield f"m:unbonding holds {held}, {waiting} wait"


def rewards_are_whole(state: Scan) -> Iterator[str]:
    """STK-3, to the last fraction: what is owed, carried and left over by divisions is what the module holds."""
    records, owed = _records(state), 0
    for address, _, row in all_delegations(state):
        gained = int.from_bytes(records[address].index, "big") - int.from_bytes(row.index, "big")
        owed += row.pending * WAD + gained * row.amount
    for record in records.values():
        owed += record.commission_due * WAD
        owed += int.from_bytes(record.remainder, "big") + int.from_bytes(record.dust, "big")
    held = balance(state, REWARDS_ACCOUNT, ASSET)
    if held * WAD != owed:
        yield f"m:rewards holds {held} base units, {owed}/{WAD} are accounted for"


def lists_are_whole(state: Scan) -> Iterator[str]:
    """STK-9: whoever has a delegation stands once in its validator's list, and the other way round."""
    found: defaultdict[bytes, dict[int, bytes]] = defaultdict(dict)
    for address, account, row in all_delegations(state):
        found[address][row.place] = account
        if address not in delegations_of(state, account):
            yield f"{account.hex()} does not know its delegation"
    for address, record in _records(state).items():
        places = [delegator(state, address, place) for place in range(record.delegators)]
        if places != [account for _, account in sorted(found[address].items())]:
            yield f"the list of {record.organisation} differs from its delegations"


def nothing_is_late(state: Scan) -> Iterator[str]:
    """STK-5: whatever waits will be woken."""
    soonest = min((row.done_ms for _, row in all_unbondings(state)), default=None)
    due = next_due(state, "staking")
    if soonest is not None and (due is None or due > soonest):
        yield f"a withdrawal is due at {soonest}, the queue wakes at {due}"


INVARIANTS: Final = (
    Invariant(
        name="STK-1",
        en="m:bonded holds what validators have, which is what delegators have.",
        th="m:bonded เท่ากับยอดของผู้ตรวจสอบ และเท่ากับยอดของผู้ฝากรวมกัน",
        check=bonded_is_owned,
    ),
    Invariant(
        name="STK-2",
        en="m:unbonding holds what waits to be free.",
        th="m:unbonding เท่ากับยอดที่รอถอน",
        check=waiting_is_held,
    ),
    Invariant(
        name="STK-3",
        en="m:rewards holds exactly what is owed and what divisions left, to the last fraction.",
        th="m:rewards เท่ากับรางวัลที่ค้างจ่ายรวมเศษจากการหารพอดี",
        check=rewards_are_whole,
    ),
    Invariant(
        name="STK-5",
        en="Nothing leaves early, and nothing is forgotten: the queue wakes for the next withdrawal.",
        th="ไม่มีการถอนก่อนเวลา และไม่มีรายการใดถูกลืม",
        check=nothing_is_late,
    ),
    Invariant(
        name="STK-9",
        en="A validator's list names each of its delegators once.",
        th="รายชื่อผู้ฝากของผู้ตรวจสอบครบและไม่ซ้ำ",
        check=lists_are_whole,
    ),
)
