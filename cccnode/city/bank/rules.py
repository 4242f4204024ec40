"""What transfers do (modules.md 3.2): every unit that leaves one account enters another (BNK-1)."""

from cccnode.city.bank.errors import (
    BLOCKED,
    INSUFFICIENT,
    NOT_TRANSFERABLE,
    OVERFLOW,
    UNKNOWN_ACCOUNT,
    UNKNOWN_ASSET,
    ZERO_AMOUNT,
)
from cccnode.city.bank.messages import BankMulti, BankTransfer, Output
from cccnode.city.bank.state import balance, credit, debit, read_asset
from cccnode.city.members.state import account_exists
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay
from cccnode.types.errors import fault
from cccnode.types.limits import AMOUNT_MAX


def multi(context: Context, message: BankMulti) -> None:
    """Several payments; the first that fails drops them all with the transaction."""
    for output in message.outputs:
        transfer(context, output)


def transfer(context: Context, payment: BankTransfer | Output) -> None:
    """Move an amount from the acting account."""
    state, account, asset, amount, to = context.state, context.account, payment.asset, payment.amount, payment.to
    if amount == 0:
        raise fault(ZERO_AMOUNT)
    record = read_asset(state, asset)
    if record is None:
        raise fault(UNKNOWN_ASSET, asset=asset)
    if not record.transferable:
        raise fault(NOT_TRANSFERABLE, asset=asset)
    if to in context.module_accounts:
        raise fault(BLOCKED, to=to)
    # Whoever owns money has an account (accounts are never deleted), so most receivers need no second lookup.
    if not balance(state, to, asset) and not account_exists(state, to):
        raise fault(UNKNOWN_ACCOUNT, to=to)
    move(state, source=account, target=to, asset=asset, amount=amount)
    context.events.append(("bank", "transfer", asset, account, to, amount))


def move(state: Overlay, *, source: bytes, target: bytes, asset: str, amount: int) -> None:
    """Move an amount between two accounts, whoever they are.

    Raises:
        Fault: bank/INSUFFICIENT or bank/OVERFLOW.
    """
    owned = debit(state, source, asset, amount)
    if owned < amount:
        raise fault(INSUFFICIENT, owned=owned, needed=amount, asset=asset)
    received = credit(state, target, asset, amount, AMOUNT_MAX)
    if received > AMOUNT_MAX:
        raise fault(OVERFLOW, asset=asset, balance=received)
