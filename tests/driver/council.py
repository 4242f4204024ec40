"""Whole networks whose organisations change members, keys and nodes on command."""

from hashlib import sha256
from typing import Any

from cccnode.city import CITY
from cccnode.city.registry.messages import (
    AddValidator,
    Change,
    RegistryAddNode,
    RegistryApprove,
    RegistryPause,
    RegistryPropose,
    RegistryRemoveNode,
    RegistryRotateKey,
    RemoveValidator,
)
from cccnode.city.registry.state import checkpoints, open_proposals
from cccnode.codec import Noun
from cccnode.crypto.signing import SigningKey
from cccnode.driver.replica import Replica
from cccnode.ingress import trusted_transactions
from cccnode.ledger.state import Overlay
from cccnode.types.block import FinalBlock
from cccnode.types.readiness import rotation_bytes, sign_readiness
from cccnode.types.receipt import OK
from cccnode.types.validators import EpochRecord
from tests.driver.support import Audited
from tests.simulation.nodes import SimulatedNode, certify

MINUTE = 60_000


class Council(Audited):
    """A started network; organisations are named by the number of their node."""

    def __init__(self, monkeypatch: Any, seed: int = 3, **shape: int) -> None:
        super().__init__(seed, monkeypatch, **shape)
        self.start()
        self.run(1_000)

    # What it shows

    def replica(self, number: int = 0) -> Replica:
        return self.nodes[number].replica

    @property
    def record(self) -> EpochRecord:
        """Of the newest epoch that any node is in."""
        return max(self.alive(), key=lambda replica: replica.epoch.number).record

    @property
    def epoch(self) -> int:
        return self.record.epoch

    @property
    def members(self) -> list[str]:
        return [validator.organisation for validator in self.record.validators]

    def key_of(self, number: int) -> bytes:
        """The consensus key of an organisation in the newest epoch."""
        name = self.nodes[number].name
        return next(row.consensus_key for row in self.record.validators if row.organisation == name)

    def signing(self) -> list[int]:
        """Numbers of the nodes that sign at the moment."""
        return [
            node.number for node in self.nodes if node.replica and node.replica.voting is not None and not node.silent
        ]

    def blocks(self, number: int = 0) -> list[FinalBlock]:
        """Every block that a node has executed."""
        store = self.replica(number).store
        return [store.block(height) for height in range(1, store.applied.height + 1)]

    def lasts(self, number: int = 0) -> list[FinalBlock]:
        """The last blocks of all epochs."""
        return [block for block in self.blocks(number) if any(block.header.next_epoch_record_hash)]

    def state(self, number: int = 0) -> Overlay:
        return Overlay(self.replica(number).store.state)

    # What happens

    def transfer(self, number: int = 0, count: int = 1) -> list[bytes]:
        """Transfers through a node; returns their ids."""
        return [verified.id for verified in trusted_transactions(CITY, self.send(self.nodes[number], count=count))]

    def until_epoch(self, epoch: int, *, all_nodes: bool = True) -> None:
        """Keep sending until the nodes are in an epoch."""
        for _ in range(200):
            numbers = [replica.epoch.number for replica in self.alive()]
            if (min if all_nodes else max)(numbers) >= epoch:
                return
            up = [node.number for node in self.nodes if node.replica is not None]
            self.transfer(self.rng.choice(up))
            self.run(300)
        raise AssertionError(self.picture())

    def settle(self) -> None:
        """Everything that is due comes true, and everybody has it."""
        assert self.run(
            MINUTE,
            lambda: (
                self.settled()
                and len({replica.epoch.number for replica in self.reached()}) == 1
                and not any(replica.store.applied.ahead.due for replica in self.reached())
            ),
        ), self.picture()

    def act(self, number: int, message: Noun, *, through: int | None = None) -> str:
        """An organisation sends a message and waits for its outcome: `ok`, or the name of an error."""
        node = self.nodes[number if through is None else through]
        tx_id = self.order(self.nodes[number].partner, message, node)
        seen = [self.replica(own) for own in {0, number} if self.nodes[own].linked]
        assert self.run(MINUTE, lambda: all(tx_id in replica.window for replica in seen)), self.picture()
        code = self.decided[tx_id][1]
        return "ok" if code == OK else CITY.errors[code].name

    def rotate(self, number: int) -> bytes:
        """A new consensus key for an organisation, from the next epoch on."""
        node = self.nodes[number]
        key = self.new_key(node)
        proof = key.sign(rotation_bytes(self.demo.genesis.chain, node.name, key.public_key))
        assert "ok" == self.act(number, RegistryRotateKey(key.public_key, proof))
        return key.public_key

    def new_key(self, node: SimulatedNode) -> SigningKey:
        """A consensus key that is made in a node's home."""
        key = SigningKey(sha256(f"{node.name} {len(node.signers)}".encode()).digest())
        node.make_key(key.public_key)
        return key

    def pause(self, number: int) -> None:
        assert "ok" == self.act(number, RegistryPause())

    def decide(self, change: Change, *, by: int = 0, flagged: bool = False) -> None:
        """One organisation proposes, and all members approve until it is carried out."""
        assert "ok" == self.act(by, RegistryPropose(change, flagged))
        (number,) = open_proposals(self.state(by))
        for other in range(len(self.nodes)):
            if not open_proposals(self.state(by)):
                break
            if other != by and self.nodes[other].name in self.members:
                assert "ok" == self.act(other, RegistryApprove(number, True), through=by)
        assert not open_proposals(self.state(by)), "carried out"

    def candidate(self, number: int) -> AddValidator:
        """The change that makes an organisation a validator."""
        node = self.nodes[number]
        if not checkpoints(self.state(number)):
            ids = self.transfer()
            assert self.run(MINUTE, lambda: self.all_executed(ids) and self.settled())
        checkpoint = checkpoints(self.state(number))[-1]
        receipt = sign_readiness(
            self.new_key(node),
            organisation=node.name,
            node_key=node.key,
            height=checkpoint.height,
            state_root=self.replica(number).store.applied_at(checkpoint.height).state_root,
            version="1",
        )
        return AddValidator(node.name, receipt)

    def add(self, number: int, *, flagged: bool = False) -> None:
        self.decide(self.candidate(number), flagged=flagged)

    def remove_member(self, number: int, *, by: int = 0) -> None:
        self.decide(RemoveValidator(self.nodes[number].name), by=by)

    def register(self, number: int) -> bytes:
        """A second node key for an organisation; returns the key."""
        seed = sha256(f"node {number} {self.world.now_ms}".encode()).digest()
        assert "ok" == self.act(number, RegistryAddNode(certify(seed), ()))
        return SigningKey(seed).public_key

    def unregister(self, number: int, key: bytes) -> str:
        return self.act(number, RegistryRemoveNode(key))

    def move(self, number: int, key: bytes) -> None:
        """Restart a node with another transport key."""
        node = self.nodes[number]
        self.crash(node)
        node.key = key
        self.restart(node)

    # What must hold

    def sound(self, *liars: int) -> None:
        """One chain, one state, no key contradicts itself, nobody honest is accused."""
        self.liars |= {self.nodes[number].name for number in liars}
        assert self.run(MINUTE, self.settled), self.picture()
        self.final_checks()
        assert not self.violations, self.violations
