"""A town whose people bond: fees for validators on request, and what staking says of it."""

from typing import Any

from cccnode.city import CITY
from cccnode.city.bank.fees import FEES
from cccnode.city.bank.rules import move
from cccnode.city.bank.state import balance
from cccnode.city.staking.messages import ASSET
from cccnode.city.staking.queries import NoParams, StakerParams
from cccnode.city.staking.rewards import share_fees
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, writes_of
from cccnode.types.vote import Kind, Proposal, Vote, vote_bytes
from tests.city.registry.town import Town

CCC = 10**6
DAY_MS = 86_400_000


class Bonds(Town):
    """Four validators, a partner who does not validate, and one person with a thousand CCC."""

    def __init__(self, **staking: Any) -> None:
        # Validators get what a test pays them, and nothing of the fees of its transactions.
        bank = {"fee_validators": 0}
        staking = {"min_delegate": 1, "unbond_ms": 3 * DAY_MS, **staking}
        super().__init__(4, parameters={"bank": bank, "staking": staking})
        self.spin(1)

    def address(self, number: int = 0) -> bytes:
        """The account of a validator."""
        return self.accounts[self.members[number]]

    def pay(self, amount: int, payer: str = "demo0") -> None:
        """Validators get `amount` base units of fees, as at the close of a block."""
        state = Overlay(self.state)
        move(state, source=self.accounts[payer], target=FEES, asset=ASSET, amount=amount)
        share_fees(Context(state, self.height, self.header.time_ms, CITY.module_accounts, city=CITY), ASSET, amount)
        left = balance(state, FEES, ASSET)
        if left:
            move(state, source=FEES, target=self.accounts[payer], asset=ASSET, amount=left)
        state.commit()
        self.state.apply(writes_of(state))

    def owned(self, name: str = "demo0") -> int:
        return balance(self.overlay, self.accounts[name], ASSET)

    def held(self, account: bytes) -> int:
        return balance(self.overlay, account, ASSET)

    def validators(self) -> dict[str, Any]:
        rows = CITY.answer("staking_validators", self.state, NoParams())
        return {row.organisation: row for row in rows}  # type: ignore[attr-defined]

    def delegations(self, name: str = "demo0") -> dict[bytes, tuple[int, int]]:
        """(amount, rewards) by validator."""
        rows = CITY.answer("staking_delegations", self.state, StakerParams(self.accounts[name]))
        return {row.validator: (row.amount, row.rewards) for row in rows}  # type: ignore[attr-defined]

    def waiting(self, name: str = "demo0") -> list[int]:
        rows = CITY.answer("staking_unbonding", self.state, StakerParams(self.accounts[name]))
        return [row.withdrawal.amount for row in rows]  # type: ignore[attr-defined]

    def fault(self, signer: int = 0, *, view: int = 9, epoch: int = 0) -> tuple[Vote, Vote]:
        """Two votes that contradict each other."""
        key = self.consensus[self.members[signer]]
        both = [Proposal(view, view - 1, view - 2, letter * 32) for letter in (b"a", b"b")]
        signed = [key.sign(vote_bytes(Kind.NOTARIZE, self.chain, epoch, proposal)) for proposal in both]
        first, second = (Vote(Kind.NOTARIZE, at, signer, sig) for at, sig in zip(both, signed, strict=True))
        return first, second

    def sound(self) -> None:
        """Every invariant of the city holds."""
        assert [] == CITY.broken(self.state)
