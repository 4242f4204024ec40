"""What must hold of money after every block (modules.md 3.2)."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from cccnode.city.bank.state import (
    FEES,
    PREPAID,
    WRAP,
    Policy,
    balances,
    every_asset,
    every_balance,
    every_grant,
    every_resource,
    granters,
    read_float,
    read_grant,
    read_issued,
    supply,
)
from cccnode.ledger.module import Invariant
from cccnode.ledger.state import Scan


def conserved(scan: Scan) -> Iterable[str]:
    """BNK-1."""
    total: Counter[str] = Counter()
    for account, asset, amount in every_balance(scan):
        total[asset] += amount
        if amount <= 0:
            yield f"{account.hex()} owns {amount} {asset}"
    known = {asset.id for asset in every_asset(scan)}
    for name in sorted(known | set(total)):
        if total[name] != supply(scan, name) or name not in known:
            yield f"balances of {name} are {total[name]}, its supply is {supply(scan, name)}"


def bounded(scan: Scan) -> Iterable[str]:
    """BNK-2."""
    for asset in every_asset(scan):
        issued, seen = supply(scan, asset.id), read_float(scan, asset.id)
        if issued > asset.cap:
            yield f"the supply of {asset.id} is {issued}, its cap {asset.cap}"
        # An auditor may find less than there is; what was minted before stays, and is all there can be.
        held = 0 if seen is None else max(seen.amount, seen.supply)
        if asset.backed and issued > held:
            yield f"the supply of {asset.id} is {issued}, behind it stand {held}"


def issued_by_rules(scan: Scan) -> Iterable[str]:
    """BNK-3."""
    for asset in every_asset(scan):
        counted = read_issued(scan, asset.id)
        if (counted.founded + counted.minted - counted.burnt - supply(scan, asset.id)) % WRAP:
            yield f"{asset.id}: {counted.founded} + {counted.minted} - {counted.burnt} is not its supply"
        if asset.policy is Policy.FIXED and counted.minted:
            yield f"{counted.minted} of {asset.id} were minted, of which the supply is fixed"


def charged(scan: Scan) -> Iterable[str]:
    """BNK-4; what a single transaction changes is looked at by tests, which see the state before it."""
    owed: Counter[str] = Counter()
    for row in every_resource(scan):
        owed[row.asset] += row.left
    held = balances(scan, PREPAID)
    for asset in sorted(set(owed) | set(held)):
        if owed[asset] != held.get(asset, 0):
            yield f"{owed[asset]} {asset} are put aside for fees, {held.get(asset, 0)} are there"


def grants_bounded(scan: Scan) -> Iterable[str]:
    """BNK-5."""
    for granter, grantee, grant in every_grant(scan):
        pair = f"{granter.hex()} for {grantee.hex()}"
        if grant.left + grant.spent != grant.budget:
            yield f"{pair}: {grant.left} left and {grant.spent} spent of {grant.budget}"
        if grant.per and grant.used > grant.per:
            yield f"{pair}: {grant.used} used in a period of {grant.per}"
        if grant.used_ms >= grant.expires_ms:
            yield f"{pair}: used at {grant.used_ms}, when it was over"
        if granter not in granters(scan, grantee) or read_grant(scan, granter, grantee) is None:
            yield f"{pair}: not listed"


def nothing_stays(scan: Scan) -> Iterable[str]:
    """BNK-6."""
    for asset, amount in balances(scan, FEES).items():
        yield f"{amount} {asset} of fees belong to nobody"


INVARIANTS: Final = (
    Invariant(
        name="BNK-1",
        en="The balances of every asset add up to its supply.",
        th="ผลรวมยอดคงเหลือของทุกสินทรัพย์เท่ากับอุปทาน",
        check=conserved,
    ),
    Invariant(
        name="BNK-2",
        en="No supply exceeds its cap, nor what an auditor saw behind it.",
        th="อุปทานไม่เกินเพดานและไม่เกินเงินหนุนหลังที่รับรอง",
        check=bounded,
    ),
    Invariant(
        name="BNK-3",
        en="A supply changes only by minting, redeeming and burning.",
        th="อุปทานเปลี่ยนได้จากการออก การไถ่ถอน และการทำลายเท่านั้น",
        check=issued_by_rules,
    ),
    Invariant(
        name="BNK-4",
        en="A transaction takes its fee from who pays it and from nobody else: what is put aside for fees is there.",
        th="ค่าธรรมเนียมหักจากผู้จ่ายเท่านั้น เงินที่กันไว้จ่ายค่าธรรมเนียมอยู่ครบ",
        check=charged,
    ),
    Invariant(
        name="BNK-5",
        en="No grant pays more than its budget, nor more than its bound in a period, nor after its end.",
        th="สิทธิ์ออกค่าธรรมเนียมไม่จ่ายเกินงบ เกินวงเงินต่อรอบ หรือหลังหมดอายุ",
        check=grants_bounded,
    ),
    Invariant(
        name="BNK-6",
        en="After a block no fee is left on the way.",
        th="เมื่อจบบล็อกไม่มีค่าธรรมเนียมค้างอยู่",
        check=nothing_stays,
    ),
)
