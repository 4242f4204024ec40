"""What a candidate's consensus key signs: that it is ready to validate, or that it follows another key.

Both are proofs of possession at the same time: nobody can register a key that he does not hold.
"""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun, encode
from cccnode.crypto.hashing import READY, ROTATE
from cccnode.crypto.signing import SigningKey
from cccnode.types.scalars import Hash, Height, Name, PublicKey, Signature

VERSION_CHARS_MAX: Final = 32
"""Characters of a program version in a receipt."""


class ReadinessReceipt(Noun, frozen=True, array_like=True, gc=False):
    """A candidate says that it has followed the chain to a recent height and computed the same state."""

    organisation: Name
    consensus_key: PublicKey
    """The key with which it would vote."""
    node_key: PublicKey
    """The node that is at the tip; its organisation has registered it."""
    height: Height
    """A recent checkpoint: the registry remembers the roots of some heights."""
    state_root: Hash
    """Root of the state after executing that height, as the candidate computed it."""
    version: Annotated[str, Meta(min_length=1, max_length=VERSION_CHARS_MAX)]
    """Of its program."""
    signature: Signature
    """By the consensus key, over `readiness_bytes`."""


def readiness_bytes(receipt: ReadinessReceipt) -> bytes:
    """What the candidate signs: "ccc/1/ready" || all fields but the signature."""
    return READY + encode([getattr(receipt, name) for name in receipt.__struct_fields__[:-1]])


def sign_readiness(
    key: SigningKey, *, organisation: str, node_key: bytes, height: int, state_root: bytes, version: str
) -> ReadinessReceipt:
    """The receipt of a candidate whose consensus key is `key`."""
    fields = (organisation, key.public_key, node_key, height, state_root, version[:VERSION_CHARS_MAX])
    return ReadinessReceipt(*fields, signature=key.sign(READY + encode(list(fields))))


def rotation_bytes(chain: bytes, organisation: str, consensus_key: bytes) -> bytes:
    """What a new consensus key signs before it replaces the current one: "ccc/1/rotate" || [chain, name, key]."""
    return ROTATE + encode([chain, organisation, consensus_key])
