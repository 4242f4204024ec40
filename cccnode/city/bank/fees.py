"""The fee path: from the payers to `m:fees` when a block ends, and from there to the treasury (modules.md 3.2)."""

from typing import Final

from cccnode.city.bank.rules import move
from cccnode.city.bank.state import balance, debit, read_schedule, set_balance
from cccnode.ledger.fees import FeeSchedule
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader, module_account

FEES: Final = module_account("fees")
"""Holds what a block charged while its end-of-block rules run; empty between blocks (BNK-6)."""
TREASURY: Final = module_account("treasury")
"""The city's purse; spent by vote."""


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


def collect(state: Overlay, schedule: FeeSchedule, total: int) -> None:
    """Credit a block's fees to `m:fees`, from where end-of-block rules distribute them."""
    if total:
        set_balance(state, FEES, schedule.asset, balance(state, FEES, schedule.asset) + total)


def end_block(context: Context) -> None:
    """Bring the block's fees to the treasury."""
    state = context.state
    asset = read_schedule(state).asset
    collected = balance(state, FEES, asset)
    if collected:
        move(state, source=FEES, target=TREASURY, asset=asset, amount=collected)
        context.emit("bank", "fees", asset, TREASURY, collected)
