"""A city in memory: a demo genesis, its state, and blocks made of signed transactions, without consensus or disk."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import msgpack
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank import BankTransfer
from cccnode.city.bank.state import balance, supply
from cccnode.city.registry.record import epoch_record
from cccnode.codec import Noun
from cccnode.crypto.signing import SigningKey
from cccnode.ingress import trusted_transactions
from cccnode.ledger.receipts import decode_receipt
from cccnode.ledger.registry import GenesisDocument, Registry
from cccnode.ledger.state import DictState, Overlay
from cccnode.ledger.transition import Outcome, apply_block
from cccnode.ledger.window import Window
from cccnode.types.block import Header
from cccnode.types.receipt import Receipt
from cccnode.types.transaction import Verified, sign_transaction
from genesis.bootstrap import BALANCE, Demo, make_demo
from genesis.header import genesis_header

START_MS = 1_760_000_000_000
FEE = 1_000
BLOCK_MS = 1_000


def certify(node_seed: bytes) -> bytes:
    """What the genesis check wants to see of a certificate: the key, as X.509 writes it."""
    return bytes.fromhex("302a300506032b6570032100") + SigningKey(node_seed).public_key


def key(number: int) -> SigningKey:
    """A key that no demo account has."""
    return SigningKey(number.to_bytes(32, "big"))


@cache
def demo(accounts: int = 4, validators: int = 4) -> Demo:
    """The demo network of a fixed seed."""
    return make_demo(validators, certify=certify, accounts=accounts, seed=b"tests", time_ms=START_MS)


@dataclass
class City:
    """State, window and newest header of one node that executes everything at once."""

    accounts: int = 4
    registry: Registry = CITY
    document: GenesisDocument | None = None
    """Another genesis than the demo's, for registries of tests."""
    state: DictState = field(default_factory=DictState)
    header: Header = field(init=False)
    window: Window = field(init=False)

    def __post_init__(self) -> None:
        """Height 0."""
        self.demo = demo(self.accounts)
        self.state.apply(self.registry.genesis_writes(self.document or self.demo.genesis))
        record = epoch_record(self.state, 0)
        self.header = genesis_header(self.demo.genesis, state_root=bytes(32), record=record)
        self.window = Window(record.limits.tx_lifetime_max_ms)
        self.window.add(0, self.header.time_ms, ())
        self._salt = 0

    @property
    def chain(self) -> bytes:
        return self.demo.genesis.chain

    @property
    def now(self) -> int:
        """Time of the newest block."""
        return self.header.time_ms

    def account(self, number: int) -> bytes:
        return self.demo.account(number)

    def sign(
        self,
        *messages: Noun,
        by: int | bytes = 0,
        keys: Sequence[SigningKey] | None = None,
        fee_max: int = FEE,
        fee_payer: bytes | None = None,
        valid_until_ms: int | None = None,
        salt: bytes | None = None,
    ) -> bytes:
        """Signed bytes; everything that a test does not name is right."""
        self._salt += 1
        if keys is None:
            assert isinstance(by, int)
            keys = [self.demo.accounts[by]]
        _, raw = sign_transaction(
            chain=self.chain,
            account=self.account(by) if isinstance(by, int) else by,
            valid_until_ms=valid_until_ms or self.now + 60_000,
            salt=salt or self._salt.to_bytes(8, "big"),
            fee_max=fee_max,
            messages=messages,
            keys=keys,
            fee_payer=fee_payer,
        )
        return raw

    def verified(self, raw: bytes) -> Verified:
        """As ingress would pass it on; signatures are not looked at."""
        return trusted_transactions(self.registry, [raw])[0]

    def next_header(self, time_ms: int | None = None) -> Header:
        """The header of the next block, BLOCK_MS later unless said otherwise."""
        return replace(self.header, height=self.header.height + 1, time_ms=time_ms or self.now + BLOCK_MS)

    def run(self, *raws: bytes, time_ms: int | None = None) -> Outcome:
        """Execute the next block and keep its result."""
        header = self.next_header(time_ms)
        transactions = [self.verified(raw) for raw in raws]
        outcome = apply_block(self.registry, self.state, self.window, header, transactions)
        self.state.apply(outcome.writes)
        self.window.add(header.height, header.time_ms, outcome.decided)
        self.header = header
        return outcome

    def balance(self, account: int | bytes, asset: str = "uccc") -> int:
        address = self.account(account) if isinstance(account, int) else account
        return balance(Overlay(self.state), address, asset)

    def supply(self, asset: str = "uccc") -> int:
        return supply(Overlay(self.state), asset)

    def total(self, asset: str = "uccc") -> int:
        """Sum of every balance item in the raw state, found without the bank's help."""
        item = asset.encode()
        groups = [items for group, items in self.state.groups.items() if group.startswith(b"b/")]
        return sum(_amount(items[item]) for items in groups if item in items)

    def transfer(self, to: int | bytes = 1, amount: int = 5, asset: str = "uccc") -> BankTransfer:
        return BankTransfer(self.account(to) if isinstance(to, int) else to, asset, amount)


def _amount(raw: bytes) -> int:
    value = msgpack.unpackb(raw)  # noqa: TID251 - our own state, read by the other library
    assert isinstance(value, int)
    return value


def receipts(outcome: Outcome) -> list[Receipt]:
    """The receipts of a block, decoded."""
    return [decode_receipt(raw) for raw in outcome.receipts]


__all__ = ["BALANCE", "BLOCK_MS", "FEE", "START_MS", "City", "certify", "demo", "key", "receipts"]
