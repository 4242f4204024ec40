"""Whole nodes in one process: codec, mempool, batches, consensus, ledger, storage, catch-up; from one seed.

Clients send transfers to random nodes while links are cut and lossy and nodes lose power, some of them for good with
all their data.  Then everything heals, and every honest promise is checked: one chain, one state, every acknowledged
transaction executed exactly once or provably expired, no money made or lost.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import sha256
from itertools import combinations
from typing import Any

from cccnode.city import CITY
from cccnode.city.bank.messages import BankTransfer
from cccnode.city.registry.record import registered_nodes
from cccnode.crypto.verifying import verify_many
from cccnode.driver.execution import Applied
from cccnode.driver.replica import Identity, Replica
from cccnode.node.data import FOUNDED, initialise, open_data
from cccnode.types.errors import Fault
from cccnode.types.transaction import account_id, sign_transaction
from genesis.bootstrap import ASSET, Demo, make_demo
from p2p.events import Contact
from p2p.gossip import Gossip
from p2p.overlay import GossipConfig
from p2p.scores import Offence
from storage.memory import MemoryDisk, MemoryEngine
from storage.store import Store
from tests.simulation.result import Result
from tests.simulation.world import WALL_START_MS, NodeLinks, NodeRuntime, World

COVERAGE = ("blocks", "executed", "crashes", "wipes", "partitions", "dropped", "writes cut short", "resubmitted")
HEAL_MS = 12_000
SETTLE_MS = 60_000
ACCOUNTS = 12
BALANCE = 10**9
STATE_DEPTH = 6
LIFETIME_MS = 20_000
"""How far ahead the clients' deadlines are."""


@cache
def demo_network(validators: int, peers: int = 0) -> Demo:
    """The genesis of a simulated network; the certificates are never shown to TLS here."""
    from p2p.directory import make_certificate  # noqa: PLC0415 - needed once a process

    return make_demo(
        validators,
        certify=make_certificate,
        peers=peers,
        accounts=ACCOUNTS,
        balance=BALANCE,
        seed=b"simulation",
        time_ms=WALL_START_MS - 1,
        state_depth=STATE_DEPTH,
    )


def sign_vote(secret: bytes, message: bytes) -> bytes:
    """A stand-in for Ed25519 among honest nodes: anyone could forge it, nobody here does."""
    digest = sha256(secret + message).digest()
    return digest + digest


def verify_votes(messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
    """The verdicts of the stand-in."""
    return [
        sign_vote(key, message) == signature for message, signature, key in zip(messages, signatures, keys, strict=True)
    ]


@dataclass(slots=True, eq=False)
class SimulatedNode:
    """One machine: its disk outlives its process."""

    number: int
    key: bytes
    consensus_key: bytes | None
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    replica: Replica | None = None
    runtime: NodeRuntime | None = None
    links: NodeLinks | None = None
    linked: set[bytes] = field(default_factory=set)


class SimulatedNetwork:
    """Nodes, links, clients and what is checked all the time."""

    def __init__(self, seed: int, *, validators: int, peers: int = 0) -> None:
        """A network at genesis; `start` brings every node up."""
        self.world = World(seed)
        self.rng = random.Random(seed ^ 0x5EED)
        self.disk_ms = random.Random(seed ^ 0xD15C).choice([(0, 4), (0, 4), (5, 40)])
        """How long a write takes: on slow disks, power fails in the middle of one more often."""
        self.demo = demo_network(validators, peers)
        self.nodes = [
            SimulatedNode(number, partner.node_key, partner.consensus.public_key if partner.consensus else None)
            for number, partner in enumerate(self.demo.partners)
        ]
        self.skews = [self.rng.randint(-300, 300) for _ in self.nodes]
        self.violations: list[str] = []
        self.chain: dict[int, tuple[bytes, bytes]] = {}
        """Height -> (block id, state root), as the first node that executed it found."""
        self.decided: dict[bytes, tuple[int, int]] = {}
        """Transaction -> (height, code)."""
        self.acknowledged: dict[bytes, tuple[int, int]] = {}
        """Transaction -> (deadline, number of the node that acknowledged it)."""
        self.wiped: set[int] = set()
        self.coverage = self.world.coverage

    def start(self) -> None:
        """Found and start every node."""
        for node in self.nodes:
            node.disk.replace_file(f"journal/0/{FOUNDED}", b"")
            self.boot(node)
        self.relink()

    def boot(self, node: SimulatedNode) -> None:
        """Start a node from what its disk holds."""
        runtime = NodeRuntime(self.world, skew_ms=self.skews[node.number], disk_ms=self.disk_ms)
        links = NodeLinks(self.world, node.key)
        genesis = self.demo.genesis
        store = Store.open(node.disk, node.engine, chain=genesis.chain, node_id=node.key, depth=STATE_DEPTH)
        header, record = initialise(store, genesis)
        index = next(
            (i for i, validator in enumerate(record.validators) if validator.consensus_key == node.consensus_key), None
        )
        opened = open_data(node.disk, store, 0, validates=index is not None)
        contacts = [
            Contact(node_key=row.node_key, validator=row.validator, addresses=())
            for row in registered_nodes(store.state)
        ]
        replica = Replica(
            runtime=runtime,
            links=links,
            identity=Identity(
                node_key=node.key,
                validator=index,
                sign=partial(sign_vote, node.consensus_key) if node.consensus_key is not None else None,
            ),
            opened=opened,
            registry=CITY,
            chain_id=genesis.chain,
            genesis_header=header,
            record=record,
            contacts=contacts,
            gossip=Gossip(GossipConfig(node_key=node.key), runtime.rng, runtime.now_ms()),
            verify_many=verify_many,
            verify_votes=verify_votes,
        )
        node.runtime, node.links, node.replica = runtime, links, replica
        node.linked = set()
        links.receive = replica.on_frame
        self.world.links[node.key] = links
        replica.decided_hooks.append(partial(self._executed, node))
        replica.start()

    def crash(self, node: SimulatedNode, *, wipe: bool = False) -> None:
        """Cut the power of a node; `wipe` takes its data folder too."""
        assert node.runtime is not None
        assert node.links is not None
        node.links.up = False
        node.runtime.die(node.disk, node.engine)
        node.replica = None
        self.coverage["crashes"] += 1
        if wipe:
            self.coverage["wipes"] += 1
            self.wiped.add(node.number)
            node.disk, node.engine = MemoryDisk(), MemoryEngine()
        self.relink()

    def restart(self, node: SimulatedNode) -> None:
        """Power on."""
        if node.replica is None:
            self.boot(node)
            self.relink()

    def relink(self) -> None:
        """Tell every node which links came and went."""
        for one, other in combinations(self.nodes, 2):
            together = (
                one.replica is not None
                and other.replica is not None
                and one.links is not None
                and other.key in one.links.connected()
            )
            for node, peer in ((one, other), (other, one)):
                if node.replica is None:
                    node.linked.clear()
                elif together and peer.key not in node.linked:
                    node.linked.add(peer.key)
                    node.replica.on_linked(peer.key)
                elif not together and peer.key in node.linked:
                    node.linked.discard(peer.key)
                    node.replica.on_unlinked(peer.key)

    def _executed(self, node: SimulatedNode, applied: Applied) -> None:
        """After every executed block of every node: one chain, one state, nothing twice."""
        assert node.replica is not None
        outcome, found = applied.outcome, node.replica.store.applied
        assert found is not None
        self.coverage["blocks"] += 1
        mine = (found.block_id, found.state_root)
        if self.chain.setdefault(outcome.height, mine) != mine:
            self.violations.append(f"node {node.number} differs at height {outcome.height}")
        for tx_id, code in zip(outcome.decided, outcome.codes, strict=True):
            self.coverage["executed"] += 1
            if self.decided.setdefault(tx_id, (outcome.height, code)) != (outcome.height, code):
                self.violations.append(f"transaction {tx_id.hex()[:8]} decided twice, at height {outcome.height}")

    # Clients

    def send(self, node: SimulatedNode, *, count: int, lifetime_ms: int = LIFETIME_MS) -> list[bytes]:
        """Hand `count` transfers to a node; returns their bytes."""
        raws: list[bytes] = []
        deadlines: dict[bytes, int] = {}
        for _ in range(count):
            payer, payee = self.rng.sample(range(ACCOUNTS), 2)
            deadline = WALL_START_MS + self.world.now_ms + lifetime_ms
            tx_id, raw = sign_transaction(
                chain=self.demo.genesis.chain,
                account=self.demo.account(payer),
                valid_until_ms=deadline,
                salt=self.rng.randbytes(8),
                fee_max=10_000,
                messages=[BankTransfer(self.demo.account(payee), ASSET, self.rng.randint(1, 1000))],
                keys=[self.demo.accounts[payer]],
            )
            deadlines[tx_id] = deadline
            raws.append(raw)
        self.submit(node, raws, deadlines)
        return raws

    def submit(self, node: SimulatedNode, raws: Sequence[bytes], deadlines: dict[bytes, int]) -> None:
        """Submit and remember what was acknowledged."""
        if node.replica is None:
            return

        def answered(results: list[tuple[bytes, Fault | None]]) -> None:
            for tx_id, refusal in results:
                if refusal is None and tx_id in deadlines:
                    self.acknowledged[tx_id] = (deadlines[tx_id], node.number)
                elif refusal is not None:
                    self.coverage[f"refused {refusal.spec.name}"] += 1

        node.replica.submit(raws, answered)

    # Checks at the end

    def alive(self) -> list[Replica]:
        """Every running replica."""
        return [node.replica for node in self.nodes if node.replica is not None]

    def settled(self) -> bool:
        """Whether every node is at the same height with nothing left to decide."""
        replicas = self.alive()
        heights = {replica.chain.height for replica in replicas}
        return len(heights) == 1 and all(not replica.pool.waiting for replica in replicas)

    def final_checks(self) -> None:
        """What must hold once everything has healed."""
        replicas = self.alive()
        roots = {replica.store.state.root for replica in replicas}
        if len(roots) != 1:
            self.violations.append(f"{len(roots)} different states at the end")
        time_ms = min(replica.window.time_ms for replica in replicas)
        for tx_id, (deadline, number) in self.acknowledged.items():
            if tx_id not in self.decided and deadline > time_ms:
                self.violations.append(f"{tx_id.hex()[:8]} acknowledged by {number} is neither executed nor expired")
            elif tx_id not in self.decided:
                self.coverage["expired"] += 1
        total = sum(_balance(replicas[0], account) for account in _accounts(self.demo))
        if total != ACCOUNTS * BALANCE:
            self.violations.append(f"{total} base units where {ACCOUNTS * BALANCE} belong")
        for node in self.nodes:
            assert node.links is not None
            for peer, offence, detail in node.links.punished:
                # Cut links make honest nodes late; whatever else they are accused of would be our mistake.
                if offence is not Offence.TIMEOUT:
                    self.violations.append(f"node {node.number} accused {peer.hex()[:8]} of {offence.name}: {detail}")

    def digest(self) -> str:
        """What happened, in one hash."""
        content = repr((sorted(self.chain.items()), sorted(self.decided.items()), sorted(self.coverage.items())))
        return sha256(content.encode()).hexdigest()


def _accounts(demo: Demo) -> list[bytes]:
    return [account_id(key.public_key) for key in demo.accounts] + sorted(CITY.module_accounts)


def _balance(replica: Replica, account: bytes) -> int:
    from cccnode.city.bank.state import balance  # noqa: PLC0415 - beside its only use
    from cccnode.ledger.state import Overlay  # noqa: PLC0415

    return balance(Overlay(replica.store.state), account, ASSET)


class _Faults:
    """What goes wrong before everything heals."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self.network, self.rng, self.world = network, network.rng, network.world
        conditions = self.world.conditions
        conditions.loss = self.rng.choice([0, 0, 0.01, 0.1])
        conditions.latency_ms = self.rng.choice([(1, 3), (5, 40), (20, 200)])
        self._kinds: list[Callable[[], None]] = [self._partition, self._crash, self._crash, self._power_cut, self._wipe]

    def next(self) -> None:
        """One fault, and the time of the next."""
        if self.world.now_ms < HEAL_MS:
            self.rng.choice(self._kinds)()
            self.world.at(self.rng.randint(200, 2_500), self.next)

    def heal(self) -> None:
        """The network is whole again and every node is up."""
        conditions = self.world.conditions
        conditions.loss, conditions.groups, conditions.latency_ms = 0.0, {}, (1, 20)
        for node in self.network.nodes:
            self.network.restart(node)
        self.network.relink()

    def _partition(self) -> None:
        parts = self.rng.choice([1, 2, 2, 3])
        self.world.coverage["partitions"] += parts > 1
        self.world.conditions.groups = {node.key: self.rng.randrange(parts) for node in self.network.nodes}
        self.network.relink()

    def _crash(self) -> None:
        node = self.rng.choice(self.network.nodes)
        if node.replica is not None:
            self.network.crash(node)
            self.world.at(self.rng.randint(50, 3_000), partial(self.network.restart, node))

    def _power_cut(self) -> None:
        if self.rng.random() < 0.3:
            for node in self.network.nodes:
                if node.replica is not None:
                    self.network.crash(node)
                    self.world.at(self.rng.randint(50, 3_000), partial(self.network.restart, node))

    def _wipe(self) -> None:
        """At most f validators may lose their data for good: more would be more faults than the protocol bears."""
        faults = (len(self.network.nodes) - 1) // 3
        node = self.rng.choice(self.network.nodes)
        if self.rng.random() < 0.3 and node.replica is not None and len(self.network.wiped | {node.number}) <= faults:
            self.network.crash(node, wipe=True)
            self.world.at(self.rng.randint(50, 3_000), partial(self.network.restart, node))


def run_seed(seed: int) -> Result:
    """One network, one history of faults."""
    validators = random.Random(seed).choice([4, 4, 4, 4, 5, 7])
    network = SimulatedNetwork(seed, validators=validators)
    world, rng = network.world, network.rng
    network.start()
    faults = _Faults(network)
    world.at(rng.randint(300, 2_000), faults.next)
    sent: list[Any] = []

    def client() -> None:
        node = rng.choice(network.nodes)
        if sent and rng.random() < 0.15:
            # The same bytes again, perhaps elsewhere, perhaps after a restart: must not happen twice.
            network.coverage["resubmitted"] += 1
            network.submit(node, rng.choice(sent), {})
        else:
            sent.append(network.send(node, count=rng.randint(1, 6), lifetime_ms=rng.choice([3_000, LIFETIME_MS])))
        if world.now_ms < HEAL_MS:
            world.at(rng.randint(20, 700), client)

    world.at(100, client)
    world.run_until(HEAL_MS)
    faults.heal()
    before = max((replica.chain.height for replica in network.alive()), default=0)
    last = network.send(network.nodes[0], count=3)
    ids = Counter[bytes]()

    def healed() -> bool:
        return network.settled() and all(replica.chain.height > before for replica in network.alive())

    if not world.run_until(HEAL_MS + SETTLE_MS, healed):
        heights = [replica.chain.height for replica in network.alive()]
        waiting = [len(replica.pool) for replica in network.alive()]
        network.violations.append(f"not settled: heights {heights}, were {before}, batches {waiting}")
    # Let every short deadline pass under a final block, so that `expired` is certain for what was lost.
    world.run_until(world.now_ms + LIFETIME_MS)
    network.send(network.nodes[0], count=1)
    world.run_until(world.now_ms + 3_000)
    del last, ids
    network.final_checks()
    return Result(network.violations, network.coverage, network.digest())
