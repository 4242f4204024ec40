"""The fee path: from the payers to `m:fees` when a block ends, from there to validators and the treasury (README)."""

from typing import Any

from cccnode.city.bank.relief import free_left, resource_of, use_free, use_resource
from cccnode.city.bank.rules import move
from cccnode.city.bank.sponsors import grant_refusal, use_grant
from cccnode.city.bank.state import (
    FEES,
    PREPAID,
    TREASURY,
    Day,
    balance,
    debit,
    read_day,
    read_params,
    read_schedule,
    set_balance,
    write_day,
)
from cccnode.ledger.fees import FeeSchedule
from cccnode.ledger.module import CHARGED, Context
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import TX_INSUFFICIENT_FEE_BALANCE, Fault, fault
from cccnode.types.transaction import Transaction
from cccnode.types.units import BPS, DAY_MS

VALIDATOR_FEES = "bank/validator_fees"
"""Hook at the close of a block: (asset, amount) of the validators' share, which lies in `m:fees` to be fetched."""


def schedule(state: Reader) -> FeeSchedule:
    """The rates now."""
    return read_schedule(state)


def available(state: Reader, schedule: FeeSchedule, payer: bytes) -> int:
    """What `payer` could pay now, in base units."""
    return balance(state, payer, schedule.asset)


def charge(state: Overlay, schedule: FeeSchedule, payer: bytes, fee: int) -> int:
    """Take `fee` from `payer`, or what is there; return what was taken (J4).

    The ledger holds it until `collect`: one credit a block instead of one a transaction.
    """
    if not fee:
        return 0
    owned = debit(state, payer, schedule.asset, fee)
    if owned >= fee:
        return fee
    if owned:
        set_balance(state, payer, schedule.asset, 0)
    return owned


def settle(
    state: Overlay,
    schedule: FeeSchedule,
    transaction: Transaction[Any],
    due: int,
    now_ms: int,
    *,
    sponsored: bool,
) -> tuple[int, int] | Fault:
    """Take the fee where another account pays or fees are relieved: (what was taken, what was due), or why not."""
    account = transaction.account
    payer = transaction.fee_payer or account
    if payer == account and schedule.relief:
        return _relieved(state, schedule, account, due, now_ms)
    if not sponsored:
        return charge(state, schedule, payer, due), due
    refused = grant_refusal(state, transaction, payer, due, now_ms) or _cannot(state, schedule, payer, due)
    if refused is not None:
        return refused
    use_grant(state, payer, account, due, now_ms)
    return charge(state, schedule, payer, due), due


def _relieved(state: Overlay, schedule: FeeSchedule, account: bytes, due: int, now_ms: int) -> tuple[int, int]:
    """Take what is left of a fee when quota and resource account have done their part."""
    params = read_params(state)
    if free_left(state, params, account, now_ms):
        use_free(state, account, now_ms)
        due -= schedule.base
    elif (found := resource_of(state, params, account, due, now_ms)) is not None:
        use_resource(state, *found, due)
        return charge(state, schedule, PREPAID, due), due
    return charge(state, schedule, account, due), due


def shortfall(
    state: Reader,
    schedule: FeeSchedule,
    transaction: Transaction[Any],
    due: int,
    now_ms: int,
    *,
    sponsored: bool,
    reserved: int,
    ahead: int,
) -> Fault | None:
    """Why `settle` would fail, beside `ahead` waiting transactions with `reserved` base units of fees."""
    payer = transaction.fee_payer or transaction.account
    needed = transaction.fee_max + reserved
    if sponsored and (refused := grant_refusal(state, transaction, payer, needed, now_ms)) is not None:
        return refused
    if schedule.relief and payer == transaction.account and _is_relieved(state, payer, due, reserved, ahead, now_ms):
        return None
    return _cannot(state, schedule, payer, needed)


def _is_relieved(state: Reader, account: bytes, due: int, reserved: int, ahead: int, now_ms: int) -> bool:
    """Whether quota or resource account pay for one more after those that wait; bytes above 512 are paid as ever."""
    params = read_params(state)
    if free_left(state, params, account, now_ms) > ahead and due == params.fee_base:
        return True
    found = resource_of(state, params, account, due + reserved, now_ms)
    return found is not None and found[1].used + ahead < found[1].per_day


def _cannot(state: Reader, schedule: FeeSchedule, payer: bytes, needed: int) -> Fault | None:
    owned = available(state, schedule, payer)
    if owned < needed:
        return fault(TX_INSUFFICIENT_FEE_BALANCE, payer=payer, available=owned, needed=needed)
    return None


def collect(state: Overlay, schedule: FeeSchedule, total: int) -> None:
    """Credit a block's fees to `m:fees`, from where end-of-block rules distribute them."""
    if total:
        set_balance(state, FEES, schedule.asset, balance(state, FEES, schedule.asset) + total)


def close_block(context: Context) -> None:
    """Split the block's fees: who fetches the validators' share takes it, all that is left goes to the treasury."""
    state, params = context.state, read_params(context.state)
    asset = params.fee_asset
    collected = balance(state, FEES, asset)
    if not collected:
        return
    context.call(VALIDATOR_FEES, asset, collected * params.fee_validators // BPS)
    rest = balance(state, FEES, asset)
    if rest:
        move(state, source=FEES, target=TREASURY, asset=asset, amount=rest)
    _remember(context, collected)
    context.emit("bank", "fees", asset, TREASURY, collected)


def _remember(context: Context, collected: int) -> None:
    """Add a block's fees to those of its day."""
    number = context.time_ms // DAY_MS
    day = read_day(context.state, number) or Day(number, 0, 0)
    charged = context.counters.get(CHARGED, 0)
    write_day(context.state, Day(number, day.transactions + charged, day.fees + collected))
