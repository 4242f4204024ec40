"""Suspension: by two of the council, of different pillars; it ends by itself unless the city confirms it."""

from typing import Final

from msgspec.structs import replace

from cccnode.city.members.accounts import change_account, known
from cccnode.city.members.errors import NOT_COUNCIL, NOT_SUSPENDED, SAME_PILLAR, STATE, UNTIL
from cccnode.city.members.joining import reinstate
from cccnode.city.members.messages import MemAppeal, MemKeepSuspended, MemSuspend
from cccnode.city.members.queue import SUSPENSION, wake
from cccnode.city.members.state import (
    Account,
    Pillar,
    Status,
    Suspension,
    has_role,
    read_account,
    read_params,
    read_suspension,
    write_suspension,
)
from cccnode.ledger.module import Context
from cccnode.types.errors import fault
from cccnode.types.units import YEAR_MS

COUNCIL: Final = "council"
"""The role of those who may suspend."""
SUSPENDING: Final = "members/suspending"
"""Hook: (address) before an account is suspended; who would lack validators refuses: members/LIVENESS."""


def suspend(context: Context, message: MemSuspend) -> None:
    """Ask for a suspension, or agree to it."""
    state, now = context.state, context.time_ms
    if not has_role(state, context.account, COUNCIL):
        raise fault(NOT_COUNCIL, account=context.account)
    account = known(state, message.account)
    if account.status is not Status.ACTIVE:
        raise fault(STATE, account=message.account, status=account.status.name.lower())
    params, asked = read_params(state), read_suspension(state, message.account)
    if asked is None or now >= asked.until_ms:
        until = now + params.suspend_join_ms
        write_suspension(state, message.account, Suspension(message.reason, context.account, None, now, until))
        wake(state, until, SUSPENSION, message.account)
        context.emit("members", "suspension_asked", message.account, context.account, message.reason)
        return
    if not _apart(context, asked.first):
        raise fault(SAME_PILLAR, first=asked.first, second=context.account)
    context.call(SUSPENDING, message.account)
    until = now + params.suspend_max_ms
    write_suspension(state, message.account, replace(asked, second=context.account, until_ms=until))
    wake(state, until, SUSPENSION, message.account)
    change_account(context, message.account, account, replace(account, status=Status.SUSPENDED))
    context.emit("members", "suspended", message.account, asked.first, context.account, until)


def _apart(context: Context, first: bytes) -> bool:
    """Whether the acting one and the first are still of the council, and of two pillars."""
    mine, other = _pillar(read_account(context.state, context.account)), _pillar(read_account(context.state, first))
    return has_role(context.state, first, COUNCIL) and mine != other and Pillar.NONE not in (mine, other)


def _pillar(account: Account | None) -> Pillar:
    return Pillar.NONE if account is None else account.pillar


def check_keep(context: Context, message: MemKeepSuspended) -> None:
    """Somebody is suspended, and shall be until some time within a year."""
    account = known(context.state, message.account)
    if account.status is not Status.SUSPENDED:
        raise fault(NOT_SUSPENDED, account=message.account)
    if not context.time_ms < message.until_ms <= context.time_ms + YEAR_MS:
        raise fault(UNTIL, until_ms=message.until_ms, latest_ms=context.time_ms + YEAR_MS)


def keep(context: Context, message: MemKeepSuspended) -> None:
    """Let a suspension last, as the city decided."""
    check_keep(context, message)
    suspension = read_suspension(context.state, message.account)
    assert suspension is not None, "who is suspended has a record of it"
    write_suspension(context.state, message.account, replace(suspension, until_ms=message.until_ms))
    wake(context.state, message.until_ms, SUSPENSION, message.account)
    context.emit("members", "suspension_kept", message.account, message.until_ms)


def appeal(context: Context, message: MemAppeal) -> None:
    """Answer; the event tells those who may propose to end it."""
    suspension = read_suspension(context.state, context.account)
    if suspension is None or suspension.second is None:
        raise fault(NOT_SUSPENDED, account=context.account)
    write_suspension(context.state, context.account, replace(suspension, appeal=message.answer))
    context.emit("members", "appealed", context.account, message.answer)


def end(context: Context, address: bytes, due_ms: int) -> None:
    """End a suspension, or a request for one, whose time is over."""
    suspension = read_suspension(context.state, address)
    if suspension is None or suspension.until_ms != due_ms:
        return
    write_suspension(context.state, address, None)
    account = known(context.state, address)
    if account.status is Status.SUSPENDED:
        reinstate(context, address, account)
