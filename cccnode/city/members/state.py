"""Accounts and keys in the state: the only place that knows their groups and items.

a/<account>   ""   Account
k/<key>       ""   KeyRecord: whose key it is, for ever; a revoked key can be proved revoked
par/members   ""   Params
"""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.members.messages import KEYS_MAX, WeightedKey
from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.scalars import U8, U16, U32, AccountId, Millis, Name, PublicKey

_ACCOUNT: Final = b"a/"
_KEY: Final = b"k/"
_PARAMS: Final = b"par/members"
_ONLY: Final = b""
"""Item name of a group that holds one record."""


class Kind(IntEnum):
    """Who stands behind an account."""

    PERSON = 0
    ORGANISATION = 1
    SERVICE = 2
    PSEUDONYM = 3
    PROJECT = 4


class Pillar(IntEnum):
    """The four pillars of the city (modules.md 1b)."""

    NONE = 0
    GOVERNMENT = 1
    PRIVATE = 2
    ACADEMIA = 3
    CITIZENS = 4


class Status(IntEnum):
    """Whether an account may act."""

    PENDING = 0
    ACTIVE = 1
    SUSPENDED = 2
    LEFT = 3
    REMOVED = 4


class Account(Noun, frozen=True, array_like=True, gc=False):
    """A member, an organisation, or anything else that acts."""

    kind: Kind
    pillar: Pillar
    status: Status
    threshold: U8
    keys: Annotated[tuple[WeightedKey, ...], Meta(min_length=1, max_length=KEYS_MAX)]
    """Current keys, sorted by key."""
    enc_key: PublicKey | None
    organisation: Name | None
    """The organisation it belongs to, if any."""
    since_ms: Millis
    """Time of the block that opened it."""


class KeyRecord(Noun, frozen=True, array_like=True, gc=False):
    """The history of one public key."""

    account: AccountId
    since_ms: Millis
    revoked_ms: Millis | None


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Numbers that genesis sets."""

    charter_version: U32 = 1
    apply_per_block: U16 = 4


def read_account(state: Reader, account: bytes) -> Account | None:
    """The record of an account, or None."""
    return state.get(_ACCOUNT + account, _ONLY, Account)


def account_exists(state: Reader, account: bytes) -> bool:
    """Whether there is such an account, whatever its status."""
    return state.has(_ACCOUNT + account, _ONLY)


def write_account(state: Overlay, account: bytes, record: Account) -> None:
    """Set the record of an account."""
    state.put(_ACCOUNT + account, _ONLY, record)


def read_key(state: Reader, key: bytes) -> KeyRecord | None:
    """Whose key this is or was, or None."""
    return state.get(_KEY + key, _ONLY, KeyRecord)


def write_key(state: Overlay, key: bytes, record: KeyRecord) -> None:
    """Set whose key this is."""
    state.put(_KEY + key, _ONLY, record)


def read_params(state: Reader) -> Params:
    """The module's parameters; their defaults where genesis set none."""
    return state.get(_PARAMS, _ONLY, Params) or Params()


def write_params(state: Overlay, params: Params) -> None:
    """Set the module's parameters."""
    state.put(_PARAMS, _ONLY, params)


def account_group(account: bytes) -> bytes:
    """The group whose proof shows an account's record or its absence."""
    return _ACCOUNT + account
