"""A batch is the unit of gossip, verification, durability and proposals: up to 512 encoded transactions (D5)."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from cccnode.crypto import merkle
from cccnode.types.limits import BATCH_TXS_MAX, TX_BYTES_MAX

RawTransaction = Annotated[bytes, Meta(min_length=1, max_length=TX_BYTES_MAX)]
Batch = Annotated[tuple[RawTransaction, ...], Meta(min_length=1, max_length=BATCH_TXS_MAX)]
"""Encoded transactions in order."""


def batch_id(transactions: Sequence[bytes]) -> bytes:
    """RFC 6962 root over the raw transaction bytes, so that one short path proves a transaction in a batch."""
    return merkle.root(transactions)
