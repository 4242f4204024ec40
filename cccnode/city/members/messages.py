"""What members send about themselves.  Tags 0x01nn; a number is never used again."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.limits import TX_SIGNERS_MAX
from cccnode.types.scalars import U8, U32, PublicKey

NUMBER: Final = 1

Weight = Annotated[int, Meta(ge=1, le=255)]
KEYS_MAX: Final = TX_SIGNERS_MAX
"""Current keys of one account: as many as may sign one transaction."""


class WeightedKey(Noun, frozen=True, array_like=True, gc=False):
    """A key and what its signature weighs against the account's threshold."""

    key: PublicKey
    weight: Weight = 1


class MemApply(Noun, tag=0x0101, frozen=True, array_like=True, gc=False):
    """Ask for membership.  Its transaction's account is the id of `key`, and `key` alone signs: proof of possession."""

    key: PublicKey
    """First key of the new account."""
    enc_key: PublicKey
    """X25519 key to which others may encrypt for this member."""
    charter_version: U32
    """The charter that the applicant accepts: the current one."""


class MemRotateKeys(Noun, tag=0x0102, frozen=True, array_like=True, gc=False):
    """Change the keys of the own account; in force from the next transaction."""

    add: Annotated[tuple[WeightedKey, ...], Meta(max_length=KEYS_MAX)]
    """New keys, never used by any account before."""
    revoke: Annotated[tuple[PublicKey, ...], Meta(max_length=KEYS_MAX)]
    """Current keys that may not sign any more, for ever."""
    threshold: U8
    """Weight that signatures must reach from now on."""
    enc_key: PublicKey | None
    """A new encryption key, or nil to keep the current one."""
