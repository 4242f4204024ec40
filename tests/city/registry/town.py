"""A network's ledger without its network: organisations, blocks with their epoch's record, epochs on request."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import count
from typing import Any

from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Pillar
from cccnode.city.registry.messages import (
    AddValidator,
    AdmitOrganisation,
    Change,
    NodeOffer,
    RegistryApprove,
    RegistryPropose,
    RegistryRotateKey,
)
from cccnode.city.registry.queries import NoParams
from cccnode.city.registry.record import epoch_record, next_record
from cccnode.codec import Noun
from cccnode.crypto.signing import SigningKey
from cccnode.ingress import trusted_transactions
from cccnode.ledger.receipts import decode_receipt
from cccnode.ledger.state import DictState, Overlay
from cccnode.ledger.transition import Execution, Outcome
from cccnode.ledger.window import Window
from cccnode.types.readiness import ReadinessReceipt, rotation_bytes, sign_readiness
from cccnode.types.receipt import OK, Event
from cccnode.types.transaction import sign_transaction
from cccnode.types.validators import EpochRecord
from genesis.bootstrap import make_demo
from genesis.header import genesis_header
from tests.support.city import BLOCK_MS, START_MS, certify

Sent = tuple[str, Noun]
"""Who sends what: the name of an organisation, or `demo0` for a member."""


def root(height: int) -> bytes:
    """The state root that headers report for a height."""
    return sha256(b"root %d" % height).digest()


class Town:
    """Everything that a test does not name is right."""

    def __init__(self, validators: int = 4, peers: int = 1, **genesis: Any) -> None:
        self.demo = make_demo(
            validators, peers=peers, accounts=1, certify=certify, seed=b"town", time_ms=START_MS, **genesis
        )
        self.owners = {partner.name: partner.owner for partner in self.demo.partners}
        self.owners["demo0"] = self.demo.accounts[0]
        self.accounts = {partner.name: partner.account for partner in self.demo.partners}
        self.accounts["demo0"] = self.demo.account(0)
        self.consensus = {p.name: p.consensus for p in self.demo.partners if p.consensus is not None}
        self.state = DictState()
        self.state.apply(CITY.genesis_writes(self.demo.genesis))
        self.record: EpochRecord = epoch_record(self.state, 0)
        self.header = genesis_header(self.demo.genesis, state_root=root(0), record=self.record)
        self.window = Window(self.record.limits.tx_lifetime_max_ms)
        self.window.add(0, self.header.time_ms, ())
        self.events: list[Event] = []
        """Of the last block."""
        self.silent: set[str] = set()
        """Validators that never lead."""
        self._salts, self._seeds = count(1), count(1_000)

    @property
    def chain(self) -> bytes:
        return self.demo.genesis.chain

    @property
    def height(self) -> int:
        return self.header.height

    @property
    def members(self) -> list[str]:
        return [validator.organisation for validator in self.record.validators]

    @property
    def overlay(self) -> Overlay:
        return Overlay(self.state)

    def block(self, *sent: Sent, leader: str | None = None, time_ms: int | None = None) -> list[str]:
        """Execute the next block; the outcomes by name, `ok` for success."""
        outcome = self.execute(*sent, leader=leader, time_ms=time_ms)
        self.events = [event for raw in outcome.receipts for event in decode_receipt(raw).events if event[0] != "bank"]
        return ["ok" if code == OK else CITY.errors[code].name for code in outcome.codes]

    def execute(self, *sent: Sent, leader: str | None = None, time_ms: int | None = None) -> Outcome:
        """The same; the outcome itself."""
        height = self.height + 1
        awake = [name for name in self.members if name not in self.silent]
        proposer = self.members.index(leader or awake[height % len(awake)])
        header = replace(
            self.header,
            epoch=self.record.epoch,
            height=height,
            proposer=proposer,
            time_ms=time_ms or self.header.time_ms + BLOCK_MS,
            exec_height=height - 1,
            state_root=root(height - 1),
        )
        raws = [self.sign(name, message, header.time_ms) for name, message in sent]
        verified = trusted_transactions(CITY, raws)
        outcome = Execution(CITY, self.state, self.window, header, verified, self.record).finish()
        self.state.apply(outcome.writes)
        self.window.add(height, header.time_ms, outcome.decided)
        self.header = header
        return outcome

    def sign(self, name: str, message: Noun, now_ms: int) -> bytes:
        _, raw = sign_transaction(
            chain=self.chain,
            account=self.accounts[name],
            valid_until_ms=now_ms + 60_000,
            salt=next(self._salts).to_bytes(8, "big"),
            fee_max=1_000,
            messages=[message],
            keys=[self.owners[name]],
        )
        return raw

    def send(self, name: str, message: Noun) -> str:
        """One message in a block of its own."""
        return self.block((name, message))[0]

    def spin(self, blocks: int) -> None:
        """Empty blocks."""
        for _ in range(blocks):
            self.block()

    def hush(self, *names: str) -> None:
        """From now on these do not lead, for so long that everybody notices."""
        self.silent = set(names)
        self.spin(16 * (len(self.members) + 1) + 2)

    def jump(self, height: int) -> None:
        """Go on as if this were the height of the newest block."""
        self.header = replace(self.header, height=height)
        self.window = Window(self.record.limits.tx_lifetime_max_ms)
        self.window.add(height, self.header.time_ms, ())

    def turn(self) -> EpochRecord:
        """Begin the next epoch with what the state wants, and make its first block."""
        self.record = next_record(self.state, self.record)
        self.block()
        return self.record

    def settle(self) -> None:
        """Epochs until nothing waits."""
        for _ in range(300):
            following = next_record(self.state, self.record)
            if replace(following, epoch=self.record.epoch) == self.record:
                return
            self.turn()
        raise AssertionError("the plan never comes true")

    def ask(self, method: str, params: Noun | None = None) -> Any:
        return CITY.answer(f"registry_{method}", self.state, params or NoParams())

    # Deciding

    def propose(self, name: str, change: Change, *, flagged: bool = False) -> int:
        """The number of a proposal that must open."""
        assert self.send(name, RegistryPropose(change, flagged)) == "ok"
        return next(event[2] for event in self.events if event[1] == "proposed")

    def decide(self, change: Change, *, flagged: bool = False, by: Sequence[str] | None = None) -> list[str]:
        """Propose, and approve by all who may and are needed; the names of the last block's events."""
        names = list(by or self.members)
        number = self.propose(names[0], change, flagged=flagged)
        for name in names:
            if number in {row.number for row in self.ask("proposals")}:
                self.block((name, RegistryApprove(number, True)))
        return [event[1] for event in self.events]

    # Things to propose

    def new_key(self) -> SigningKey:
        """A key that nobody has."""
        return SigningKey(next(self._seeds).to_bytes(32, "big"))

    def node(self) -> tuple[bytes, NodeOffer]:
        """A new machine: its key, and what registers it."""
        key = self.new_key()
        return key.public_key, NodeOffer(certify(key.seed), ("10.0.0.1:4000",))

    def admission(self, name: str, *, nodes: int = 1, **changes: Any) -> AdmitOrganisation:
        """A partner to take in; its account's key is remembered."""
        owner = self.new_key()
        self.owners[name] = owner
        fields: dict[str, Any] = {
            "name": name,
            "pillar": Pillar.PRIVATE,
            "keys": (WeightedKey(owner.public_key),),
            "threshold": 1,
            "nodes": tuple(self.node()[1] for _ in range(nodes)),
        }
        return AdmitOrganisation(**{**fields, **changes})

    def receipt(self, name: str, **changes: Any) -> ReadinessReceipt:
        """A candidate's receipt for the newest checkpoint, with a new consensus key."""
        key = changes.pop("key", None) or self.new_key()
        self.consensus[name] = key
        checkpoint = self.ask("checkpoints")[-1]
        nodes = [row.node_key for row in self.ask("nodes") if row.organisation == name]
        fields: dict[str, Any] = {
            "organisation": name,
            "node_key": nodes[0] if nodes else bytes(32),
            "height": checkpoint.height,
            "state_root": checkpoint.state_root,
            "version": "0.1.0",
        }
        return sign_readiness(key, **{**fields, **changes})

    def candidacy(self, name: str) -> AddValidator:
        return AddValidator(name, self.receipt(name))

    def rotation(self, name: str) -> RegistryRotateKey:
        key = self.new_key()
        self.consensus[name] = key
        return RegistryRotateKey(key.public_key, key.sign(rotation_bytes(self.chain, name, key.public_key)))
