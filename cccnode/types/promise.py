"""An inclusion promise: a node says, over its signature, by which height a transaction will be decided.

The node has the transaction durably and passes it on; it does not order blocks alone, so it may break its word without
malice (it was cut off, or too few validators lived).  Who holds the promise can show that it was broken, to anybody:
the receipts of the blocks between `after` and `by` are certified, complete, and do not hold the transaction.
"""

from collections.abc import Callable
from typing import Final

from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.crypto.hashing import PROMISE
from cccnode.crypto.verifying import verify
from cccnode.types.errors import PROMISE_FORGED, fault
from cccnode.types.scalars import Hash, Height, PublicKey, Signature

BLOCKS_MAX: Final = 4_096
"""The furthest promise, in blocks: bounds what checking one costs."""


class Promise(Noun, frozen=True, array_like=True, gc=False):
    """A transaction will stand in a block above `after` and not above `by`."""

    chain: Hash
    tx_id: Hash
    after: Height
    """The newest block when it was made; the transaction was not decided in it or before."""
    by: Height
    node_key: PublicKey
    """Of the node that promised."""
    signature: Signature
    """By the node key, over `promise_bytes`."""


def promise_bytes(*, chain: bytes, tx_id: bytes, after: int, by: int, node_key: bytes) -> bytes:
    """What the node signs: "ccc/1/promise" || all fields but the signature."""
    return PROMISE + encode([chain, tx_id, after, by, node_key])


def make_promise(
    sign: Callable[[bytes], bytes], *, chain: bytes, tx_id: bytes, after: int, by: int, node_key: bytes
) -> Promise:
    """The promise of a node that signs with `sign`."""
    signed = promise_bytes(chain=chain, tx_id=tx_id, after=after, by=by, node_key=node_key)
    return Promise(chain, tx_id, after, by, node_key, sign(signed))


def read_promise(raw: bytes, chain: bytes) -> Promise:
    """A promise from foreign bytes, made for a chain and signed by the node that it names.

    Raises:
        Fault: promise/FORGED.
    """
    try:
        promise = decode(Promise, raw)
    except DecodeError as error:
        raise fault(PROMISE_FORGED, why=str(error)) from None
    signed = promise_bytes(
        chain=promise.chain, tx_id=promise.tx_id, after=promise.after, by=promise.by, node_key=promise.node_key
    )
    if promise.chain != chain:
        raise fault(PROMISE_FORGED, why="it was made for another chain", chain=promise.chain)
    if not promise.after < promise.by <= promise.after + BLOCKS_MAX:
        raise fault(PROMISE_FORGED, why="its heights are not those of a promise", after=promise.after, by=promise.by)
    if not verify(signed, promise.signature, promise.node_key):
        raise fault(PROMISE_FORGED, why="the signature is not the node's", node=promise.node_key)
    return promise
