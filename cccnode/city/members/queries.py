"""What anyone may ask about accounts."""

from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Account, KeyRecord, Kind, Pillar, Status, read_account, read_key
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.scalars import U8, AccountId, Millis, Name, PublicKey


class AccountParams(Noun, frozen=True, array_like=True, gc=False):
    """Which account."""

    account: AccountId


class AccountAnswer(Noun, frozen=True, array_like=True, gc=False):
    """An account as it stands."""

    account: AccountId
    kind: Kind
    pillar: Pillar
    status: Status
    threshold: U8
    keys: tuple[WeightedKey, ...]
    enc_key: PublicKey | None
    organisation: Name | None
    since_ms: Millis


class KeyParams(Noun, frozen=True, array_like=True, gc=False):
    """Which public key."""

    key: PublicKey


def account_get(state: Reader, params: AccountParams) -> AccountAnswer:
    """The record of an account; rpc/NOT_FOUND when there is none."""
    record = read_account(state, params.account)
    if record is None:
        raise fault(NOT_FOUND, account=params.account)
    return _answer(params.account, record)


def account_of_key(state: Reader, params: KeyParams) -> KeyRecord:
    """Whose key this is or was; rpc/NOT_FOUND when it was never used."""
    record = read_key(state, params.key)
    if record is None:
        raise fault(NOT_FOUND, key=params.key)
    return record


def _answer(address: bytes, record: Account) -> AccountAnswer:
    return AccountAnswer(
        account=address,
        kind=record.kind,
        pillar=record.pillar,
        status=record.status,
        threshold=record.threshold,
        keys=record.keys,
        enc_key=record.enc_key,
        organisation=record.organisation,
        since_ms=record.since_ms,
    )
