"""How people come and go: vouched for, admitted, removed, leaving (modules.md 3.1)."""

from typing import Final

from msgspec.structs import replace

from cccnode.city.members.accounts import change_account, known, revoke_key
from cccnode.city.members.errors import AGE, KIND, OBLIGATION, QUOTA, STATE
from cccnode.city.members.messages import MemAdmit, MemLeave, MemRemove, MemSponsor
from cccnode.city.members.policies import ADMIT, require
from cccnode.city.members.roles import drop
from cccnode.city.members.state import (
    QUOTA_MS,
    Account,
    Kind,
    Origin,
    Personhood,
    Sponsored,
    Status,
    drop_application,
    read_origin,
    read_params,
    read_sponsored,
    requests,
    write_origin,
    write_recovery,
    write_request,
    write_sponsored,
    write_suspension,
)
from cccnode.ledger.module import PROPOSAL, Context
from cccnode.types.errors import fault

LEAVING: Final = "members/leaving"
"""Hook: (address) before a member leaves; who has an open obligation of his on record refuses: members/OBLIGATION."""


def sponsor(context: Context, message: MemSponsor) -> None:
    """Let in whom a member or an organisation vouches for."""
    state, now = context.state, context.time_ms
    applicant = _pending(context, message.account)
    acting = known(state, context.account)
    if acting.kind not in (Kind.PERSON, Kind.ORGANISATION):
        raise fault(KIND, account=context.account, kind=acting.kind.name.lower())
    params = read_params(state)
    origin = read_origin(state, context.account)
    member_since = acting.since_ms if origin is None else origin.active_ms
    if acting.kind is Kind.PERSON and now < member_since + params.sponsor_age_ms:
        raise fault(AGE, since_ms=member_since, needed_ms=params.sponsor_age_ms)
    used = read_sponsored(state, context.account)
    recent = tuple(time_ms for time_ms in used.times if time_ms > now - QUOTA_MS)
    if now < used.barred_until_ms or len(recent) >= params.sponsor_quota:
        raise fault(QUOTA, used=len(recent), limit=params.sponsor_quota, barred_until_ms=used.barred_until_ms)
    require(context, ADMIT, message.account)
    write_sponsored(state, context.account, Sponsored((*recent, now), used.barred_until_ms))
    seen = Personhood.SEEN if acting.kind is Kind.ORGANISATION else Personhood.VOUCHED
    _activate(context, message.account, applicant, seen, Origin(context.account, 0, now))


def check_admit(context: Context, message: MemAdmit) -> None:
    """Somebody waits for admission, or is suspended."""
    account = known(context.state, message.account)
    if account.status not in (Status.PENDING, Status.SUSPENDED):
        raise fault(STATE, account=message.account, status=account.status.name.lower())


def admit(context: Context, message: MemAdmit) -> None:
    """Let in, or back, whom the city voted for."""
    check_admit(context, message)
    account = known(context.state, message.account)
    if account.status is Status.SUSPENDED:
        write_suspension(context.state, message.account, None)
        reinstate(context, message.account, account)
        return
    origin = Origin(None, context.counters.get(PROPOSAL, 0), context.time_ms)
    _activate(context, message.account, account, Personhood.VOUCHED, origin)


def reinstate(context: Context, address: bytes, account: Account) -> None:
    """Let a suspended account act again."""
    change_account(context, address, account, replace(account, status=Status.ACTIVE))
    context.emit("members", "reinstated", address)


def _pending(context: Context, address: bytes) -> Account:
    account = known(context.state, address)
    if account.status is not Status.PENDING:
        raise fault(STATE, account=address, status=account.status.name.lower())
    if context.time_ms >= account.since_ms + read_params(context.state).apply_ttl_ms:
        raise fault(STATE, account=address, status="expired")
    return account


def _activate(context: Context, address: bytes, before: Account, seen: Personhood, origin: Origin) -> None:
    write_origin(context.state, address, origin)
    drop_application(context.state, address)
    change_account(context, address, before, replace(before, status=Status.ACTIVE, personhood=seen))
    context.emit("members", "activated", address, origin.sponsor, origin.decision)


def check_remove(context: Context, message: MemRemove) -> None:
    """A member that is no organisation: those are put out by a proposal of their own kind."""
    account = known(context.state, message.account)
    if account.kind is Kind.ORGANISATION:
        raise fault(KIND, account=message.account, kind="organisation")
    if account.status not in (Status.ACTIVE, Status.SUSPENDED):
        raise fault(STATE, account=message.account, status=account.status.name.lower())


def remove(context: Context, message: MemRemove) -> None:
    """Put a member out; who vouched for it vouches for nobody for a while."""
    check_remove(context, message)
    _end(context, message.account, Status.REMOVED)
    origin = read_origin(context.state, message.account)
    if origin is not None and origin.sponsor is not None:
        used = read_sponsored(context.state, origin.sponsor)
        until = context.time_ms + read_params(context.state).sponsor_bar_ms
        write_sponsored(context.state, origin.sponsor, Sponsored(used.times, max(until, used.barred_until_ms)))
    context.emit("members", "removed", message.account)


def leave(context: Context, message: MemLeave) -> None:
    """Leave for good, when nothing is owed; organisations leave through the registry."""
    account = known(context.state, context.account)
    if account.kind is Kind.ORGANISATION:
        raise fault(OBLIGATION, account=context.account, of="registry")
    context.call(LEAVING, context.account)
    _end(context, context.account, Status.LEFT)
    context.emit("members", "left", context.account)


def _end(context: Context, address: bytes, status: Status) -> None:
    """No keys, no roles, nothing that waits."""
    state = context.state
    for role in known(state, address).roles:
        drop(state, address, role)
    account = known(state, address)
    for row in account.keys:
        revoke_key(context, address, row.key)
    write_recovery(state, address, None)
    write_suspension(state, address, None)
    for guardian in requests(state, address):
        write_request(state, address, guardian, None)
    change_account(context, address, account, replace(account, status=status))
