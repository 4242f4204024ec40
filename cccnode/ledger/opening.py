"""Transactions of the usual kind, opened together: what the kernel's `open_usual` does, and the fallback without it.

Usual is what nearly all are: canonical bytes of this version and chain, one message of a fixed weight, one signer with
one signature.  Of any other nothing is said here; `cccnode.ingress` looks at it more closely and names what is wrong.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from cccnode.crypto import kernel
from cccnode.types.transaction import Transaction, Verified, sign_bytes, signed_part, transaction_id


class Opened(NamedTuple):
    """What is known of some transactions before their signatures are verified."""

    transactions: list[Any]
    """For each in order what it is if its signature holds (a `Verified`), None where it is not usual."""
    messages: list[bytes]
    """Of the usual ones, in order: what was signed, by whom, and how."""
    signatures: list[bytes]
    keys: list[bytes]


class Rules(NamedTuple):
    """What is usual."""

    decode: Callable[[bytes], Transaction[Any]]
    unreadable: tuple[type[Exception], ...]
    """What it raises when nothing but these bytes is wrong."""
    encode: Callable[[Transaction[Any]], bytes]
    verified: Callable[[bytes, Transaction[Any], bytes, int], Verified]
    """What makes the answer of id, transaction, bytes and weight."""
    weights: dict[type, int]
    """By type of message, such as have a fixed weight."""
    chain: bytes
    version: int
    size_max: int
    """Bytes of a transaction."""
    weight_max: int


def open_usual(
    rules: Rules, raws: Sequence[bytes]
) -> tuple[list[Verified | None], list[bytes], list[bytes], list[bytes]]:
    """The fields of `Opened`."""
    opened: list[Verified | None] = []
    messages: list[bytes] = []
    signatures: list[bytes] = []
    keys: list[bytes] = []
    for raw in raws:
        transaction = _usual(rules, raw)
        if transaction is None:
            opened.append(None)
            continue
        part = signed_part(raw, 1)
        weight = rules.weights[type(transaction.messages[0])]
        opened.append(rules.verified(transaction_id(part), transaction, raw, weight))
        messages.append(sign_bytes(part))
        signatures += transaction.signatures
        keys += transaction.signers
    return opened, messages, signatures, keys


def _usual(rules: Rules, raw: bytes) -> Transaction[Any] | None:
    if len(raw) > rules.size_max:
        return None
    try:
        transaction = rules.decode(raw)
    except rules.unreadable:
        return None
    if rules.encode(transaction) != raw or transaction.version != rules.version or transaction.chain != rules.chain:
        return None
    if len(transaction.messages) != 1 or len(transaction.signers) != 1 or len(transaction.signatures) != 1:
        return None
    weight = rules.weights.get(type(transaction.messages[0]))
    return transaction if weight is not None and weight <= rules.weight_max else None


_FASTEST: Final = kernel.OPEN_USUAL or open_usual


def open_many(rules: Rules, raws: Sequence[bytes]) -> Opened:
    """Open `raws`, natively where the kernel is: what Python does between the steps costs as much as the steps."""
    return Opened(*_FASTEST(rules, raws))
