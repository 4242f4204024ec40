"""What applications and key rotations do (modules.md 3.1)."""

from msgspec.structs import replace

from cccnode.city.members.accounts import change_account, check_new_key, known, open_account, revoke_key
from cccnode.city.members.errors import CHARTER, LOCKOUT, NOT_A_KEY, PK_USED, POP, RATE, TOO_MANY_KEYS
from cccnode.city.members.messages import KEYS_MAX, MemApply, MemRotateKeys, WeightedKey
from cccnode.city.members.policies import ROTATE, lapse, require
from cccnode.city.members.queue import APPLICATION, APPROVAL, QUEUE, RECOVER, SUSPENSION, wake
from cccnode.city.members.recovery import finish
from cccnode.city.members.state import (
    Account,
    KeyRecord,
    Kind,
    Pillar,
    Status,
    add_application,
    drop_application,
    read_account,
    read_key,
    read_params,
    write_account,
    write_key,
)
from cccnode.city.members.suspending import end
from cccnode.ledger.deadlines import take_due
from cccnode.ledger.module import APPLICATIONS, Context
from cccnode.types.errors import fault
from cccnode.types.transaction import account_id


def apply(context: Context, message: MemApply) -> None:
    """Open a pending account for the applicant."""
    params = read_params(context.state)
    if context.account != account_id(message.key):
        raise fault(POP, account=context.account, key=message.key)
    if message.charter_version != params.charter_version:
        raise fault(CHARTER, given=message.charter_version, current=params.charter_version)
    before = read_account(context.state, context.account)
    if before is None or before.status is not Status.LEFT or not _still_its_own(context, message.key):
        check_new_key(context.state, message.key)
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
    if before is None:
        open_account(context, context.account, account)
    else:
        change_account(context, context.account, before, account)
    add_application(context.state, context.account)
    wake(context.state, context.time_ms + params.apply_ttl_ms, APPLICATION, context.account)
    context.emit("members", "applied", context.account)


def _still_its_own(context: Context, key: bytes) -> bool:
    """Whether a key is that of an application that nobody answered: then its owner may apply again."""
    record = read_key(context.state, key)
    return record is not None and record.account == context.account and record.revoked_ms is None


def end_block(context: Context) -> None:
    """What is due: applications, recoveries, suspensions."""
    for due_ms, entry in take_due(context.state, QUEUE, context.time_ms):
        what, address = entry[:1], entry[1:]
        if what == RECOVER:
            finish(context, address, due_ms)
        elif what == SUSPENSION:
            end(context, address, due_ms)
        elif what == APPROVAL:
            lapse(context, address, due_ms)
        else:
            _expire(context, address)


def _expire(context: Context, address: bytes) -> None:
    """End an application that nobody answered in time; its owner may apply again with the same key."""
    account = read_account(context.state, address)
    params = read_params(context.state)
    if account is None or account.status is not Status.PENDING:
        return
    due = account.since_ms + params.apply_ttl_ms
    if context.time_ms < due:
        wake(context.state, due, APPLICATION, address)
        return
    drop_application(context.state, address)
    change_account(context, address, account, replace(account, status=Status.LEFT))
    context.emit("members", "application_expired", address)


def rotate_keys(context: Context, message: MemRotateKeys) -> None:
    """Replace keys, threshold and encryption key; authority by the current threshold was settled before."""
    account = known(context.state, context.account)
    keys = _rotated(account.keys, message)
    for row in message.add:
        check_new_key(context.state, row.key)
    if len(keys) > KEYS_MAX:
        raise fault(TOO_MANY_KEYS, keys=len(keys), limit=KEYS_MAX)
    require(context, ROTATE, context.account)
    weight = sum(row.weight for row in keys)
    if not 1 <= message.threshold <= weight:
        raise fault(LOCKOUT, weight=weight, threshold=message.threshold)

    for key in message.revoke:
        revoke_key(context, context.account, key)
    for row in message.add:
        write_key(context.state, row.key, KeyRecord(context.account, context.time_ms, None))
    enc_key = account.enc_key if message.enc_key is None else message.enc_key
    changed: Account = replace(account, threshold=message.threshold, keys=keys, enc_key=enc_key)
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
