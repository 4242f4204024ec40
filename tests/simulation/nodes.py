"""Whole nodes in one process: machines that outlive their processes, links, clients, what is checked all the time."""

import copy
import dataclasses
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import sha256
from itertools import combinations

from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank.messages import BankTransfer
from cccnode.city.bank.state import balance
from cccnode.city.registry import record as membership
from cccnode.codec import Noun
from cccnode.crypto.verifying import verify_many
from cccnode.driver.accepted import AcceptedRestarts
from cccnode.driver.epochs import Identity
from cccnode.driver.execution import Applied
from cccnode.driver.replica import Replica
from cccnode.ledger.state import DictState, Overlay
from cccnode.node.data import initialise, open_data, unused_mark
from cccnode.node.members import Members
from cccnode.types.errors import Fault
from cccnode.types.transaction import account_id, sign_transaction
from consensus.config import Sign
from genesis.bootstrap import ASSET, Demo, Partner, make_demo
from genesis.document import LimitsEntry, document_bytes, read_genesis
from p2p.directory import Node, make_certificate
from p2p.events import Contact
from p2p.gossip import Gossip
from p2p.overlay import GossipConfig
from p2p.scores import Offence
from storage.memory import MemoryDisk, MemoryEngine
from storage.store import Store
from tests.simulation.audit import Audit
from tests.simulation.world import WALL_START_MS, NodeLinks, NodeRuntime, World

ACCOUNTS = 12
BALANCE = 10**9
STATE_DEPTH = 6
LIFETIME_MS = 20_000
"""How far ahead the clients' deadlines are."""
FEE_MAX = 10_000
AUDITED_BLOCKS = 8
"""Invariants read the whole state: they are checked after every so many blocks, and at the end."""

certify = cache(make_certificate)
"""Node seed -> certificate; none of them is ever shown to TLS here."""


@cache
def demo_network(validators: int, peers: int = 0, epoch_blocks: int | None = None, strangers: int = 0) -> Demo:
    """The genesis of a simulated network; `strangers` have keys and a node, and the genesis does not know them."""
    demo = make_demo(
        validators,
        certify=certify,
        peers=peers + strangers,
        accounts=ACCOUNTS,
        balance=BALANCE,
        seed=b"simulation",
        time_ms=WALL_START_MS - 1,
        state_depth=STATE_DEPTH,
        limits=LimitsEntry(epoch_blocks=epoch_blocks),
    )
    if not strangers:
        return demo
    outside = {partner.name for partner in demo.partners[-strangers:]}
    document = document_bytes(
        replace(
            demo.genesis.document,
            organisations=tuple(row for row in demo.genesis.document.organisations if row.name not in outside),
            accounts=tuple(row for row in demo.genesis.document.accounts if row.organisation not in outside),
        )
    )
    return dataclasses.replace(demo, genesis=read_genesis(document), document=document)


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
    """One machine of an organisation: its disk outlives its process."""

    number: int
    partner: Partner
    key: bytes
    """Transport key in use."""
    consensus_key: bytes | None
    """The one with which its home was made."""
    place: str
    """Where it stands in the network: two machines of one key stand apart."""
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    replica: Replica | None = None
    runtime: NodeRuntime | None = None
    links: NodeLinks | None = None
    linked: dict[bytes, "SimulatedNode"] = field(default_factory=dict)
    signers: dict[bytes, Sign] = field(default_factory=dict)
    """Every consensus key that lies in its home."""
    trusted: set[bytes] = field(default_factory=set)
    """Node keys that its registry names."""
    card: tuple[Contact, ...] = ()
    """Nodes of the network card with which it joined."""

    @property
    def name(self) -> str:
        """Its organisation."""
        return self.partner.name

    def take_key(self, consensus_key: bytes) -> None:
        """Put a consensus key into its home."""
        self.signers[consensus_key] = partial(sign_vote, consensus_key)

    def make_key(self, consensus_key: bytes) -> None:
        """Make a consensus key in its home: one that never signed."""
        self.take_key(consensus_key)
        self.disk.replace_file(unused_mark(consensus_key), b"")

    @property
    def silent(self) -> str | None:
        """Why it does not sign; None: it does, or it is no validator, or it is off."""
        voting = self.replica.voting if self.replica is not None else None
        return voting.engine.observing if voting is not None else None


class SimulatedNetwork:
    """Nodes, links, clients and what is checked all the time."""

    def __init__(
        self,
        seed: int,
        *,
        validators: int,
        peers: int = 0,
        epoch_blocks: int | None = None,
        strangers: int = 0,
        demo: Demo | None = None,
    ) -> None:
        """A network at genesis, of a `demo` of its own if given; `start` brings every node up."""
        self.world = World(seed)
        self.rng = random.Random(seed ^ 0x5EED)
        self.disk_ms = random.Random(seed ^ 0xD15C).choice([(0, 4), (0, 4), (5, 40)])
        """How long a write takes: on slow disks, power fails in the middle of one more often."""
        self.demo = demo or demo_network(validators, peers, epoch_blocks, strangers)
        self.nodes = [
            SimulatedNode(
                number,
                partner,
                partner.node_key,
                partner.consensus.public_key if partner.consensus else None,
                f"{number}",
            )
            for number, partner in enumerate(self.demo.partners)
        ]
        self.skews = [self.rng.randint(-300, 300) for _ in self.nodes]
        self.violations: list[str] = []
        self.chain: dict[int, tuple[bytes, bytes]] = {}
        """Height -> (block id, state root), as the first node that executed it found."""
        self.mirror, self.mirrored = DictState(), 0
        """The state without tree and disk, and its height: what the modules' invariants are checked on."""
        self.mirror.apply(CITY.genesis_writes(self.demo.genesis))
        self.decided: dict[bytes, tuple[int, int]] = {}
        """Transaction -> (height, code)."""
        self.acknowledged: dict[bytes, tuple[int, int]] = {}
        """Transaction -> (deadline, number of the node that acknowledged it)."""
        self.forgetful: set[str] = set()
        """Organisations that may meet own votes which they do not remember: a lost disk, a backup."""
        self.unwitnessed: set[str] = set()
        """Organisations whose older self began to sign where nobody in reach remembered votes of the newer one."""
        self._returning: list[SimulatedNode] = []
        """Older selves that have not signed yet."""
        self.liars: set[str] = set()
        """Organisations that may break any rule."""
        self.restarts: AcceptedRestarts | None = None
        """What the operators of all nodes have accepted, from their next start on."""
        self.booted: Callable[[SimulatedNode], None] = lambda node: None
        """Told of every process that starts."""
        self.at_epoch: dict[int, Callable[[], object]] = {}
        """What happens when the first node begins an epoch."""
        self._all_links: list[tuple[str, NodeLinks]] = []
        """Links of all processes there ever were, with their organisations."""
        self.coverage = self.world.coverage
        self.audit = Audit(self.demo.genesis.chain, verify_votes, self.coverage)
        self.world.spoken = self._spoken

    # Machines

    def start(self) -> None:
        """Found and start every node."""
        for node in self.nodes:
            if node.consensus_key is not None:
                node.disk.replace_file(unused_mark(node.consensus_key), b"")
            self.boot(node)
        self.relink()

    def boot(self, node: SimulatedNode) -> None:
        """Start a node from what its disk holds."""
        runtime = NodeRuntime(self.world, skew_ms=self.skews[node.number], disk_ms=self.disk_ms)
        links = NodeLinks(self.world, node.key, node.place)
        genesis, home = self.demo.genesis, node.partner.node_key
        store = Store.open(
            node.disk, node.engine, chain=genesis.chain, node_id=home, depth=genesis.document.state_depth
        )
        header = initialise(store, genesis)
        if node.consensus_key is not None:
            node.take_key(node.consensus_key)
        members = Members(store, node.key, bootstrap=node.card)
        members.changed = partial(self._trust, node)
        links.trusts = node.trusted.__contains__
        replica = Replica(
            runtime=runtime,
            links=links,
            identity=Identity(node_key=node.key, signers=node.signers),
            opened=open_data(node.disk, store),
            registry=CITY,
            membership=membership,
            chain_id=genesis.chain,
            genesis_header=header,
            contacts=members.contacts,
            gossip=Gossip(GossipConfig(node_key=node.key), runtime.rng, runtime.now_ms()),
            verify_many=verify_many,
            verify_votes=verify_votes,
            restarts=self.restarts,
        )
        node.runtime, node.links, node.replica = runtime, links, replica
        node.linked = {}
        links.receive = replica.on_frame
        self._all_links.append((node.name, links))
        self.booted(node)
        self.audit.know(replica.record)
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
            self.forgetful.add(node.name)
            node.disk, node.engine = MemoryDisk(), MemoryEngine()
            node.card = self.card()
        self.relink()

    def restart(self, node: SimulatedNode) -> None:
        """Power on, unless the machine is gone."""
        if node.replica is None and node in self.nodes:
            self.boot(node)
            self.relink()

    def backup(self, node: SimulatedNode) -> tuple[MemoryDisk, MemoryEngine]:
        """A copy of a node's data, as it is at this moment."""
        disk, engine = copy.deepcopy((node.disk, node.engine))
        for copied in (disk, engine):
            copied.crash(random.Random(0))
        return disk, engine

    def restore(self, node: SimulatedNode, backup: tuple[MemoryDisk, MemoryEngine]) -> None:
        """Replace a node by an older self of it."""
        self.crash(node)
        self.forgetful.add(node.name)
        self._returning.append(node)
        node.disk, node.engine = backup
        self.restart(node)

    def twin(self, node: SimulatedNode, backup: tuple[MemoryDisk, MemoryEngine]) -> SimulatedNode:
        """Start an older self of a node beside it."""
        other = SimulatedNode(node.number, node.partner, node.key, node.consensus_key, node.place + "'", *backup)
        other.signers, other.card = node.signers, node.card
        self.forgetful.add(node.name)
        self._returning.append(other)
        self.nodes.append(other)
        self.boot(other)
        self.relink()
        return other

    def remove(self, node: SimulatedNode) -> None:
        """A machine goes for good."""
        if node.replica is not None:
            self.crash(node)
        self.nodes.remove(node)

    def _spoken(self, key: bytes, payload: bytes) -> None:
        """A consensus message leaves a node: audited; when it is an older self's first, who could know better?"""
        for node in [node for node in self._returning if node.key == key]:
            if node.replica is not None and node.silent is None:
                self._returning.remove(node)
                if not self._witnessed(node, node.replica):
                    self.unwitnessed.add(node.name)
                    self.coverage["unwitnessed returns"] += 1
        self.audit.hear(payload)

    def _witnessed(self, node: SimulatedNode, replica: Replica) -> bool:
        """Whether somebody in reach knows a vote of this validator that its own journal lacks."""
        me = replica.epoch.me
        for peer in self.nodes:
            voting = peer.replica.voting if peer.replica is not None and self._meet(node, peer) else None
            if me is not None and voting is not None and voting.engine.votes_of(me) is not None:
                return True
        return False

    def card(self) -> tuple[Contact, ...]:
        """The nodes that a card names which is made now, by the node that knows most."""
        replica = max(self.alive(), key=lambda replica: replica.chain.height, default=None)
        return tuple(replica._contacts(replica.epoch.nodes)) if replica is not None else ()

    def _trust(self, node: SimulatedNode, nodes: Sequence[Node]) -> None:
        trusted = {row.node_key for row in nodes} | {contact.node_key for contact in node.card}
        if trusted != node.trusted:
            node.trusted.clear()
            node.trusted.update(trusted)
            self.world.at(0, self.relink)

    def relink(self) -> None:
        """Tell every node which links came and went."""
        for one, other in combinations(self.nodes, 2):
            for node, peer in ((one, other), (other, one)):
                if node.linked.get(peer.key) is peer and not self._meet(node, peer):
                    del node.linked[peer.key]
                    if node.replica is not None:
                        node.replica.on_unlinked(peer.key)
        for one, other in combinations(self.nodes, 2):
            for node, peer in ((one, other), (other, one)):
                if peer.key not in node.linked and self._meet(node, peer):
                    node.linked[peer.key] = peer
                    assert node.replica is not None
                    node.replica.on_linked(peer.key)

    @staticmethod
    def _meet(node: SimulatedNode, peer: SimulatedNode) -> bool:
        if node.replica is None or peer.replica is None or node.links is None or peer.links is None:
            return False
        return node.links.meets(peer.links)

    def _executed(self, node: SimulatedNode, applied: Applied) -> None:
        """After every executed block of every node: one chain, one state, nothing twice."""
        assert node.replica is not None
        outcome, found = applied.outcome, node.replica.store.applied
        assert found is not None
        self.coverage["blocks"] += 1
        self.audit.know(node.replica.record)
        if (waiting := self.at_epoch.pop(node.replica.epoch.number, None)) is not None:
            waiting()
        voting = node.replica.voting
        if voting is not None and voting.alarm is not None and node.name not in self.forgetful | self.liars:
            self.violations.append(f"alarm at {node.name}: {voting.alarm}")
        mine = (found.block_id, found.state_root)
        if self.chain.setdefault(outcome.height, mine) != mine:
            self.violations.append(f"node {node.number} differs at height {outcome.height}")
        if outcome.height == self.mirrored + 1:
            self.mirrored += 1
            self.mirror.apply(outcome.writes)
            if self.mirrored % AUDITED_BLOCKS == 0:
                self.violations += CITY.broken(self.mirror)
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
                fee_max=FEE_MAX,
                messages=[BankTransfer(self.demo.account(payee), ASSET, self.rng.randint(1, 1000))],
                keys=[self.demo.accounts[payer]],
            )
            deadlines[tx_id] = deadline
            raws.append(raw)
        self.submit(node, raws, deadlines)
        return raws

    def order(self, partner: Partner, message: Noun, node: SimulatedNode) -> bytes:
        """An organisation's account sends a message through some node; returns the transaction's id."""
        deadline = WALL_START_MS + self.world.now_ms + LIFETIME_MS
        tx_id, raw = sign_transaction(
            chain=self.demo.genesis.chain,
            account=partner.account,
            valid_until_ms=deadline,
            salt=self.rng.randbytes(8),
            fee_max=FEE_MAX,
            messages=[message],
            keys=[partner.owner],
        )
        self.submit(node, [raw], {tx_id: deadline})
        return tx_id

    def submit(self, node: SimulatedNode, raws: Sequence[bytes], deadlines: dict[bytes, int]) -> None:
        """Submit and remember what was acknowledged."""
        if node.replica is None:
            return
        members = Members(node.replica.store, node.key)

        def answered(results: list[tuple[bytes, Fault | None]]) -> None:
            for tx_id, refusal in results:
                if not members.registered():
                    self.coverage["not promised any more"] += 1  # as the service answers then
                elif refusal is None and tx_id in deadlines:
                    self.acknowledged[tx_id] = (deadlines[tx_id], node.number)
                elif refusal is not None:
                    self.coverage[f"refused {refusal.spec.name}"] += 1

        node.replica.submit(raws, answered)

    # Checks at the end

    def alive(self) -> list[Replica]:
        """Every running replica."""
        return [node.replica for node in self.nodes if node.replica is not None]

    def reached(self) -> list[Replica]:
        """Every running honest replica that is linked with somebody, if there is anybody: strangers are not."""
        alone = len(self.nodes) == 1
        honest = [node for node in self.nodes if node.name not in self.liars and (alone or node.linked)]
        return [node.replica for node in honest if node.replica is not None]

    def settled(self) -> bool:
        """Whether every node is at the same height with nothing left to decide."""
        replicas = self.reached()
        heights = {replica.chain.height for replica in replicas}
        return len(heights) == 1 and all(not replica.pool.waiting for replica in replicas)

    def picture(self) -> str:
        """Where everybody stands, for whoever reads of a violation."""
        rows = []
        for node in self.nodes:
            replica = node.replica
            if replica is not None:
                engine = replica.voting.engine.status() if replica.voting is not None else None
                view = f"view {engine.view} {engine.observing or ''} {engine.waiting_for}" if engine else "peer"
                rows.append(f"{node.place}: {replica.epoch.number}/{replica.chain.height} {view}, {len(replica.pool)}")
        return "; ".join(rows)

    def final_checks(self) -> None:
        """What must hold once everything has healed."""
        self.violations += self.audit.violations(self.liars, self.unwitnessed)
        replicas = self.reached()
        roots = {replica.store.state.root for replica in replicas}
        if len(roots) != 1:
            self.violations.append(f"{len(roots)} different states at the end")
        time_ms = min(replica.window.time_ms for replica in replicas)
        for tx_id, (deadline, number) in self.acknowledged.items():
            if tx_id not in self.decided and deadline > time_ms:
                self.violations.append(f"{tx_id.hex()[:8]} acknowledged by {number} is neither executed nor expired")
            elif tx_id not in self.decided:
                self.coverage["expired"] += 1
        state = Overlay(replicas[0].store.state)
        total = sum(balance(state, account, ASSET) for account in _accounts(self.demo))
        if total != self.demo.supply:
            self.violations.append(f"{total} base units where {self.demo.supply} belong")
        self.violations += CITY.broken(self.mirror)
        self.violations += self._false_accusations()
        self.violations += self._false_evidence()

    def _false_accusations(self) -> Iterable[str]:
        """Cut links make honest nodes late; whatever else they are accused of would be our mistake."""
        faulty = {links.key for name, links in self._all_links if name in self.liars}
        for name, links in self._all_links:
            for peer, offence, detail in links.punished:
                if offence is not Offence.TIMEOUT and peer not in faulty and links.key not in faulty:
                    yield f"{name} accused {peer.hex()[:8]} of {offence.name}: {detail}"

    def _false_evidence(self) -> Iterable[str]:
        """What honest nodes keep against somebody is against a liar."""
        for replica in self.reached():
            for epoch, first, _ in replica.evidence:
                name = self.audit.records[epoch].validators[first.signer].organisation
                self.coverage["evidence"] += 1
                if name not in self.liars | self.unwitnessed:
                    yield f"evidence against {name} in epoch {epoch}"

    def digest(self) -> str:
        """What happened, in one hash."""
        content = repr((sorted(self.chain.items()), sorted(self.decided.items()), sorted(self.coverage.items())))
        return sha256(content.encode()).hexdigest()


def _accounts(demo: Demo) -> list[bytes]:
    organisations = [partner.account for partner in demo.partners]
    return [account_id(key.public_key) for key in demo.accounts] + organisations + sorted(CITY.module_accounts)
