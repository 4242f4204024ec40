"""What members send about themselves.  Tags 0x01nn; a number is never used again."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.limits import TX_SIGNERS_MAX
from cccnode.types.scalars import U8, U32, AccountId, Hash, Millis, PublicKey

NUMBER: Final = 1

Weight = Annotated[int, Meta(ge=1, le=255)]
KEYS_MAX: Final = TX_SIGNERS_MAX
"""Current keys of one account: as many as may sign one transaction."""

ROLES_MAX: Final = 16
"""Roles of one account."""
PERMISSIONS_MAX: Final = 32
"""Permissions of one role."""
GUARDIANS_MAX: Final = 16

RoleName = Annotated[str, Meta(max_length=32, pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
"""Such as `auditor`."""
Permission = Annotated[str, Meta(max_length=48, pattern=r"^[a-z][a-z0-9:-]{0,47}\Z")]
"""Such as `grant:auditor`: to give and take a role.  Holding the role is not enough."""


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


Keys = Annotated[tuple[WeightedKey, ...], Meta(min_length=1, max_length=KEYS_MAX)]


class MemSponsor(Noun, tag=0x0103, frozen=True, array_like=True, gc=False):
    """Vouch for an applicant, who is a member from then on."""

    account: AccountId


class MemAdmit(Noun, tag=0x0104, frozen=True, array_like=True, gc=False):
    """Admit an applicant, or let a suspended member act again."""

    account: AccountId


class MemRemove(Noun, tag=0x0105, frozen=True, array_like=True, gc=False):
    """Put a member out."""

    account: AccountId


class MemKeepSuspended(Noun, tag=0x0106, frozen=True, array_like=True, gc=False):
    """Confirm a suspension, which else ends by itself."""

    account: AccountId
    until_ms: Millis
    """Within a year."""


class RoleGrant(Noun, tag=0x0107, frozen=True, array_like=True, gc=False):
    """Give somebody a role, by the permission `grant:<role>`."""

    account: AccountId
    role: RoleName


class RoleRevoke(Noun, tag=0x0108, frozen=True, array_like=True, gc=False):
    """Take a role from somebody by the same permission, or lay down an own one."""

    account: AccountId
    role: RoleName


class RoleSet(Noun, tag=0x0109, frozen=True, array_like=True, gc=False):
    """Give or take any role, a protected one too."""

    account: AccountId
    role: RoleName
    held: bool


class RoleDefine(Noun, tag=0x010A, frozen=True, array_like=True, gc=False):
    """Say what a role permits, new or not."""

    role: RoleName
    permissions: Annotated[tuple[Permission, ...], Meta(max_length=PERMISSIONS_MAX)]
    protected: bool
    """Whether only the city's vote gives and takes it."""


class CharterSet(Noun, tag=0x010B, frozen=True, array_like=True, gc=False):
    """Put another charter in force; its version is one more than the last."""

    text: Hash
    """SHA-256 of the text."""


class MemSetGuardians(Noun, tag=0x010C, frozen=True, array_like=True, gc=False):
    """Say who may give the own account new keys when its own are lost; ends a recovery that waits."""

    accounts: Annotated[tuple[AccountId, ...], Meta(max_length=GUARDIANS_MAX)]
    """None: nobody."""
    threshold: U8
    """How many of them must agree."""


class MemRecoverStart(Noun, tag=0x010D, frozen=True, array_like=True, gc=False):
    """As a guardian, ask for new keys of an account; all guardians who agree send the same."""

    account: AccountId
    keys: Keys
    threshold: U8
    enc_key: PublicKey | None


class MemRecoverCancel(Noun, tag=0x010E, frozen=True, array_like=True, gc=False):
    """Refuse the new keys that guardians ask for the own account."""


class MemSuspend(Noun, tag=0x010F, frozen=True, array_like=True, gc=False):
    """As one of the council, ask that an account may not act; a second of another pillar decides it."""

    account: AccountId
    reason: Hash
    """Of the reasons, which stay off the ledger."""


class MemAppeal(Noun, tag=0x0110, frozen=True, array_like=True, gc=False):
    """Answer to the own suspension; asks the city to end it."""

    answer: Hash
    """Of the answer, which stays off the ledger."""


class MemLeave(Noun, tag=0x0111, frozen=True, array_like=True, gc=False):
    """Leave the city for good; what the account still owns stays where it is."""


Subject = Annotated[str, Meta(max_length=37, pattern=r"^(admit_member|rotate_keys|role:[a-z][a-z0-9-]{0,31})\Z")]
"""What a policy is about: a sponsor's word, a change of keys, or the giving of a role."""


PolicyText = Annotated[str, Meta(max_length=1_000, pattern=r"^[a-z0-9_(), -]*\Z")]


class PolicySet(Noun, tag=0x0112, frozen=True, array_like=True, gc=False):
    """Say who must agree before something is done."""

    subject: Subject
    policy: PolicyText
    """As `cccnode.ledger.policy_text` reads it; empty: nobody but who does it."""


class MemApprove(Noun, tag=0x0113, frozen=True, array_like=True, gc=False):
    """Agree that something be done for an account, for a week or until it is done."""

    subject: Subject
    account: AccountId
