"""What transfers do (modules.md 3.2): every unit that leaves one account enters another (BNK-1).

`move`, `mint` and `burn` are what other modules call.
"""

from typing import Final

from cccnode.city.bank.errors import (
    BLOCKED,
    CAP,
    FROZEN,
    INSUFFICIENT,
    NOT_TRANSFERABLE,
    OVERFLOW,
    UNKNOWN_ACCOUNT,
    UNKNOWN_ASSET,
    ZERO_AMOUNT,
)
from cccnode.city.bank.messages import BankMulti, BankTransfer, Output
from cccnode.city.bank.state import (
    WRAP,
    Asset,
    Issued,
    balance,
    credit,
    debit,
    read_asset,
    read_freeze,
    read_issued,
    set_supply,
    supply,
    write_issued,
)
from cccnode.city.members.state import account_exists
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import fault
from cccnode.types.limits import AMOUNT_MAX

ENTER: Final = "sandbox/enter"
"""Hook: (sandbox, account, asset, amount, what) before an asset under an experiment moves to somebody."""


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
    if record.freezable:
        check_free(state, asset, account)
        check_free(state, asset, to)
    if to in context.module_accounts:
        raise fault(BLOCKED, to=to)
    # Whoever owns money has an account (accounts are never deleted), so most receivers need no second lookup.
    if not balance(state, to, asset) and not account_exists(state, to):
        raise fault(UNKNOWN_ACCOUNT, to=to)
    if record.sandbox_id:
        enter(context, record, account, amount, "transfer")
        enter(context, record, to, 0, "transfer")
    move(state, source=account, target=to, asset=asset, amount=amount)
    context.events.append(("bank", "transfer", asset, account, to, amount))


def enter(context: Context, asset: Asset, account: bytes, amount: int, what: str) -> None:
    """Ask the experiment that bounds an asset, where there is one; who only receives is asked about with 0.

    Raises:
        Fault: the experiment's own.
    """
    if asset.sandbox_id:
        context.call(ENTER, asset.sandbox_id, account, asset.id, amount, what)


def check_free(state: Reader, asset: str, account: bytes) -> None:
    """Refuse to move what a regulator has frozen.

    Raises:
        Fault: bank/FROZEN.
    """
    frozen = read_freeze(state, asset, account)
    if frozen is not None:
        raise fault(FROZEN, account=account, asset=asset, order=frozen.order)


def known_asset(state: Reader, asset: str) -> Asset:
    """An asset that must exist.

    Raises:
        Fault: bank/UNKNOWN_ASSET.
    """
    record = read_asset(state, asset)
    if record is None:
        raise fault(UNKNOWN_ASSET, asset=asset)
    return record


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


def mint(state: Overlay, *, target: bytes, asset: str, amount: int) -> None:
    """Make an amount appear: only rules that issue do (BNK-3).

    Raises:
        Fault: bank/UNKNOWN_ASSET, bank/CAP or bank/OVERFLOW.
    """
    record = known_asset(state, asset)
    check_cap(state, record, amount)
    received = credit(state, target, asset, amount, AMOUNT_MAX)
    if received > AMOUNT_MAX:
        raise fault(OVERFLOW, asset=asset, balance=received)
    set_supply(state, asset, supply(state, asset) + amount)
    counted = read_issued(state, asset)
    write_issued(state, asset, Issued(counted.founded, (counted.minted + amount) % WRAP, counted.burnt))


def check_cap(state: Reader, asset: Asset, amount: int) -> None:
    """Refuse more of an asset than there may be.

    Raises:
        Fault: bank/CAP.
    """
    issued = supply(state, asset.id)
    if issued + amount > asset.cap:
        raise fault(CAP, asset=asset.id, supply=issued, amount=amount, cap=asset.cap)


def burn(state: Overlay, *, source: bytes, asset: str, amount: int) -> None:
    """Make an amount disappear.

    Raises:
        Fault: bank/INSUFFICIENT.
    """
    owned = debit(state, source, asset, amount)
    if owned < amount:
        raise fault(INSUFFICIENT, owned=owned, needed=amount, asset=asset)
    set_supply(state, asset, supply(state, asset) - amount)
    counted = read_issued(state, asset)
    write_issued(state, asset, Issued(counted.founded, counted.minted, (counted.burnt + amount) % WRAP))
