"""Who may act: the signers against the account's current keys, weights and threshold (D4).

Cryptographic validity was settled at ingress; this is the part that needs state, so it is decided at execution, and
asked the same way at admission.
"""

from typing import Any, Final

from cccnode.city.members.errors import POP
from cccnode.city.members.messages import MemApply
from cccnode.city.members.state import Account, Status, read_account
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.errors import (
    TX_ACCOUNT_STATUS,
    TX_BELOW_THRESHOLD,
    TX_KEY_WITHOUT_WEIGHT,
    TX_UNKNOWN_ACCOUNT,
    Fault,
    fault,
)
from cccnode.types.transaction import Transaction, account_id

_ACTIVE: Final = Status.ACTIVE
"""Looking a member of an enumeration up costs as much as a call."""


def is_application(transaction: Transaction[Any]) -> bool:
    """Whether it is exactly one membership application: free, and its account does not exist yet."""
    messages = transaction.messages
    return type(messages[0]) is MemApply and len(messages) == 1 and transaction.fee_payer is None


def sponsored(state: Reader, transaction: Transaction[Any]) -> bool:
    """Whether another account pays of whose keys none has signed: then it must have granted the fee."""
    payer = transaction.fee_payer
    if payer is None or payer == transaction.account:
        return False
    paying = read_account(state, payer)
    return paying is None or not any(row.key in transaction.signers for row in paying.keys)


def refusal(state: Reader, transaction: Transaction[Any], exits: frozenset[type[Noun]]) -> Fault | None:
    """Why the signers may not do this now, or None."""
    address, payer = transaction.account, transaction.fee_payer
    account = read_account(state, address)
    if type(transaction.messages[0]) is MemApply and is_application(transaction):
        return _refused_application(transaction, account)
    if account is None:
        return fault(TX_UNKNOWN_ACCOUNT, account=address)
    if account.status is not _ACTIVE and not _may_leave(account, transaction, exits):
        return _may_not_act(address, account)
    if payer is None or payer == address:
        # Almost always the account has one key, which signed alone and suffices.
        keys = account.keys
        if len(keys) == 1 and transaction.signers == (keys[0].key,) and keys[0].weight >= account.threshold:
            return None
        return _weigh(transaction, ((address, account),))
    paying = read_account(state, payer)
    refused = _may_not_act(payer, paying)
    if refused is not None or paying is None:
        return refused
    if any(row.key in transaction.signers for row in paying.keys):
        return _weigh(transaction, ((address, account), (payer, paying)))
    return _weigh(transaction, ((address, account),))


def _may_leave(account: Account, transaction: Transaction[Any], exits: frozenset[type[Noun]]) -> bool:
    """Whether a suspended account does nothing but what it may always: look after its own data and debts, and go."""
    return account.status is Status.SUSPENDED and all(type(message) in exits for message in transaction.messages)


def _may_not_act(address: bytes, account: Account | None) -> Fault | None:
    if account is None:
        return fault(TX_UNKNOWN_ACCOUNT, account=address)
    if account.status is not _ACTIVE:
        return fault(TX_ACCOUNT_STATUS, account=address, status=account.status.name.lower())
    return None


def _refused_application(transaction: Transaction[Any], account: Account | None) -> Fault | None:
    """An application is signed by the key that it brings and by nobody else, and nobody applies twice."""
    message: MemApply = transaction.messages[0]
    if account is not None and account.status is not Status.LEFT:
        return fault(TX_ACCOUNT_STATUS, account=transaction.account, status=account.status.name.lower())
    if transaction.signers != (message.key,) or transaction.account != account_id(message.key):
        return fault(POP, account=transaction.account, key=message.key)
    return None


def _weigh(transaction: Transaction[Any], accounts: tuple[tuple[bytes, Account], ...]) -> Fault | None:
    """Every signer is a current key of one of the accounts, and each account's threshold is reached.

    A key belongs to one account for ever (MEM-2) and signers do not repeat, so counting finds a stranger.
    """
    signers, found, short = transaction.signers, 0, None
    for address, account in accounts:
        weight = 0
        for row in account.keys:
            if row.key in signers:
                weight += row.weight
                found += 1
        if weight < account.threshold and short is None:
            short = fault(TX_BELOW_THRESHOLD, account=address, weight=weight, threshold=account.threshold)
    if found < len(signers):
        known = [row.key for _, account in accounts for row in account.keys]
        return fault(TX_KEY_WITHOUT_WEIGHT, signer=next(key for key in signers if key not in known))
    return short
