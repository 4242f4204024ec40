"""Domain-separated SHA-256 (architecture D12): one tag per kind of thing, so no two kinds can collide."""

from hashlib import sha256
from typing import Final

ZERO: Final = bytes(32)
"""Stands where a hash is required and there is nothing to name (the genesis block's parent)."""

TX: Final = b"ccc/1/tx"
BLOCK: Final = b"ccc/1/block"
ACCOUNT: Final = b"ccc/1/account"
GENESIS: Final = b"ccc/1/genesis"
EPOCH: Final = b"ccc/1/epoch"
NODE: Final = b"ccc/1/node"
LEADER: Final = b"ccc/1/leader"
GROUP: Final = b"ccc/1/group"
BUCKET: Final = b"ccc/1/bucket"
BRANCH: Final = b"ccc/1/branch"
SIGN: Final = b"ccc/1/sign"
"""Prefix of what a transaction's signers sign; a prefix, not a hash tag."""
GENESIS_SIGN: Final = b"ccc/1/founding"
"""Prefix of what the keys of an organisation sign below a genesis document."""
READY: Final = b"ccc/1/ready"
"""Prefix of what a candidate's consensus key signs in a readiness receipt."""
ROTATE: Final = b"ccc/1/rotate"
"""Prefix of what a new consensus key signs to prove that its organisation holds it."""
DIVERGENCE: Final = b"ccc/1/divergence"
"""Prefix of what a node key signs in a report of `cccnode doctor divergence`."""
PROMISE: Final = b"ccc/1/promise"
"""Prefix of what a node key signs in an inclusion promise."""


def tagged(tag: bytes, *parts: bytes) -> bytes:
    """SHA-256 of `tag` followed by `parts`, 32 bytes.  Parts must be self-delimiting or fixed in width."""
    return sha256(b"".join((tag, *parts))).digest()
