"""Who pays less: vouched members on a free daily quota, and accounts whose organisation has put fees aside (README)."""

from msgspec.structs import replace

from cccnode.city.bank.errors import INSUFFICIENT, NO_RESOURCES, NOT_ORGANISATION, PER_DAY, ZERO_AMOUNT
from cccnode.city.bank.messages import ResourceFund, ResourceWithdraw
from cccnode.city.bank.rules import move
from cccnode.city.bank.state import (
    PREPAID,
    Params,
    Quota,
    Resource,
    read_params,
    read_quota,
    read_resource,
    write_quota,
    write_resource,
)
from cccnode.city.members.state import Kind, Personhood, read_account
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import fault
from cccnode.types.units import DAY_MS


def fund(context: Context, message: ResourceFund) -> None:
    """Put an amount aside for the fees of an organisation's accounts; what is left of another fee asset comes back."""
    state, name, params = context.state, _acting(context), read_params(context.state)
    if params.resource_per_day == 0:
        raise fault(NO_RESOURCES)
    if message.per_day > params.resource_per_day:
        raise fault(PER_DAY, per_day=message.per_day, limit=params.resource_per_day)
    before = _resource(state, name, params.fee_asset)
    if before.asset != params.fee_asset:
        move(state, source=PREPAID, target=context.account, asset=before.asset, amount=before.left)
        before = replace(before, asset=params.fee_asset, left=0)
    move(state, source=context.account, target=PREPAID, asset=params.fee_asset, amount=message.amount)
    after: Resource = replace(before, left=before.left + message.amount, per_day=message.per_day)
    write_resource(state, name, after)
    context.emit("bank", "resource", name, context.account, after.left, after.per_day)


def withdraw(context: Context, message: ResourceWithdraw) -> None:
    """Take back from what is put aside; always possible."""
    name = _acting(context)
    before = _resource(context.state, name, read_params(context.state).fee_asset)
    if message.amount == 0:
        raise fault(ZERO_AMOUNT)
    if message.amount > before.left:
        raise fault(INSUFFICIENT, owned=before.left, needed=message.amount, asset=before.asset)
    move(context.state, source=PREPAID, target=context.account, asset=before.asset, amount=message.amount)
    after: Resource = replace(before, left=before.left - message.amount)
    write_resource(context.state, name, after)
    context.emit("bank", "resource", name, context.account, after.left, after.per_day)


def _resource(state: Reader, name: str, asset: str) -> Resource:
    return read_resource(state, name) or Resource(asset, 0, 0, 0, 0, 0, 0)


def _acting(context: Context) -> str:
    """The organisation whose account acts."""
    account = read_account(context.state, context.account)
    if account is None or account.kind is not Kind.ORGANISATION or account.organisation is None:
        raise fault(NOT_ORGANISATION, account=context.account)
    return account.organisation


def free_left(state: Reader, params: Params, account: bytes, now_ms: int) -> int:
    """Transactions for which an account pays no base fee any more today."""
    if params.free_per_day == 0:
        return 0
    record = read_account(state, account)
    if record is None or record.kind is not Kind.PERSON or record.personhood is Personhood.NONE:
        return 0
    quota = read_quota(state, account)
    used = quota.used if quota is not None and quota.day == now_ms // DAY_MS else 0
    return max(0, params.free_per_day - used)


def use_free(state: Overlay, account: bytes, now_ms: int) -> None:
    """Count a transaction of the quota."""
    day, quota = now_ms // DAY_MS, read_quota(state, account)
    used = quota.used if quota is not None and quota.day == day else 0
    write_quota(state, account, Quota(day, used + 1))


def resource_of(state: Reader, params: Params, account: bytes, fee: int, now_ms: int) -> tuple[str, Resource] | None:
    """The resource account that pays a fee for an account today, with today's count, or None."""
    if params.resource_per_day == 0:
        return None
    record = read_account(state, account)
    name = None if record is None else record.organisation
    found = None if name is None else read_resource(state, name)
    if name is None or found is None:
        return None
    day = now_ms // DAY_MS
    if found.day != day:
        found = replace(found, day=day, used=0)
    enough = found.asset == params.fee_asset and found.left >= fee
    return (name, found) if enough and found.used < min(found.per_day, params.resource_per_day) else None


def use_resource(state: Overlay, name: str, resource: Resource, fee: int) -> None:
    """Count what a resource account pays; the ledger takes it out of `m:prepaid`."""
    after: Resource = replace(
        resource,
        left=resource.left - fee,
        used=resource.used + 1,
        transactions=resource.transactions + 1,
        fees=resource.fees + fee,
    )
    write_resource(state, name, after)
