"""Writing accounts: whoever changes one does it here, so that counts hold (MEM-4) and other modules hear of it."""

from cccnode.city.members.errors import PK_USED, WEAK_KEY
from cccnode.city.members.state import (
    Account,
    KeyRecord,
    Status,
    add_past_key,
    count_active,
    read_account,
    read_key,
    write_account,
    write_key,
)
from cccnode.crypto.verifying import SMALL_ORDER
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import TX_UNKNOWN_ACCOUNT, fault

CHANGED = "members/changed"
"""Hook: (address, the account before or None, the account after), when status, kind, pillar or personhood changed."""


def known(state: Reader, address: bytes) -> Account:
    """An account that must exist.

    Raises:
        Fault: tx/UNKNOWN_ACCOUNT.
    """
    account = read_account(state, address)
    if account is None:
        raise fault(TX_UNKNOWN_ACCOUNT, account=address)
    return account


def found_account(state: Overlay, address: bytes, account: Account) -> None:
    """Write a new account and the records of its keys; in genesis nobody listens."""
    write_account(state, address, account)
    _count(state, account, 1)
    for row in account.keys:
        write_key(state, row.key, KeyRecord(address, account.since_ms, None))


def open_account(context: Context, address: bytes, account: Account) -> None:
    """Write a new account and the records of its keys."""
    found_account(context.state, address, account)
    context.call(CHANGED, address, None, account)


def change_account(context: Context, address: bytes, before: Account, after: Account) -> None:
    """Write a changed account; its keys have their records already."""
    write_account(context.state, address, after)
    if _standing(before) != _standing(after):
        _count(context.state, before, -1)
        _count(context.state, after, 1)
        context.call(CHANGED, address, before, after)


def revoke_key(context: Context, address: bytes, key: bytes) -> None:
    """Keep for ever that a key of an account may not sign any more."""
    record = read_key(context.state, key)
    assert record is not None, "every current key has its record"
    write_key(context.state, key, KeyRecord(record.account, record.since_ms, context.time_ms))
    add_past_key(context.state, address, key)


def check_new_key(state: Reader, key: bytes) -> None:
    """Refuse a key that was ever used, or that anybody could sign with.

    Raises:
        Fault: members/PK_USED or members/WEAK_KEY.
    """
    if read_key(state, key) is not None:
        raise fault(PK_USED, key=key)
    if key in SMALL_ORDER:
        raise fault(WEAK_KEY, key=key)


def _standing(account: Account) -> tuple[int, int, int, int]:
    """What others count members by."""
    return account.status, account.kind, account.pillar, account.personhood


def _count(state: Overlay, account: Account, more: int) -> None:
    if account.status is Status.ACTIVE:
        count_active(state, account.kind, account.pillar, more)
