"""Guardians give an account new keys when its own are lost; its owner has time to object (modules.md 3.1)."""

from msgspec.structs import replace

from cccnode.city.members.accounts import change_account, check_new_key, known, revoke_key
from cccnode.city.members.errors import (
    GUARDIANS,
    LOCKOUT,
    NO_RECOVERY,
    NOT_GUARDIAN,
    PK_USED,
    RECOVERY_PENDING,
    STATE,
)
from cccnode.city.members.messages import MemRecoverCancel, MemRecoverStart, MemSetGuardians
from cccnode.city.members.queue import RECOVER, wake
from cccnode.city.members.state import (
    Account,
    Guardians,
    KeyRecord,
    Recovery,
    Request,
    Status,
    is_active,
    read_guardians,
    read_params,
    read_recovery,
    requests,
    write_guardians,
    write_key,
    write_recovery,
    write_request,
)
from cccnode.ledger.module import Context
from cccnode.types.errors import Fault, fault


def set_guardians(context: Context, message: MemSetGuardians) -> None:
    """Name guardians, or nobody; whoever can do that has his keys, so what they asked for ends."""
    accounts, threshold = message.accounts, message.threshold
    fit = all(is_active(context.state, account) and account != context.account for account in accounts)
    enough = 1 <= threshold <= len(accounts) if accounts else threshold == 0
    if not fit or not enough or len(set(accounts)) < len(accounts):
        raise fault(GUARDIANS, accounts=len(accounts), threshold=threshold)
    _forget(context, context.account)
    record = Guardians(tuple(sorted(accounts)), threshold) if accounts else None
    write_guardians(context.state, context.account, record)
    context.emit("members", "guardians", context.account, len(accounts), threshold)


def start(context: Context, message: MemRecoverStart) -> None:
    """Ask for new keys; when enough guardians ask for the same, the owner's time to object begins."""
    state, address = context.state, message.account
    guardians = read_guardians(state, address)
    if guardians is None or context.account not in guardians.accounts:
        raise fault(NOT_GUARDIAN, account=address, guardian=context.account)
    account = known(state, address)
    if account.status not in (Status.ACTIVE, Status.SUSPENDED):
        raise fault(STATE, account=address, status=account.status.name.lower())
    if (pending := read_recovery(state, address)) is not None:
        raise fault(RECOVERY_PENDING, account=address, due_ms=pending.due_ms)
    request = _checked(context, message)
    write_request(state, address, context.account, request)
    context.emit("members", "recovery_asked", address, context.account)
    agreeing = sum(
        row == request for guardian, row in requests(state, address).items() if guardian in guardians.accounts
    )
    if agreeing >= guardians.threshold:
        due = context.time_ms + read_params(state).recovery_delay_ms
        _forget(context, address)
        write_recovery(state, address, Recovery(request, due))
        wake(state, due, RECOVER, address)
        context.emit("members", "recovery_started", address, due)


def _checked(context: Context, message: MemRecoverStart) -> Request:
    keys = tuple(sorted(message.keys, key=lambda row: row.key))
    if len({row.key for row in keys}) < len(keys):
        raise fault(PK_USED, key=keys[0].key)
    for row in keys:
        check_new_key(context.state, row.key)
    weight = sum(row.weight for row in keys)
    if not 1 <= message.threshold <= weight:
        raise fault(LOCKOUT, weight=weight, threshold=message.threshold)
    return Request(keys, message.threshold, message.enc_key)


def cancel(context: Context, message: MemRecoverCancel) -> None:
    """Object."""
    if read_recovery(context.state, context.account) is None and not requests(context.state, context.account):
        raise fault(NO_RECOVERY, account=context.account)
    _forget(context, context.account)
    context.emit("members", "recovery_cancelled", context.account)


def _forget(context: Context, address: bytes) -> None:
    write_recovery(context.state, address, None)
    for guardian in requests(context.state, address):
        write_request(context.state, address, guardian, None)


def finish(context: Context, address: bytes, due_ms: int) -> None:
    """Give the account its new keys; one that somebody else began to use meanwhile ends the recovery."""
    state, recovery = context.state, read_recovery(context.state, address)
    if recovery is None or recovery.due_ms != due_ms:
        return
    write_recovery(state, address, None)
    request = recovery.request
    try:
        for row in request.keys:
            check_new_key(state, row.key)
    except Fault as refused:
        context.emit("members", "recovery_failed", address, refused.spec.name)
        return
    account = known(state, address)
    for row in account.keys:
        revoke_key(context, address, row.key)
    for row in request.keys:
        write_key(state, row.key, KeyRecord(address, context.time_ms, None))
    enc_key = account.enc_key if request.enc_key is None else request.enc_key
    changed: Account = replace(account, keys=request.keys, threshold=request.threshold, enc_key=enc_key)
    change_account(context, address, account, changed)
    context.emit("members", "recovered", address)
