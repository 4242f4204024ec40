"""People of whom nobody can be trusted: every transaction is compared with the same block without it."""

from typing import Any

from cccnode.city.bank.state import FEES, TREASURY, balance
from cccnode.city.members.state import Status, read_account
from cccnode.codec import Noun
from cccnode.crypto.signing import SigningKey
from cccnode.ledger.state import DictState, Overlay, module_account
from cccnode.ledger.transition import apply_block
from cccnode.types.transaction import account_id
from tests.city.people import People
from tests.support.city import key, receipts

REWARDS = module_account("rewards")
_PAID = (b"days", b"sv", b"fg/", b"quota/", b"res/")
"""Groups that a fee alone may change: of its day, of validators' rewards, of who pays it."""


class Hostile(People):
    """Knows who has which keys; checks MEM-3, MEM-7 and BNK-4 of every transaction."""

    def __post_init__(self) -> None:
        """Eight actors; newcomers follow."""
        super().__post_init__()
        owners = [self.owner(number) for number in range(8)]
        self.actors = [account_id(owner.public_key) for owner in owners]
        self.known = {owner.public_key: owner for owner in (*owners, key(9), key(100))}
        self.serial = 100
        self.broken_rules: list[str] = []

    def new_key(self) -> SigningKey:
        """One that nobody has used."""
        self.serial += 1
        new = key(self.serial)
        self.known[new.public_key] = new
        return new

    def signers(self, address: bytes) -> list[SigningKey]:
        """All current keys of an account, as the state has them."""
        record = read_account(Overlay(self.state), address)
        assert record is not None
        return [self.known[row.key] for row in record.keys]

    def act(self, message: Noun, by: bytes, keys: list[SigningKey] | None = None, payer: bytes | None = None) -> str:
        """One transaction; what it may not have done is a failure of the test."""
        record = read_account(Overlay(self.state), by)
        assert record is not None
        signing = self.signers(by) if keys is None else keys
        raw = self.sign(message, by=by, keys=signing, fee_payer=payer)
        idle = DictState()
        idle.groups = {group: dict(items) for group, items in self.state.groups.items()}
        idle.apply(apply_block(self.registry, idle, self.window, self.next_header(), []).writes)
        outcome = self.run(raw)
        receipt = receipts(outcome)[0]
        if receipt.code == 0:
            self._check_success(record, message, signing)
        else:
            self._check_failure(idle, receipt.fee_paid)
        return self.name_of(receipt.code)

    def _check_success(self, record: Any, message: Noun, signing: list[SigningKey]) -> None:
        """MEM-3, MEM-7."""
        exits = self.registry.exits
        if record.status is not Status.ACTIVE and not (record.status is Status.SUSPENDED and type(message) in exits):
            self.broken_rules.append(f"MEM-3: {record.status.name} did {type(message).__name__}")
        if not {one.public_key for one in signing} <= {row.key for row in record.keys}:
            self.broken_rules.append("MEM-7: a key that is not current has signed")

    def _check_failure(self, idle: DictState, fee: int) -> None:
        """BNK-4: against the same block without it, nothing but the fee has moved."""
        groups = {*idle.groups, *self.state.groups}
        changed = {group for group in groups if idle.groups.get(group) != self.state.groups.get(group)}
        money = {group for group in changed if group.startswith(b"b/")}
        strange = {group for group in changed - money if not group.startswith(_PAID)}
        if strange or (changed and not fee and not any(group.startswith(b"quota/") for group in changed)):
            self.broken_rules.append(f"BNK-4: a failed transaction changed {sorted(strange or changed)}")
        payers = money - {b"b/" + TREASURY, b"b/" + REWARDS, b"b/" + FEES}
        lost = [self._owned(idle, group) - self._owned(self.state, group) for group in sorted(payers)]
        if lost not in ([fee], []) or (fee and not lost):
            self.broken_rules.append(f"BNK-4: a fee of {fee} changed balances by {lost}")

    @staticmethod
    def _owned(state: DictState, group: bytes) -> int:
        return balance(Overlay(state), group[2:], "uccc")

    def sound(self) -> None:
        """Nothing was broken so far."""
        assert [] == self.broken_rules
