"""The first members, out of the genesis document: accounts, and in the section `city.members` what they hold."""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta
from msgspec.structs import replace

from cccnode.city.members.accounts import found_account
from cccnode.city.members.messages import PERMISSIONS_MAX, ROLES_MAX, Permission, RoleName, WeightedKey
from cccnode.city.members.roles import hold
from cccnode.city.members.state import (
    Account,
    Holding,
    Kind,
    Params,
    Personhood,
    Pillar,
    RoleRecord,
    Status,
    read_account,
    read_role,
    write_account,
    write_charter,
    write_founded,
    write_role,
)
from cccnode.ledger.parameters import parameters, write_parameters
from cccnode.ledger.state import Overlay
from cccnode.types.addresses import AddressError, parse_account
from cccnode.types.errors import GENESIS_INVALID, fault
from genesis.document import AccountEntry, Entry, Genesis, Key

_PERSONHOODS: Final = {"none": Personhood.NONE, "vouched": Personhood.VOUCHED, "seen": Personhood.SEEN}
PersonhoodName = Annotated[str, Meta(pattern="^(none|vouched|seen)$")]


class RoleEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role that exists from the beginning."""

    permissions: Annotated[tuple[Permission, ...], Meta(max_length=PERMISSIONS_MAX)] = ()
    protected: bool = False


class Section(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`city.members` of the document."""

    charter: Key | None = None
    """SHA-256 of the charter that `parameters.members.charter_version` counts."""
    roles: dict[RoleName, RoleEntry] = {}  # noqa: RUF012 - msgspec copies it
    """By name."""
    holders: dict[str, Annotated[tuple[RoleName, ...], Meta(max_length=ROLES_MAX)]] = {}  # noqa: RUF012 - msgspec copies it
    """Accounts (ccc1...) and the roles that they hold."""
    personhood: dict[str, PersonhoodName] = {}  # noqa: RUF012 - msgspec copies it
    """Accounts (ccc1...) of persons, and how sure the city is of them."""


def write_genesis(state: Overlay, genesis: Genesis) -> None:
    """The module's parameters, the roles and the charter."""
    params = parameters(genesis.parameters, "members", Params)
    write_parameters(state, "members", params)
    write_founded(state, genesis.document.time_ms)
    section = genesis.section("members", Section)
    for name, entry in sorted(section.roles.items()):
        write_role(state, name, RoleRecord(tuple(sorted(set(entry.permissions))), entry.protected))
    if section.charter is not None:
        write_charter(state, params.charter_version, bytes.fromhex(section.charter))


def write_accounts(state: Overlay, genesis: Genesis, entries: Sequence[AccountEntry]) -> None:
    """Open accounts of the document, active from its time on."""
    for entry in entries:
        found_account(state, entry.account_id(), _account(entry, genesis.document.time_ms))


def write_end(state: Overlay, genesis: Genesis) -> None:
    """What accounts hold: roles and personhood.

    Raises:
        Fault: genesis/INVALID: an unknown account or role.
    """
    section = genesis.section("members", Section)
    errors: list[str] = []
    for text, names in sorted(section.holders.items()):
        errors += [f"city.members.holders.{text}: no role {name}" for name in names if read_role(state, name) is None]
        found = _found(state, text, "holders")
        if isinstance(found, str):
            errors.append(found)
        else:
            for name in sorted(set(names)):
                hold(state, found[0], name, Holding(None, 0))
    for text, name in sorted(section.personhood.items()):
        found = _found(state, text, "personhood")
        if isinstance(found, str):
            errors.append(found)
        else:
            write_account(state, found[0], replace(found[1], personhood=_PERSONHOODS[name]))
    if errors:
        raise fault(GENESIS_INVALID, errors=errors)


def _found(state: Overlay, text: str, where: str) -> tuple[bytes, Account] | str:
    """An account that the section names, or what is wrong with it."""
    try:
        address = parse_account(text)
    except AddressError as error:
        return f"city.members.{where}.{text}: {error}"
    account = read_account(state, address)
    return f"city.members.{where}.{text}: no such account" if account is None else (address, account)


def _account(entry: AccountEntry, time_ms: int) -> Account:
    keys = sorted((bytes.fromhex(row.key), row.weight) for row in entry.keys)
    return Account(
        kind=Kind[entry.kind.upper()],
        pillar=Pillar[entry.pillar.upper()],
        status=Status.ACTIVE,
        threshold=entry.threshold,
        keys=tuple(WeightedKey(key, weight) for key, weight in keys),
        enc_key=None if entry.enc_key is None else bytes.fromhex(entry.enc_key),
        organisation=entry.organisation,
        since_ms=time_ms,
    )
