"""What anyone may ask about accounts."""

from typing import Annotated

from msgspec import Meta

from cccnode.city.members.messages import RoleName, Subject, WeightedKey
from cccnode.city.members.policies import verdict_of
from cccnode.city.members.state import (
    Account,
    Guardians,
    KeyRecord,
    Kind,
    Origin,
    Personhood,
    Pillar,
    Recovery,
    RoleRecord,
    Sponsored,
    Status,
    Suspension,
    active_count,
    applications,
    applications_so_far,
    approvals,
    past_keys,
    read_account,
    read_charter,
    read_guardians,
    read_key,
    read_origin,
    read_params,
    read_policy,
    read_recovery,
    read_role,
    read_sponsored,
    read_suspension,
    role_holders,
)
from cccnode.codec import Noun
from cccnode.ledger.policies import reasons
from cccnode.ledger.policy_text import policy_text
from cccnode.ledger.state import Reader
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.limits import GROUP_ITEMS_MAX
from cccnode.types.scalars import U8, U32, U63, AccountId, Hash, Millis, Name, PublicKey

PAGES_MAX = 64
"""Pages of past keys that one question reads: 16,384 rotations."""


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
    personhood: Personhood
    roles: tuple[Name, ...]
    origin: Origin | None
    """How it became active; none for accounts of the genesis, and before."""
    guardians: Guardians | None
    recovery: Recovery | None
    """New keys that wait for its objection."""
    suspension: Suspension | None
    sponsored: Sponsored
    """What it has used of its quota as a sponsor."""


class KeysAtParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose keys, and when."""

    account: AccountId
    at_ms: Millis


class DidAnswer(Noun, frozen=True, array_like=True, gc=False):
    """The document of a decentralised identifier, as the ledger derives it."""

    id: str
    """did:ccc:<hexadecimal account>"""
    verification: tuple[PublicKey, ...]
    """Ed25519 keys that may sign for it now."""
    agreement: PublicKey | None
    """X25519 key to which others may encrypt."""
    deactivated: bool


class RoleParams(Noun, frozen=True, array_like=True, gc=False):
    """Which role."""

    role: RoleName


class RoleAnswer(Noun, frozen=True, array_like=True, gc=False):
    """A role and who holds it."""

    record: RoleRecord
    holders: tuple[AccountId, ...]


class ApplicationsParams(Noun, frozen=True, array_like=True, gc=False):
    """Which part of the list."""

    page: Annotated[int, Meta(ge=0, le=2**32 - 1)] | None = None
    """Of 256 applications in the order in which they came; none: the newest."""


class Application(Noun, frozen=True, array_like=True, gc=False):
    """Somebody who waits."""

    account: AccountId
    since_ms: Millis
    until_ms: Millis


class ApplicationsAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Who waits, of one page."""

    page: U32
    waiting: tuple[Application, ...]


class NoParams(Noun, frozen=True, array_like=True, gc=False):
    """Nothing."""


class Count(Noun, frozen=True, array_like=True, gc=False):
    """Active accounts of one kind and pillar."""

    kind: Kind
    pillar: Pillar
    number: U63


class CharterAnswer(Noun, frozen=True, array_like=True, gc=False):
    """The charter in force."""

    version: U32
    text: Hash | None
    """SHA-256 of its text; none where genesis gave none."""


class PolicyQuestion(Noun, frozen=True, array_like=True, gc=False):
    """Which policy, and for whom something shall be done."""

    subject: Subject
    account: AccountId
    acting: AccountId | None = None
    """Who would do it; counts as agreeing."""
    at_ms: Millis = 0
    """Approvals that last longer than this count; by default all that are still listed."""


class PolicyStanding(Noun, frozen=True, array_like=True, gc=False):
    """What a policy says, and why."""

    policy: str
    """As `cccnode.ledger.policy_text` writes it."""
    holds: bool
    agreeing: tuple[AccountId, ...]
    en: tuple[str, ...]
    """What is missing, a line each; nothing where the policy holds."""
    th: tuple[str, ...]


class KeyParams(Noun, frozen=True, array_like=True, gc=False):
    """Which public key."""

    key: PublicKey


def account_get(state: Reader, params: AccountParams) -> AccountAnswer:
    """The record of an account; rpc/NOT_FOUND when there is none."""
    record = read_account(state, params.account)
    if record is None:
        raise fault(NOT_FOUND, account=params.account)
    return _answer(state, params.account, record)


def account_of_key(state: Reader, params: KeyParams) -> KeyRecord:
    """Whose key this is or was; rpc/NOT_FOUND when it was never used."""
    record = read_key(state, params.key)
    if record is None:
        raise fault(NOT_FOUND, key=params.key)
    return record


def account_did(state: Reader, params: AccountParams) -> DidAnswer:
    """The identifier's document; rpc/NOT_FOUND when there is no such account."""
    record = read_account(state, params.account)
    if record is None:
        raise fault(NOT_FOUND, account=params.account)
    gone = record.status in (Status.LEFT, Status.REMOVED)
    keys = () if gone else tuple(row.key for row in record.keys)
    return DidAnswer(f"did:ccc:{params.account.hex()}", keys, record.enc_key, gone)


def account_keys_at(state: Reader, params: KeysAtParams) -> tuple[PublicKey, ...]:
    """Keys that could sign for an account at a time, sorted; rpc/NOT_FOUND when there is no such account."""
    record = read_account(state, params.account)
    if record is None:
        raise fault(NOT_FOUND, account=params.account)
    keys = [row.key for row in record.keys]
    for page in range(PAGES_MAX):
        past = past_keys(state, params.account, page)
        keys += past
        if len(past) < GROUP_ITEMS_MAX:
            break
    return tuple(sorted(key for key in set(keys) if _held(read_key(state, key), params.at_ms)))


def _held(record: KeyRecord | None, at_ms: int) -> bool:
    return record is not None and record.since_ms <= at_ms and (record.revoked_ms is None or at_ms < record.revoked_ms)


def members_role(state: Reader, params: RoleParams) -> RoleAnswer:
    """What a role permits and who holds it; rpc/NOT_FOUND when there is none."""
    record = read_role(state, params.role)
    if record is None:
        raise fault(NOT_FOUND, role=params.role)
    return RoleAnswer(record, role_holders(state, params.role))


def members_applications(state: Reader, params: ApplicationsParams) -> ApplicationsAnswer:
    """Who waits for a sponsor or a vote, of one page."""
    newest = max(0, applications_so_far(state) - 1) // GROUP_ITEMS_MAX
    page, ttl = newest if params.page is None else params.page, read_params(state).apply_ttl_ms
    rows = []
    for account in applications(state, page):
        record = read_account(state, account)
        assert record is not None, "whoever waits has an account"
        rows.append(Application(account, record.since_ms, record.since_ms + ttl))
    return ApplicationsAnswer(page, tuple(rows))


def members_count(state: Reader, params: NoParams) -> tuple[Count, ...]:
    """Active accounts, by kind and pillar."""
    del params
    found = ((kind, pillar, active_count(state, kind, pillar)) for kind in Kind for pillar in Pillar)
    return tuple(Count(kind, pillar, number) for kind, pillar, number in found if number)


def members_charter(state: Reader, params: NoParams) -> CharterAnswer:
    """The charter that applicants accept now."""
    del params
    version = read_params(state).charter_version
    return CharterAnswer(version, read_charter(state, version))


def members_policy(state: Reader, params: PolicyQuestion) -> PolicyStanding:
    """What a policy says of something for an account, and what is missing; rpc/NOT_FOUND where there is no policy."""
    record = read_policy(state, params.subject)
    verdict = verdict_of(state, params.subject, params.account, params.acting, params.at_ms)
    if record is None or verdict is None:
        raise fault(NOT_FOUND, subject=params.subject)
    agreeing = tuple(approvals(state, params.subject, params.account))
    lines = (tuple(reasons(verdict, language)) for language in ("en", "th"))
    return PolicyStanding(policy_text(record.policy), verdict.holds, agreeing, *lines)


def _answer(state: Reader, address: bytes, record: Account) -> AccountAnswer:
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
        personhood=record.personhood,
        roles=record.roles,
        origin=read_origin(state, address),
        guardians=read_guardians(state, address),
        recovery=read_recovery(state, address),
        suspension=read_suspension(state, address),
        sponsored=read_sponsored(state, address),
    )
