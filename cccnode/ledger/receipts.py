"""Receipts as bytes: what became of each decided transaction, in block order (architecture 4)."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from cccnode.codec import decode_trusted
from cccnode.crypto.hashing import ZERO
from cccnode.types.addresses import ACCOUNT_BYTES
from cccnode.types.errors import TX_INSUFFICIENT_FEE_BALANCE
from cccnode.types.receipt import OK, Receipt
from cccnode.types.scalars import Hash

Outcome = Literal["ok", "failed", "refused"]

_REFUSED = range(100, 120)
"""Codes of the `tx/` rows: the transaction was decided before any message ran."""


class _OnlyId(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first field of a receipt: a start that reads three million of them need not make their events."""

    tx_id: Hash


def decode_receipt(raw: bytes) -> Receipt:
    """A receipt from this node's own store."""
    return decode_trusted(Receipt, raw)


def decided_ids(receipts: Sequence[bytes]) -> tuple[bytes, ...]:
    """The transaction ids of a block's receipts: what the duplicate window is rebuilt from at start (J5)."""
    ids = (decode_trusted(_OnlyId, raw).tx_id for raw in receipts)
    return tuple(tx_id for tx_id in ids if tx_id != ZERO)


def accounts_in(receipt: Receipt) -> set[bytes]:
    """The accounts that the events of a receipt name: every field of that many bytes is one (`Event`)."""
    return {
        field
        for event in receipt.events
        for field in event[2:]
        if isinstance(field, bytes) and len(field) == ACCOUNT_BYTES
    }


def outcome_of(code: int) -> Outcome:
    """The word for a receipt code: executed `ok`, executed and `failed` (fee kept), or `refused` (no message ran)."""
    if code == OK:
        return "ok"
    return "refused" if code in _REFUSED and code != TX_INSUFFICIENT_FEE_BALANCE.code else "failed"
