"""What a transaction costs, and who takes it: the ledger knows the formula, a module knows the money."""

from typing import Annotated, Any, Final, Protocol

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import Fault
from cccnode.types.scalars import AssetId
from cccnode.types.transaction import Transaction

FEE_FREE_BYTES: Final = 512
"""Bytes of a transaction that `fee_base` pays for."""
FEE_BASE_MAX: Final = 10**8
FEE_BYTE_MAX: Final = 10**5
"""Bounds of the rates: a vote for more could leave nobody able to pay for the vote that takes it back."""

Base = Annotated[int, Meta(ge=0, le=FEE_BASE_MAX)]
PerByte = Annotated[int, Meta(ge=0, le=FEE_BYTE_MAX)]


class FeeSchedule(Noun, frozen=True, array_like=True, gc=False):
    """The rates of a block: constant within it, read from state at its begin."""

    asset: AssetId
    base: Base
    per_byte: PerByte
    """For each byte above `FEE_FREE_BYTES`."""
    relief: bool = False
    """Whether some accounts pay less than others: then every transaction goes through `Fees.settle`."""

    def fee(self, size: int) -> int:
        """The fee of a transaction of `size` encoded bytes, in base units."""
        return self.base if size <= FEE_FREE_BYTES else self.base + self.per_byte * (size - FEE_FREE_BYTES)


class Fees(Protocol):
    """The module that holds the fee asset."""

    def schedule(self, state: Reader) -> FeeSchedule:
        """The rates now."""

    def available(self, state: Reader, schedule: FeeSchedule, payer: bytes) -> int:
        """What `payer` could pay now, in base units."""

    def charge(self, state: Overlay, schedule: FeeSchedule, payer: bytes, fee: int) -> int:
        """Take `fee` from `payer`, or what is there; return what was taken (J4)."""

    def settle(
        self,
        state: Overlay,
        schedule: FeeSchedule,
        transaction: Transaction[Any],
        due: int,
        now_ms: int,
        *,
        sponsored: bool,
    ) -> tuple[int, int] | Fault:
        """As `charge`, where another account pays or fees are relieved: (what was taken, what was due), or why not.

        `sponsored`: the payer did not sign, so it must have granted it.
        """

    def shortfall(
        self,
        state: Reader,
        schedule: FeeSchedule,
        transaction: Transaction[Any],
        due: int,
        now_ms: int,
        *,
        sponsored: bool,
        reserved: int,
        ahead: int,
    ) -> Fault | None:
        """For admission: why `settle` would fail, beside `ahead` waiting transactions with `reserved` units of fees."""

    def collect(self, state: Overlay, schedule: FeeSchedule, total: int) -> None:
        """Credit all that was charged in a block, before the modules' end-of-block rules run."""
