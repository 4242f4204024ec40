"""Roles: what they permit, who gives and takes them (modules.md 3.1).

To hold a role is not enough to give it on: that is a permission of its own, `grant:<role>`.  A protected role changes
hands by the city's vote alone (MEM-6).
"""

from msgspec.structs import replace

from cccnode.city.members.accounts import known
from cccnode.city.members.errors import (
    NOT_PERMITTED,
    PROTECTED,
    ROLE_HELD,
    ROLE_NOT_HELD,
    STATE,
    TOO_MANY_ROLES,
    UNKNOWN_ROLE,
)
from cccnode.city.members.messages import ROLES_MAX, CharterSet, RoleDefine, RoleGrant, RoleRevoke, RoleSet
from cccnode.city.members.policies import require, role_subject
from cccnode.city.members.state import (
    Account,
    Holding,
    Params,
    RoleRecord,
    Status,
    permitted,
    read_account,
    read_holding,
    read_params,
    read_role,
    role_holders,
    write_account,
    write_charter,
    write_holding,
    write_role,
)
from cccnode.ledger.module import PROPOSAL, Context
from cccnode.ledger.parameters import write_parameters
from cccnode.ledger.state import Overlay
from cccnode.types.errors import fault


def hold(state: Overlay, address: bytes, role: str, holding: Holding) -> None:
    """Let an account hold a role."""
    account = known(state, address)
    changed: Account = replace(account, roles=tuple(sorted((*account.roles, role))))
    write_account(state, address, changed)
    write_holding(state, role, address, holding)


def drop(state: Overlay, address: bytes, role: str) -> None:
    """Let an account hold a role no more."""
    account = known(state, address)
    changed: Account = replace(account, roles=tuple(name for name in account.roles if name != role))
    write_account(state, address, changed)
    write_holding(state, role, address, None)


def grant(context: Context, message: RoleGrant) -> None:
    """Give a role that is not protected."""
    _check_role(context, message.role)
    _check_permission(context, message.role)
    _check_receiver(context, message.account, message.role)
    require(context, role_subject(message.role), message.account)
    hold(context.state, message.account, message.role, Holding(context.account, 0))
    context.emit("members", "role", message.account, message.role, True)


def revoke(context: Context, message: RoleRevoke) -> None:
    """Take a role that is not protected, or lay it down."""
    _check_role(context, message.role)
    if message.account != context.account:
        _check_permission(context, message.role)
    _check_holder(context, message.account, message.role)
    drop(context.state, message.account, message.role)
    context.emit("members", "role", message.account, message.role, False)


def check_set(context: Context, message: RoleSet) -> None:
    """The role exists, and the account can get it or has it."""
    _existing(context, message.role)
    if message.held:
        _check_receiver(context, message.account, message.role)
    else:
        _check_holder(context, message.account, message.role)


def set_role(context: Context, message: RoleSet) -> None:
    """Give or take a role as the city decided."""
    check_set(context, message)
    if message.held:
        number = context.counters.get(PROPOSAL, 0)
        hold(context.state, message.account, message.role, Holding(None, number))
    else:
        drop(context.state, message.account, message.role)
    context.emit("members", "role", message.account, message.role, message.held)


def define(context: Context, message: RoleDefine) -> None:
    """Say what a role permits; who holds it keeps it, from now on by this decision where it is protected."""
    state = context.state
    write_role(state, message.role, RoleRecord(tuple(sorted(set(message.permissions))), message.protected))
    if message.protected:
        for holder in role_holders(state, message.role):
            found = read_holding(state, message.role, holder)
            if found is not None and found.by is not None:
                write_holding(state, message.role, holder, Holding(None, context.counters.get(PROPOSAL, 0)))
    context.emit("members", "role_defined", message.role, message.protected)


def set_charter(context: Context, message: CharterSet) -> None:
    """Another charter; who is a member stays one."""
    params = read_params(context.state)
    version = params.charter_version + 1
    changed: Params = replace(params, charter_version=version)
    write_parameters(context.state, "members", changed)
    write_charter(context.state, version, message.text)
    context.emit("members", "charter", version, message.text)


def _existing(context: Context, role: str) -> RoleRecord:
    record = read_role(context.state, role)
    if record is None:
        raise fault(UNKNOWN_ROLE, role=role)
    return record


def _check_role(context: Context, role: str) -> None:
    if _existing(context, role).protected:
        raise fault(PROTECTED, role=role)


def _check_permission(context: Context, role: str) -> None:
    permission = f"grant:{role}"
    if not permitted(context.state, context.account, permission):
        raise fault(NOT_PERMITTED, account=context.account, permission=permission)


def _check_receiver(context: Context, address: bytes, role: str) -> None:
    account = known(context.state, address)
    if account.status is not Status.ACTIVE:
        raise fault(STATE, account=address, status=account.status.name.lower())
    if role in account.roles:
        raise fault(ROLE_HELD, account=address, role=role)
    if len(account.roles) >= ROLES_MAX:
        raise fault(TOO_MANY_ROLES, account=address, limit=ROLES_MAX)


def _check_holder(context: Context, address: bytes, role: str) -> None:
    account = read_account(context.state, address)
    if account is None or role not in account.roles:
        raise fault(ROLE_NOT_HELD, account=address, role=role)
