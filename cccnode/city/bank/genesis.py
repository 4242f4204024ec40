"""The first assets and balances, out of the genesis document."""

from collections import Counter
from collections.abc import Sequence

from cccnode.city.bank.state import (
    TREASURY,
    Asset,
    Issued,
    Params,
    Policy,
    balance,
    read_asset,
    set_balance,
    set_supply,
    supply,
    write_asset,
    write_issued,
)
from cccnode.city.members.state import account_exists
from cccnode.ledger.parameters import parameters, write_parameters
from cccnode.ledger.state import Overlay
from cccnode.types.addresses import AddressError, parse_account
from cccnode.types.errors import GENESIS_INVALID, fault
from cccnode.types.scalars import U32, AssetId
from genesis.document import AccountEntry, AmountText, AssetEntry, Entry, Genesis


class Terms(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an asset of the document is besides."""

    issuer: str | None = None
    """The account (ccc1...) that mints and redeems it; without one its supply is fixed."""
    backed: bool = False
    """Whether an auditor must attest what it stands for."""
    freezable: bool = False
    """Whether a regulator may freeze it."""
    sandbox_id: U32 = 0
    """The experiment that bounds its use; 0: none."""


class Section(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`city.bank` of the document."""

    assets: dict[AssetId, Terms] = {}  # noqa: RUF012 - msgspec copies it
    """By name, of those that `assets` lists."""
    treasury: dict[AssetId, AmountText] = {}  # noqa: RUF012 - msgspec copies it
    """What the city's purse holds from the beginning, base units."""


def write_genesis(state: Overlay, genesis: Genesis) -> None:
    """Assets, as yet without supply, and fees.

    Raises:
        Fault: genesis/INVALID: the fee asset is not among the assets.
    """
    params = parameters(genesis.parameters, "bank", Params)
    if params.fee_asset not in {asset.id for asset in genesis.document.assets}:
        raise fault(GENESIS_INVALID, errors=[f"parameters.bank.fee_asset: no asset {params.fee_asset}"])
    section = genesis.section("bank", Section)
    known = {asset.id for asset in genesis.document.assets}
    if unknown := sorted(set(section.assets) - known):
        raise fault(GENESIS_INVALID, errors=[f"city.bank.assets.{name}: no such asset" for name in unknown])
    addresses = _issuers(section)
    write_parameters(state, "bank", params)
    for row in genesis.document.assets:
        write_asset(
            state,
            _asset(row, section.assets.get(row.id, Terms()), addresses.get(row.id)),
        )
        set_supply(state, row.id, 0)


def _asset(row: AssetEntry, terms: Terms, issuer: bytes | None) -> Asset:
    return Asset(
        id=row.id,
        exponent=row.exponent,
        policy=Policy.FIXED if issuer is None else Policy.ISSUER,
        cap=int(row.cap),
        transferable=row.transferable,
        issuer=issuer,
        backed=terms.backed,
        freezable=terms.freezable,
        sandbox_id=terms.sandbox_id,
    )


def _issuers(section: Section) -> dict[str, bytes]:
    """The issuer's address of each asset that has one."""
    found: dict[str, bytes] = {}
    errors = []
    for name, terms in sorted(section.assets.items()):
        if terms.issuer is not None:
            try:
                found[name] = parse_account(terms.issuer)
            except AddressError as error:
                errors.append(f"city.bank.assets.{name}.issuer: {error}")
    if errors:
        raise fault(GENESIS_INVALID, errors=errors)
    return found


def write_end(state: Overlay, genesis: Genesis) -> None:
    """What the treasury holds from the beginning; issuers exist.

    Raises:
        Fault: genesis/INVALID: an issuer does not exist, or the treasury holds too much or of no known asset.
    """
    section = genesis.section("bank", Section)
    issuers = _issuers(section)
    errors: list[object] = [
        f"city.bank.assets.{name}.issuer: no such account"
        for name, address in issuers.items()
        if not account_exists(state, address)
    ]
    for asset, text in sorted(section.treasury.items()):
        record = read_asset(state, asset)
        if record is None or supply(state, asset) + int(text) > record.cap:
            errors.append(f"city.bank.treasury.{asset}: no such asset, or above its cap")
        else:
            set_balance(state, TREASURY, asset, balance(state, TREASURY, asset) + int(text))
            set_supply(state, asset, supply(state, asset) + int(text))
    if errors:
        raise fault(GENESIS_INVALID, errors=errors)
    for row in genesis.document.assets:
        write_issued(state, row.id, Issued(supply(state, row.id), 0, 0))


def write_accounts(state: Overlay, genesis: Genesis, entries: Sequence[AccountEntry]) -> None:
    """Balances, and what they add to the supply."""
    del genesis
    added: Counter[str] = Counter()
    for entry in entries:
        address = entry.account_id()
        for asset, amount in sorted(entry.balances.items()):
            set_balance(state, address, asset, int(amount))
            added[asset] += int(amount)
    for asset, more in added.items():
        set_supply(state, asset, supply(state, asset) + more)
