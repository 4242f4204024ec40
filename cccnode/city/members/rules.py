"""What applications and key rotations do (modules.md 3.1)."""

from cccnode.city.members.errors import CHARTER, LOCKOUT, NOT_A_KEY, PK_USED, POP, RATE, TOO_MANY_KEYS, WEAK_KEY
from cccnode.city.members.messages import KEYS_MAX, MemApply, MemRotateKeys, WeightedKey
from cccnode.city.members.state import (
    Account,
    KeyRecord,
    Kind,
    Pillar,
    Status,
    read_account,
    read_key,
    read_params,
    write_account,
    write_key,
)
from cccnode.crypto.verifying import SMALL_ORDER
from cccnode.ledger.module import APPLICATIONS, Context
from cccnode.ledger.state import Overlay
from cccnode.types.errors import TX_UNKNOWN_ACCOUNT, fault
from cccnode.types.transaction import account_id


def apply(context: Context, message: MemApply) -> None:
    """Open a pending account for the applicant."""
    params = read_params(context.state)
    if context.account != account_id(message.key):
        raise fault(POP, account=context.account, key=message.key)
    if message.charter_version != params.charter_version:
        raise fault(CHARTER, given=message.charter_version, current=params.charter_version)
    _check_unused(context.state, message.key)
    seen = context.counters.get(APPLICATIONS, 0)
    if seen >= params.apply_per_block:
        raise fault(RATE, limit=params.apply_per_block)
    context.counters[APPLICATIONS] = seen + 1
    account = Account(
        kind=Kind.PERSON,
        pillar=Pillar.CITIZENS,
        status=Status.PENDING,
        threshold=1,
        keys=(WeightedKey(message.key, 1),),
        enc_key=message.enc_key,
        organisation=None,
        since_ms=context.time_ms,
    )
    open_account(context.state, context.account, account)
    context.emit("members", "applied", context.account)


def rotate_keys(context: Context, message: MemRotateKeys) -> None:
    """Replace keys, threshold and encryption key; authority by the current threshold was settled before."""
    account = read_account(context.state, context.account)
    if account is None:
        raise fault(TX_UNKNOWN_ACCOUNT, account=context.account)
    keys = _rotated(account.keys, message)
    for row in message.add:
        _check_unused(context.state, row.key)
        if row.key in SMALL_ORDER:
            raise fault(WEAK_KEY, key=row.key)
    if len(keys) > KEYS_MAX:
        raise fault(TOO_MANY_KEYS, keys=len(keys), limit=KEYS_MAX)
    weight = sum(row.weight for row in keys)
    if not 1 <= message.threshold <= weight:
        raise fault(LOCKOUT, weight=weight, threshold=message.threshold)

    for key in message.revoke:
        record = read_key(context.state, key)
        assert record is not None, "every current key has its record"
        write_key(context.state, key, KeyRecord(record.account, record.since_ms, context.time_ms))
    for row in message.add:
        write_key(context.state, row.key, KeyRecord(context.account, context.time_ms, None))
    changed = Account(
        kind=account.kind,
        pillar=account.pillar,
        status=account.status,
        threshold=message.threshold,
        keys=keys,
        enc_key=account.enc_key if message.enc_key is None else message.enc_key,
        organisation=account.organisation,
        since_ms=account.since_ms,
    )
    write_account(context.state, context.account, changed)
    context.emit("members", "rotated", context.account, len(message.add), len(message.revoke), message.threshold)


def _rotated(keys: tuple[WeightedKey, ...], message: MemRotateKeys) -> tuple[WeightedKey, ...]:
    """The keys after the change, sorted by key."""
    rows = {row.key: row for row in keys}
    for key in message.revoke:
        if rows.pop(key, None) is None:
            raise fault(NOT_A_KEY, key=key)
    current = {row.key for row in keys}
    for row in message.add:
        if row.key in rows or row.key in current:
            raise fault(PK_USED, key=row.key)
        rows[row.key] = row
    return tuple(rows[key] for key in sorted(rows))


def _check_unused(state: Overlay, key: bytes) -> None:
    if read_key(state, key) is not None:
        raise fault(PK_USED, key=key)


def open_account(state: Overlay, address: bytes, account: Account) -> None:
    """Write a new account and the records of its keys: from an application or from genesis."""
    write_account(state, address, account)
    for row in account.keys:
        write_key(state, row.key, KeyRecord(address, account.since_ms, None))
