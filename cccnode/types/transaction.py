"""Transactions are how members act: one account, one deadline, up to sixteen messages that succeed or fail together.

A transaction carries no sequence number.  It names the last moment at which it may happen and a random salt; its id
is remembered until that moment has passed, so it happens at most once (architecture D3).
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

from msgspec import Meta, Struct

from cccnode.codec import Noun, encode
from cccnode.crypto import kernel
from cccnode.crypto.hashing import ACCOUNT, SIGN, TX, tagged
from cccnode.crypto.signing import SigningKey
from cccnode.types.limits import TX_MESSAGES_MAX, TX_SIGNERS_MAX
from cccnode.types.scalars import U8, AccountId, Amount, Hash, Millis, PublicKey, Salt, Signature

M = TypeVar("M")

TRANSACTION_VERSION: Final = 1
_SIGNED_PART_HEADER: Final = b"\x99"
_TRANSACTION_HEADER: Final = b"\x9a"
"""MessagePack array headers of nine and of ten elements: the signed part is a transaction without its last element."""


class Transaction(Noun, Generic[M], frozen=True, array_like=True, gc=False):
    """What a member asks for.  `M` is the union of all message types; the module registry supplies it."""

    version: U8
    chain: Hash
    """The genesis hash: a transaction is good on one chain only."""
    account: AccountId
    """On whose behalf the messages act."""
    valid_until_ms: Millis
    """Not decided by any block at or after this time."""
    salt: Salt
    fee_payer: AccountId | None
    """Who pays instead of the account; signs too."""
    fee_max: Amount
    """The most that may be charged, in base units of the fee asset."""
    messages: Annotated[tuple[M, ...], Meta(min_length=1, max_length=TX_MESSAGES_MAX)]
    signers: Annotated[tuple[PublicKey, ...], Meta(min_length=1, max_length=TX_SIGNERS_MAX)]
    """Public keys, sorted, none twice."""
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=TX_SIGNERS_MAX)]
    """One for each signer, in the same order; all must verify.  Not part of the id."""


def signed_part(raw: bytes, signatures: int) -> bytes:
    """The signed part of an encoded transaction with that many signatures: all but the last array element.

    Cut out of the received bytes, because encoding again would cost more than hashing.
    """
    header = 1 if signatures < 16 else 3
    return _SIGNED_PART_HEADER + raw[1 : len(raw) - header - 66 * signatures]


def transaction_id(part: bytes) -> bytes:
    """The id: a hash of the signed part, so that no change of signatures makes a second id (J3)."""
    return tagged(TX, part)


def transaction_ids(parts: Sequence[bytes]) -> list[bytes]:
    """The ids of many at once."""
    return kernel.tagged_many(TX, parts)


def sign_bytes(part: bytes) -> bytes:
    """What every signer of a transaction signs."""
    return SIGN + part


def account_id(first_key: bytes) -> bytes:
    """The 20-byte id of the account opened with `first_key`; it stays while keys rotate."""
    return tagged(ACCOUNT, first_key)[:20]


class Verified(Struct, frozen=True, gc=False):
    """A transaction whose bytes are canonical and whose signatures all hold: made by `cccnode.ingress` only."""

    id: bytes
    transaction: Transaction[Any]
    raw: bytes
    weight: int
    """Static cost of its messages, for the block limit (J2)."""


def sign_transaction(
    *,
    chain: bytes,
    account: bytes,
    valid_until_ms: int,
    salt: bytes,
    fee_max: int,
    messages: Sequence[Noun],
    keys: Sequence[SigningKey],
    fee_payer: bytes | None = None,
) -> tuple[bytes, bytes]:
    """Build, sign and encode a transaction; return (id, bytes).  For clients, tools and tests."""
    keys = sorted(keys, key=lambda key: key.public_key)
    part = encode(
        [
            TRANSACTION_VERSION,
            chain,
            account,
            valid_until_ms,
            salt,
            fee_payer,
            fee_max,
            list(messages),
            [key.public_key for key in keys],
        ]
    )
    signed = sign_bytes(part)
    raw = _TRANSACTION_HEADER + part[1:] + encode([key.sign(signed) for key in keys])
    return transaction_id(part), raw
