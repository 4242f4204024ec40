"""Fee grants: a sponsor pays another account's fees, within a budget, a time and a list of messages (BNK-5)."""

from typing import Any, Final

from msgspec.structs import replace

from cccnode.city.bank.errors import (
    GRANT_EXISTS,
    GRANT_EXPIRED,
    GRANT_EXPIRY,
    GRANT_MESSAGE,
    GRANT_PERIOD,
    GRANT_SELF,
    GRANT_SPENT,
    NO_GRANT,
    UNKNOWN_ACCOUNT,
    UNKNOWN_MESSAGE_NAME,
    ZERO_AMOUNT,
)
from cccnode.city.bank.messages import FeeGrant, FeeRevoke
from cccnode.city.bank.state import Grant, read_grant, write_grant
from cccnode.city.members.state import account_exists
from cccnode.ledger.deadlines import schedule, take_due
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import Fault, fault
from cccnode.types.transaction import Transaction
from cccnode.types.units import YEAR_MS

QUEUE: Final = "bank"
"""Wakes when a grant ends: its entry is granter and grantee."""
_ACCOUNT_BYTES: Final = 20


def give(context: Context, message: FeeGrant) -> None:
    """Pay somebody's fees from now on."""
    state, granter, grantee = context.state, context.account, message.grantee
    if grantee == granter:
        raise fault(GRANT_SELF, grantee=grantee)
    if grantee in context.module_accounts or not account_exists(state, grantee):
        raise fault(UNKNOWN_ACCOUNT, to=grantee)
    if message.budget == 0:
        raise fault(ZERO_AMOUNT)
    if not context.time_ms < message.expires_ms <= context.time_ms + YEAR_MS:
        raise fault(GRANT_EXPIRY, expires_ms=message.expires_ms, latest_ms=context.time_ms + YEAR_MS)
    if (message.per == 0) != (message.period_ms == 0) or message.per > message.budget:
        raise fault(GRANT_PERIOD, per=message.per, period_ms=message.period_ms, budget=message.budget)
    _check_names(context, message.messages)
    before = read_grant(state, granter, grantee)
    if before is not None and before.expires_ms > context.time_ms:
        raise fault(GRANT_EXISTS, grantee=grantee, expires_ms=before.expires_ms)
    grant = Grant(
        left=message.budget,
        per=message.per,
        period_ms=message.period_ms,
        period_start_ms=context.time_ms,
        used=0,
        expires_ms=message.expires_ms,
        budget=message.budget,
        spent=0,
        used_ms=0,
        messages=tuple(sorted(set(message.messages))),
    )
    write_grant(state, granter, grantee, grant)
    schedule(state, QUEUE, message.expires_ms, granter + grantee)
    context.emit("bank", "grant", granter, grantee, message.budget, message.expires_ms)


def _check_names(context: Context, names: tuple[str, ...]) -> None:
    assert context.city is not None, "grants name messages of the registry"
    known = {kind.__name__ for kind in context.city.rows}
    for name in names:
        if name not in known:
            raise fault(UNKNOWN_MESSAGE_NAME, message=name)


def revoke(context: Context, message: FeeRevoke) -> None:
    """Pay somebody's fees no more."""
    if read_grant(context.state, context.account, message.grantee) is None:
        raise fault(NO_GRANT, granter=context.account, grantee=message.grantee)
    write_grant(context.state, context.account, message.grantee, None)
    context.emit("bank", "grant_ended", context.account, message.grantee)


def grant_refusal(
    state: Reader, transaction: Transaction[Any], granter: bytes, needed: int, now_ms: int
) -> Fault | None:
    """Why a grant does not pay `needed` base units for a transaction, or None."""
    grantee = transaction.account
    grant = read_grant(state, granter, grantee)
    if grant is None:
        return fault(NO_GRANT, granter=granter, grantee=grantee)
    if now_ms >= grant.expires_ms:
        return fault(GRANT_EXPIRED, granter=granter, expires_ms=grant.expires_ms)
    for message in transaction.messages:
        if type(message).__name__ not in grant.messages:
            return fault(GRANT_MESSAGE, granter=granter, message=type(message).__name__)
    left = room(grant, now_ms)
    if left < needed:
        return fault(GRANT_SPENT, granter=granter, left=left, needed=needed)
    return None


def room(grant: Grant, now_ms: int) -> int:
    """What a grant still pays now."""
    if not grant.per:
        return grant.left
    return min(grant.left, grant.per - _in_period(grant, now_ms).used)


def _in_period(grant: Grant, now_ms: int) -> Grant:
    """The grant with the period of now begun: periods follow each other from the grant's first moment on."""
    if not grant.per or now_ms < grant.period_start_ms + grant.period_ms:
        return grant
    start = now_ms - (now_ms - grant.period_start_ms) % grant.period_ms
    begun: Grant = replace(grant, period_start_ms=start, used=0)
    return begun


def use_grant(state: Overlay, granter: bytes, grantee: bytes, fee: int, now_ms: int) -> None:
    """Take a fee off a grant that has room for it."""
    grant = read_grant(state, granter, grantee)
    assert grant is not None, "its room was checked"
    begun = _in_period(grant, now_ms)
    after: Grant = replace(begun, left=begun.left - fee, used=begun.used + fee, spent=begun.spent + fee, used_ms=now_ms)
    write_grant(state, granter, grantee, after)


def end_grants(context: Context) -> None:
    """Forget grants whose time is over."""
    for due_ms, entry in take_due(context.state, QUEUE, context.time_ms):
        granter, grantee = entry[:_ACCOUNT_BYTES], entry[_ACCOUNT_BYTES:]
        grant = read_grant(context.state, granter, grantee)
        if grant is not None and grant.expires_ms == due_ms:
            write_grant(context.state, granter, grantee, None)
            context.emit("bank", "grant_ended", granter, grantee)
