"""What must hold of accounts after every block (modules.md 3.1)."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from cccnode.city.members.state import (
    Account,
    Kind,
    Pillar,
    Status,
    active_count,
    applications,
    applications_so_far,
    every_account,
    every_key,
    every_role,
    read_account,
    read_founded,
    read_holding,
    read_key,
    read_origin,
    read_suspension,
    role_holders,
)
from cccnode.ledger.module import Invariant
from cccnode.ledger.state import Scan
from cccnode.types.limits import GROUP_ITEMS_MAX


def able(scan: Scan) -> Iterable[str]:
    """MEM-1."""
    for address, account in every_account(scan):
        weight = sum(row.weight for row in account.keys)
        if account.status in (Status.ACTIVE, Status.SUSPENDED) and not 1 <= account.threshold <= weight:
            yield f"{address.hex()}: weight {weight}, threshold {account.threshold}"


def one_owner(scan: Scan) -> Iterable[str]:
    """MEM-2."""
    for key, record in every_key(scan):
        owner = read_account(scan, record.account)
        current = owner is not None and any(row.key == key for row in owner.keys)
        if owner is None or (record.revoked_ms is None and not current):
            yield f"key {key.hex()} belongs to nobody"
    for address, account in every_account(scan):
        for row in account.keys:
            known = read_key(scan, row.key)
            if known is None or known.account != address:
                yield f"key {row.key.hex()} of {address.hex()} belongs to another account, or to none"


def at_rest(scan: Scan) -> Iterable[str]:
    """MEM-3: who may not act has nothing to act with, and the ledger knows until when."""
    waiting = {
        account
        for page in range(-(-applications_so_far(scan) // GROUP_ITEMS_MAX))
        for account in applications(scan, page)
    }
    for address, account in every_account(scan):
        name = address.hex()
        suspension = read_suspension(scan, address)
        decided = suspension is not None and suspension.second is not None
        if (account.status is Status.SUSPENDED) != decided:
            yield f"{name} is {account.status.name.lower()}, which its suspension does not say"
        if (account.status is Status.PENDING) != (address in waiting):
            yield f"{name} is {account.status.name.lower()}, which the list of applications does not say"
        if account.status not in (Status.ACTIVE, Status.SUSPENDED) and account.roles:
            yield f"{name} is {account.status.name.lower()} and holds roles"
        if account.status is Status.REMOVED and any(_live(scan, row.key) for row in account.keys):
            yield f"{name} was removed and has keys"


def _live(scan: Scan, key: bytes) -> bool:
    record = read_key(scan, key)
    return record is not None and record.revoked_ms is None


def counted(scan: Scan) -> Iterable[str]:
    """MEM-4."""
    found = Counter((row.kind, row.pillar) for _, row in every_account(scan) if row.status is Status.ACTIVE)
    for kind in Kind:
        for pillar in Pillar:
            if found[kind, pillar] != active_count(scan, kind, pillar):
                yield f"{found[kind, pillar]} of {kind.name}, {pillar.name}; {active_count(scan, kind, pillar)} counted"


def vouched(scan: Scan) -> Iterable[str]:
    """MEM-5."""
    founded = read_founded(scan)
    for address, account in every_account(scan):
        origin = read_origin(scan, address)
        if account.status not in (Status.ACTIVE, Status.SUSPENDED) or _founder(account, founded):
            continue
        if origin is None or (origin.sponsor is None and origin.decision == 0):
            yield f"{address.hex()} is a member, and nobody let it in"


def _founder(account: Account, founded_ms: int) -> bool:
    """Whether genesis opened it, or the admission of its organisation."""
    return account.since_ms == founded_ms or account.kind is Kind.ORGANISATION


def protected(scan: Scan) -> Iterable[str]:
    """MEM-6."""
    for name, role in every_role(scan):
        for holder in role_holders(scan, name):
            holding, account = read_holding(scan, name, holder), read_account(scan, holder)
            if role.protected and holding is not None and holding.by is not None:
                yield f"{holder.hex()} has the protected role {name} from {holding.by.hex()}"
            if account is None or name not in account.roles:
                yield f"{holder.hex()} is listed with the role {name}"
    for address, account in every_account(scan):
        for name in account.roles:
            if read_holding(scan, name, address) is None:
                yield f"{address.hex()} holds {name}, and nobody gave it"


def revoked(scan: Scan) -> Iterable[str]:
    """MEM-7."""
    for address, account in every_account(scan):
        if account.status in (Status.ACTIVE, Status.SUSPENDED):
            for row in account.keys:
                if not _live(scan, row.key):
                    yield f"{address.hex()} may sign with the revoked key {row.key.hex()}"


INVARIANTS: Final = (
    Invariant(
        name="MEM-1",
        en="The keys of an active or suspended account reach its threshold.",
        th="กุญแจของบัญชีที่ใช้งานหรือถูกระงับมีน้ำหนักถึงเกณฑ์",
        check=able,
    ),
    Invariant(
        name="MEM-2",
        en="A key belongs to one account for ever.",
        th="กุญแจหนึ่งเป็นของบัญชีเดียวตลอดไป",
        check=one_owner,
    ),
    Invariant(
        name="MEM-3",
        en="Who may not act has nothing to act with, and the ledger says why.",
        th="บัญชีที่ไม่มีสิทธิ์ทำรายการไม่มีสิ่งใดให้ใช้ทำรายการ และมีเหตุผลบันทึกไว้",
        check=at_rest,
    ),
    Invariant(
        name="MEM-4",
        en="The counted members are those that there are.",
        th="จำนวนสมาชิกที่นับไว้ตรงกับจำนวนจริง",
        check=counted,
    ),
    Invariant(
        name="MEM-5",
        en="Every member was let in by a sponsor or by a vote.",
        th="สมาชิกทุกรายเข้ามาด้วยผู้รับรองหรือมติ",
        check=vouched,
    ),
    Invariant(
        name="MEM-6",
        en="Protected roles come from votes alone, and every role held was given.",
        th="บทบาทที่สงวนไว้มาจากมติเท่านั้น และทุกบทบาทที่ถือมีผู้มอบ",
        check=protected,
    ),
    Invariant(
        name="MEM-7",
        en="No account signs with a key that was revoked.",
        th="ไม่มีบัญชีใดลงนามด้วยกุญแจที่เพิกถอนแล้ว",
        check=revoked,
    ),
)
