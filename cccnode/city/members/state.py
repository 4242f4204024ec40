"""Accounts and keys in the state: the only place that knows their groups and items.

a/<account>     ""           Account
                origin       Origin: who let it in, and when it became active
                guardians    Guardians
                recovery     Recovery: a change of keys that waits
                application  number of its application, while it waits
                suspension   Suspension
                sponsored    Sponsored: how many newcomers it has let in lately
                past         number of revoked keys
pk/<account><n> <byte>       the revoked key n * 256 + byte, n in 2 bytes
k/<key>         ""           KeyRecord: whose key it is, for ever; a revoked key can be proved revoked
role/<name>     ""           RoleRecord
holders/<name>  <account>    Holding: how it came to the role
ask/<account>   <guardian>   Request: the new keys that a guardian asks for
policy/<subject> ""          PolicyRecord
agree/<subject>/<account> <approver>  time until which it counts
apps<n>         <byte>       account: the application n * 256 + byte waits, n in 4 bytes
members         <kind><pillar>  number of active accounts of that kind and pillar
                applications number of applications so far
                founded      time of the genesis: who was active then needs no sponsor
charter/<n>     ""           hash of the charter's text of that version
par/members     ""           Params
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.members.messages import (
    GUARDIANS_MAX,
    KEYS_MAX,
    PERMISSIONS_MAX,
    ROLES_MAX,
    Keys,
    Permission,
    RoleName,
    WeightedKey,
)
from cccnode.codec import Noun
from cccnode.ledger.pages import place, wide
from cccnode.ledger.parameters import read_parameters
from cccnode.ledger.policies import Policy
from cccnode.ledger.state import Overlay, Reader, Scan
from cccnode.types.scalars import U8, U16, U32, U63, AccountId, Hash, Millis, Name, PublicKey
from cccnode.types.units import DAY_MS, YEAR_MS

_ACCOUNT: Final = b"a/"
_KEY: Final = b"k/"
_PAST: Final = b"pk/"
_ROLE: Final = b"role/"
_HOLDERS: Final = b"holders/"
_REQUESTS: Final = b"ask/"
_APPLICATIONS: Final = b"apps"
_APPLICATION: Final = b"application"
_APPLIED: Final = b"applications"
_POLICY: Final = b"policy/"
_AGREE: Final = b"agree/"
_COUNTS: Final = b"members"
_CHARTER: Final = b"charter/"
_FOUNDED: Final = b"founded"
_ORIGIN: Final = b"origin"
_GUARDIANS: Final = b"guardians"
_RECOVERY: Final = b"recovery"
_SUSPENSION: Final = b"suspension"
_SPONSORED: Final = b"sponsored"
_PAST_COUNT: Final = b"past"
_ONLY: Final = b""
"""Item name of a group that holds one record."""

QUOTA_MS: Final = 30 * DAY_MS
"""Over what time a sponsor's newcomers are counted."""
SPONSOR_QUOTA_MAX: Final = 100
Span = Annotated[int, Meta(ge=0, le=YEAR_MS)]
"""Milliseconds, at most a year."""
Decision = U63


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


class Personhood(IntEnum):
    """How sure the city is that an account is one living person."""

    NONE = 0
    VOUCHED = 1
    """A member vouched for it."""
    SEEN = 2
    """An organisation saw the person."""


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
    personhood: Personhood = Personhood.NONE
    roles: Annotated[tuple[RoleName, ...], Meta(max_length=ROLES_MAX)] = ()
    """What it holds, sorted."""


class Origin(Noun, frozen=True, array_like=True, gc=False):
    """How an account became active (MEM-5)."""

    sponsor: AccountId | None
    """The member or organisation that vouched for it."""
    decision: Decision
    """Number of the proposal that admitted it; 0 where a sponsor, an organisation's admission or genesis did."""
    active_ms: Millis


class Guardians(Noun, frozen=True, array_like=True, gc=False):
    """Who may give an account new keys when its own are lost."""

    accounts: Annotated[tuple[AccountId, ...], Meta(min_length=1, max_length=GUARDIANS_MAX)]
    """Sorted."""
    threshold: U8


class Request(Noun, frozen=True, array_like=True, gc=False):
    """New keys that a guardian asks for."""

    keys: Keys
    """Sorted by key."""
    threshold: U8
    enc_key: PublicKey | None


class Recovery(Noun, frozen=True, array_like=True, gc=False):
    """New keys that guardians give an account, unless its owner objects."""

    request: Request
    due_ms: Millis
    """When the keys change."""


class Holding(Noun, frozen=True, array_like=True, gc=False):
    """How an account came to a role: neither giver nor vote where it was genesis."""

    by: AccountId | None
    decision: Decision
    """Number of the proposal that gave it, or 0."""


class Suspension(Noun, frozen=True, array_like=True, gc=False):
    """Why an account may not act, or who asks that it may not."""

    reason: Hash
    """Of the reasons, which stay off the ledger."""
    first: AccountId
    """The member of the council that asked."""
    second: AccountId | None
    """The one of another pillar who agreed; None as long as nobody did."""
    asked_ms: Millis
    until_ms: Millis
    """When it ends by itself: the request, or the suspension."""
    appeal: Hash | None = None
    """Of what the suspended member answered."""


class Sponsored(Noun, frozen=True, array_like=True, gc=False):
    """What an account has used of its quota as a sponsor."""

    times: Annotated[tuple[Millis, ...], Meta(max_length=SPONSOR_QUOTA_MAX)] = ()
    """When it let somebody in, oldest first, within the last 30 days."""
    barred_until_ms: Millis = 0
    """Since somebody it had vouched for was removed."""


class RoleRecord(Noun, frozen=True, array_like=True, gc=False):
    """What a role permits."""

    permissions: Annotated[tuple[Permission, ...], Meta(max_length=PERMISSIONS_MAX)]
    """Such as `grant:courier`, sorted."""
    protected: bool
    """Whether only the city's vote gives or takes it."""


class PolicyRecord(Noun, frozen=True, array_like=True, gc=False):
    """Who must agree before something is done."""

    policy: Policy


class KeyRecord(Noun, frozen=True, array_like=True, gc=False):
    """The history of one public key."""

    account: AccountId
    since_ms: Millis
    revoked_ms: Millis | None


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Numbers that genesis sets, and the city by vote (modules.md 3.1)."""

    charter_version: U32 = 1
    """The charter that applicants accept."""
    apply_per_block: U16 = 4
    """Free applications that one block takes."""
    apply_ttl_ms: Span = 30 * DAY_MS
    """How long an application waits for a sponsor or a vote."""
    sponsor_age_ms: Span = 30 * DAY_MS
    """How long a person is a member before it may vouch for others."""
    sponsor_quota: Annotated[int, Meta(ge=0, le=SPONSOR_QUOTA_MAX)] = 5
    """Newcomers for whom one member or organisation vouches within 30 days."""
    sponsor_bar_ms: Span = 90 * DAY_MS
    """How long a sponsor lets nobody in after one of his was removed."""
    recovery_delay_ms: Annotated[int, Meta(ge=1, le=YEAR_MS)] = 7 * DAY_MS
    """How long the owner may object to new keys."""
    suspend_join_ms: Annotated[int, Meta(ge=1, le=30 * DAY_MS)] = DAY_MS
    """Within what time the second of the council must agree."""
    suspend_max_ms: Annotated[int, Meta(ge=1, le=30 * DAY_MS)] = 7 * DAY_MS
    """After what time a suspension ends by itself."""
    approval_ms: Annotated[int, Meta(ge=1, le=30 * DAY_MS)] = 7 * DAY_MS
    """How long an approval counts."""


def read_account(state: Reader, account: bytes) -> Account | None:
    """The record of an account, or None."""
    return state.get(_ACCOUNT + account, _ONLY, Account)


def account_exists(state: Reader, account: bytes) -> bool:
    """Whether there is such an account, whatever its status."""
    return state.has(_ACCOUNT + account, _ONLY)


def write_account(state: Overlay, account: bytes, record: Account) -> None:
    """Set the record of an account."""
    state.put(_ACCOUNT + account, _ONLY, record)


def has_role(state: Reader, account: bytes, role: str) -> bool:
    """Whether it is an active account that holds a role."""
    record = read_account(state, account)
    return record is not None and record.status is Status.ACTIVE and role in record.roles


def permitted(state: Reader, account: bytes, permission: str) -> bool:
    """Whether it is an active account with a role that has the permission."""
    record = read_account(state, account)
    if record is None or record.status is not Status.ACTIVE:
        return False
    roles = (read_role(state, name) for name in record.roles)
    return any(role is not None and permission in role.permissions for role in roles)


def is_active(state: Reader, account: bytes) -> bool:
    """Whether it is an account that may act."""
    record = read_account(state, account)
    return record is not None and record.status is Status.ACTIVE


def is_person(state: Reader, account: bytes) -> bool:
    """Whether it is the active account of a person."""
    record = read_account(state, account)
    return record is not None and record.status is Status.ACTIVE and record.kind is Kind.PERSON


def read_origin(state: Reader, account: bytes) -> Origin | None:
    """How an account became active, or None."""
    return state.get(_ACCOUNT + account, _ORIGIN, Origin)


def write_origin(state: Overlay, account: bytes, origin: Origin) -> None:
    """Keep how an account became active."""
    state.put(_ACCOUNT + account, _ORIGIN, origin)


def read_guardians(state: Reader, account: bytes) -> Guardians | None:
    """Who may recover an account, or None."""
    return state.get(_ACCOUNT + account, _GUARDIANS, Guardians)


def write_guardians(state: Overlay, account: bytes, guardians: Guardians | None) -> None:
    """Set who may recover an account."""
    state.put(_ACCOUNT + account, _GUARDIANS, guardians)


def read_recovery(state: Reader, account: bytes) -> Recovery | None:
    """The change of keys that waits, or None."""
    return state.get(_ACCOUNT + account, _RECOVERY, Recovery)


def write_recovery(state: Overlay, account: bytes, recovery: Recovery | None) -> None:
    """Set the change of keys that waits."""
    state.put(_ACCOUNT + account, _RECOVERY, recovery)


def read_suspension(state: Reader, account: bytes) -> Suspension | None:
    """The request or the suspension of an account, or None."""
    return state.get(_ACCOUNT + account, _SUSPENSION, Suspension)


def write_suspension(state: Overlay, account: bytes, suspension: Suspension | None) -> None:
    """Set the request or the suspension of an account."""
    state.put(_ACCOUNT + account, _SUSPENSION, suspension)


def read_sponsored(state: Reader, account: bytes) -> Sponsored:
    """What an account has used of its quota as a sponsor."""
    return state.get(_ACCOUNT + account, _SPONSORED, Sponsored) or Sponsored()


def write_sponsored(state: Overlay, account: bytes, sponsored: Sponsored) -> None:
    """Set what an account has used of its quota as a sponsor."""
    state.put(_ACCOUNT + account, _SPONSORED, sponsored)


def read_role(state: Reader, name: str) -> RoleRecord | None:
    """What a role permits, or None."""
    return state.get(_ROLE + name.encode(), _ONLY, RoleRecord)


def write_role(state: Overlay, name: str, role: RoleRecord) -> None:
    """Set what a role permits."""
    state.put(_ROLE + name.encode(), _ONLY, role)


def role_holders(state: Reader, name: str) -> tuple[bytes, ...]:
    """The accounts that hold a role, whatever their status, sorted."""
    return tuple(state.group(_HOLDERS + name.encode(), Holding))


def read_holding(state: Reader, name: str, account: bytes) -> Holding | None:
    """How an account came to a role, or None where it does not hold it."""
    return state.get(_HOLDERS + name.encode(), account, Holding)


def write_holding(state: Overlay, name: str, account: bytes, holding: Holding | None) -> None:
    """Set how an account came to a role; its own record has the name too."""
    state.put(_HOLDERS + name.encode(), account, holding)


def requests(state: Reader, account: bytes) -> dict[bytes, Request]:
    """What guardians ask for, by guardian."""
    return state.group(_REQUESTS + account, Request)


def write_request(state: Overlay, account: bytes, guardian: bytes, request: Request | None) -> None:
    """Set what a guardian asks for."""
    state.put(_REQUESTS + account, guardian, request)


def read_policy(state: Reader, subject: str) -> PolicyRecord | None:
    """Who must agree before something is done; None: nobody but who does it."""
    return state.get(_POLICY + subject.encode(), _ONLY, PolicyRecord)


def write_policy(state: Overlay, subject: str, record: PolicyRecord | None) -> None:
    """Set who must agree."""
    state.put(_POLICY + subject.encode(), _ONLY, record)


def approvals(state: Reader, subject: str, account: bytes) -> dict[bytes, int]:
    """Who agrees that something be done for an account, and until when."""
    return state.group(_AGREE + subject.encode() + b"/" + account, int)


def write_approval(state: Overlay, subject: str, account: bytes, approver: bytes, until_ms: int | None) -> None:
    """Set until when somebody agrees."""
    state.put(_AGREE + subject.encode() + b"/" + account, approver, until_ms)


def add_application(state: Overlay, account: bytes) -> None:
    """List an application that waits."""
    number = state.get(_COUNTS, _APPLIED, int) or 0
    state.put(*place(_APPLICATIONS, number), account)
    state.put(_COUNTS, _APPLIED, number + 1)
    state.put(_ACCOUNT + account, _APPLICATION, number)


def drop_application(state: Overlay, account: bytes) -> None:
    """Take an application off the list."""
    number = state.get(_ACCOUNT + account, _APPLICATION, int)
    assert number is not None, "whoever is pending has applied"
    state.put(*place(_APPLICATIONS, number), None)
    state.put(_ACCOUNT + account, _APPLICATION, None)


def applications(state: Reader, page: int) -> tuple[bytes, ...]:
    """Accounts whose application waits, 256 numbers a page."""
    return tuple(state.group(_APPLICATIONS + wide(page), bytes).values())


def applications_so_far(state: Reader) -> int:
    """How many applications there ever were."""
    return state.get(_COUNTS, _APPLIED, int) or 0


def read_charter(state: Reader, version: int) -> bytes | None:
    """Hash of the text of a charter, or None."""
    return state.get(_CHARTER + wide(version), _ONLY, bytes)


def write_charter(state: Overlay, version: int, text_hash: bytes) -> None:
    """Set the hash of the text of a charter."""
    state.put(_CHARTER + wide(version), _ONLY, text_hash)


def active_count(state: Reader, kind: Kind, pillar: Pillar) -> int:
    """How many active accounts of a kind a pillar has."""
    return state.get(_COUNTS, bytes((kind, pillar)), int) or 0


def count_active(state: Overlay, kind: Kind, pillar: Pillar, more: int) -> None:
    """Count active accounts that came, or went (a negative number)."""
    state.put(_COUNTS, bytes((kind, pillar)), active_count(state, kind, pillar) + more or None)


def read_founded(state: Reader) -> int:
    """Time of the genesis, milliseconds."""
    return state.get(_COUNTS, _FOUNDED, int) or 0


def write_founded(state: Overlay, time_ms: int) -> None:
    """Keep the time of the genesis."""
    state.put(_COUNTS, _FOUNDED, time_ms)


def past_keys(state: Reader, account: bytes, page: int) -> tuple[bytes, ...]:
    """Revoked keys of an account, 256 a page, oldest first."""
    return tuple(state.group(_PAST + account + wide(page), bytes).values())


def add_past_key(state: Overlay, account: bytes, key: bytes) -> None:
    """Keep a key that was revoked."""
    number = state.get(_ACCOUNT + account, _PAST_COUNT, int) or 0
    state.put(*place(_PAST + account, number), key)
    state.put(_ACCOUNT + account, _PAST_COUNT, number + 1)


def every_account(scan: Scan) -> Iterator[tuple[bytes, Account]]:
    """Every account, by address: for invariants."""
    for group in scan.groups(_ACCOUNT):
        record = scan.get(group, _ONLY, Account)
        if record is not None:
            yield group[len(_ACCOUNT) :], record


def every_key(scan: Scan) -> Iterator[tuple[bytes, KeyRecord]]:
    """Every key that was ever used: for invariants."""
    for group in scan.groups(_KEY):
        record = scan.get(group, _ONLY, KeyRecord)
        if record is not None:
            yield group[len(_KEY) :], record


def every_role(scan: Scan) -> Iterator[tuple[str, RoleRecord]]:
    """Every role, by name: for invariants."""
    for group in scan.groups(_ROLE):
        record = scan.get(group, _ONLY, RoleRecord)
        if record is not None:
            yield group[len(_ROLE) :].decode(), record


def read_key(state: Reader, key: bytes) -> KeyRecord | None:
    """Whose key this is or was, or None."""
    return state.get(_KEY + key, _ONLY, KeyRecord)


def write_key(state: Overlay, key: bytes, record: KeyRecord) -> None:
    """Set whose key this is."""
    state.put(_KEY + key, _ONLY, record)


def read_params(state: Reader) -> Params:
    """The module's parameters; their defaults where genesis set none."""
    return read_parameters(state, "members", Params)


def account_group(account: bytes) -> bytes:
    """The group whose proof shows an account's record or its absence."""
    return _ACCOUNT + account
