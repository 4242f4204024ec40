"""Moving money.  Tags 0x02nn; a number is never used again."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.scalars import AccountId, Amount, AssetId, AssetText, check_asset_id

NUMBER: Final = 2

OUTPUTS_MAX: Final = 64
"""Outputs of one multi-transfer (modules.md 3.2)."""


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
