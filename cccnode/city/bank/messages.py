"""Moving money.  Tags 0x02nn; a number is never used again."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.scalars import U32, U63, AccountId, Amount, AssetId, AssetText, Hash, Millis, check_asset_id

NUMBER: Final = 2

OUTPUTS_MAX: Final = 64
"""Outputs of one multi-transfer (modules.md 3.2)."""

MESSAGES_MAX: Final = 64
"""Kinds of messages that one grant pays for."""
MessageName = Annotated[str, Meta(max_length=48, pattern=r"^[A-Z][A-Za-z0-9]{0,47}\Z")]
"""Such as `GovVote`."""


class BankTransfer(Noun, tag=0x0201, frozen=True, array_like=True, gc=False):
    """Move an amount to another account."""

    to: AccountId
    asset: AssetText
    """An `AssetId`: this is the commonest message of all, so its pattern is not left to the decoder."""
    amount: Amount

    def __post_init__(self) -> None:
        """The decoder calls this; what it raises makes the bytes malformed.

        Raises:
            ValueError: the asset is no `AssetId`.
        """
        check_asset_id(self.asset)


class Output(Noun, frozen=True, array_like=True, gc=False):
    """One payment of a multi-transfer."""

    to: AccountId
    asset: AssetId
    amount: Amount


class BankMulti(Noun, tag=0x0202, frozen=True, array_like=True, gc=False):
    """Several payments from the own account, all or none."""

    outputs: Annotated[tuple[Output, ...], Meta(min_length=1, max_length=OUTPUTS_MAX)]


class BankMint(Noun, tag=0x0203, frozen=True, array_like=True, gc=False):
    """Make more of an own asset."""

    asset: AssetId
    to: AccountId
    amount: Amount


class BankRedeem(Noun, tag=0x0204, frozen=True, array_like=True, gc=False):
    """Give an amount back to its issuer, who pays out what it stands for."""

    asset: AssetId
    amount: Amount
    reference: Hash
    """Of where and how to pay, which only the issuer knows."""


class BankAttestFloat(Noun, tag=0x0205, frozen=True, array_like=True, gc=False):
    """Say as an auditor how much stands behind an asset."""

    asset: AssetId
    amount: Amount
    document: Hash
    """Of the report."""


class BankBurn(Noun, tag=0x0206, frozen=True, array_like=True, gc=False):
    """Make an own amount disappear for ever."""

    asset: AssetId
    amount: Amount


class FeeGrant(Noun, tag=0x0207, frozen=True, array_like=True, gc=False):
    """Pay another account's fees, within bounds."""

    grantee: AccountId
    budget: Amount
    """What it pays in all, base units of the fee asset."""
    per: Amount
    """What it pays within each period, from now on; 0 with `period_ms` 0: no such bound."""
    period_ms: Millis
    expires_ms: Millis
    """When it ends; within a year."""
    messages: Annotated[tuple[MessageName, ...], Meta(min_length=1, max_length=MESSAGES_MAX)]
    """What it pays for: every message of the transaction must be one of these."""


class FeeRevoke(Noun, tag=0x0208, frozen=True, array_like=True, gc=False):
    """Pay another account's fees no more."""

    grantee: AccountId


class BankFreeze(Noun, tag=0x0209, frozen=True, array_like=True, gc=False):
    """As a regulator, let an account's amount of an asset rest."""

    asset: AssetId
    account: AccountId
    order: Hash
    """Of the order, which stays off the ledger."""


class BankUnfreeze(Noun, tag=0x020A, frozen=True, array_like=True, gc=False):
    """As a regulator, let it move again."""

    asset: AssetId
    account: AccountId
    order: Hash


class AssetCreate(Noun, tag=0x020B, frozen=True, array_like=True, gc=False):
    """A new kind of money."""

    asset: AssetId
    exponent: Annotated[int, Meta(ge=0, le=18)]
    """Decimal places between the base unit and what people say."""
    cap: Amount
    """Base units that there may be at most."""
    issuer: AccountId
    """Who mints and redeems it."""
    transferable: bool
    backed: bool
    """Whether an auditor must attest what it stands for."""
    freezable: bool
    """Whether a regulator may freeze it."""
    sandbox_id: U63
    """The experiment that bounds its use; 0: none."""


class AssetSetCap(Noun, tag=0x020C, frozen=True, array_like=True, gc=False):
    """How much of an asset there may be."""

    asset: AssetId
    cap: Amount


class AssetSetIssuer(Noun, tag=0x020D, frozen=True, array_like=True, gc=False):
    """Who mints and redeems an asset from now on."""

    asset: AssetId
    issuer: AccountId


class TreasurySpend(Noun, tag=0x020E, frozen=True, array_like=True, gc=False):
    """Pay out of the city's purse."""

    asset: AssetId
    to: AccountId
    amount: Amount


class ResourceFund(Noun, tag=0x020F, frozen=True, array_like=True, gc=False):
    """As an organisation, put an amount aside that pays the fees of its accounts, and say for how many a day."""

    amount: Amount
    """Base units of the fee asset; 0 to change only the number."""
    per_day: U32
    """Transactions a day."""


class ResourceWithdraw(Noun, tag=0x0210, frozen=True, array_like=True, gc=False):
    """As an organisation, take back from what it has put aside."""

    amount: Amount
