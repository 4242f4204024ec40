"""What the partners of a simulated network do: each through its own account, by what its own node shows it.

They rotate consensus and transport keys, pause and come back, put each other out, take in newcomers, and approve what
others propose.  Never more members are unable to vote than the network bears: whoever injects faults asks `spare`.
"""

from collections.abc import Callable, Collection
from functools import partial
from hashlib import sha256

from msgspec.structs import replace

from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Pillar
from cccnode.city.registry.messages import (
    AddValidator,
    AdmitOrganisation,
    Change,
    NodeOffer,
    RegistryAddNode,
    RegistryApprove,
    RegistryPause,
    RegistryPropose,
    RegistryRemoveNode,
    RegistryRotateKey,
    RemoveValidator,
    SetLimits,
    SetTimers,
)
from cccnode.city.registry.record import read_plan
from cccnode.city.registry.state import (
    approvals,
    checkpoints,
    open_proposals,
    read_limits,
    read_nodes,
    read_organisation,
    read_proposal,
    read_timers,
)
from cccnode.crypto.signing import SigningKey
from cccnode.driver.replica import Replica
from cccnode.ledger.state import Overlay
from cccnode.types.readiness import rotation_bytes, sign_readiness
from cccnode.types.validators import faults
from tests.simulation.nodes import SimulatedNetwork, SimulatedNode, certify

LOOK_MS = 400
"""An organisation looks at its node this often."""
AGAIN_MS = 3_000
"""What had no effect for so long is sent again."""


class Organisations:
    """All partners, and what each of them is about to do."""

    def __init__(self, network: SimulatedNetwork) -> None:
        """Nobody wants anything yet."""
        self._network, self._rng, self._world = network, network.rng, network.world
        self._machines = {node.name: node for node in network.nodes}
        self._sent: dict[tuple[str, object], int] = {}
        self._leaving: set[str] = set()
        """Members whom somebody has asked to go."""
        self._moving: dict[str, bytes] = {}
        """Seed of the transport key that a node takes next."""
        self._left: dict[str, bytes] = {}
        """Transport key that is to be unregistered."""
        self._generation = 0
        self.impaired: set[str] = set()
        """Members that may be unable to sign in this epoch."""
        self._wishes: list[Callable[[SimulatedNode], None]] = [
            self._rotate,
            self._rotate,
            self._change_node_key,
            self._pause,
            self._remove_another,
            self._apply,
            self._apply,
            self._admit,
            self._set_limits,
            self._set_timers,
        ]

    # What the network bears

    def spare(self, *, without: Collection[str] = ()) -> int:
        """How many more members may become unable to vote, if those `without` leave."""
        replica = self._newest()
        if replica is None:
            return 0
        wanted = set(read_plan(_state(replica)).wanted)
        current = {row.organisation for row in replica.record.validators}
        self._leaving &= wanted | current
        self._recover(replica)
        gone = self._leaving | set(without)
        bears = min(faults(len(wanted - gone)), faults(len(current - gone)))
        return bears - len((self.impaired | self._network.liars) & (wanted | current))

    def _newest(self) -> Replica | None:
        return max(self._network.alive(), key=lambda replica: replica.chain.height, default=None)

    def _recover(self, newest: Replica) -> None:
        for name in sorted(self.impaired):
            node = self._machines[name]
            replica = node.replica
            if replica is None or replica.voting is None or node.silent is not None:
                continue
            if replica.epoch.number == newest.epoch.number and self._fresh(node, newest):
                self.impaired.discard(name)

    def _fresh(self, node: SimulatedNode, newest: Replica) -> bool:
        """Whether an epoch began since it was impaired."""
        since = self._sent.setdefault((node.name, "impaired"), newest.epoch.number)
        return newest.epoch.number > since

    def impair(self, name: str) -> None:
        """A member lost what it signed."""
        self.impaired.add(name)
        newest = self._newest()
        self._sent[name, "impaired"] = newest.epoch.number if newest is not None else 0

    # What they do

    def wish(self) -> None:
        """Somebody wants a change."""
        nodes = [node for node in self._machines.values() if node.replica is not None]
        if nodes:
            self._rng.choice(self._wishes)(self._rng.choice(nodes))

    def look(self) -> None:
        """Every organisation looks at its own node, and goes on with what it is about."""
        for node in self._machines.values():
            if node.replica is not None:
                self._approve(node, node.replica)
                self._move(node, node.replica)

    def _send(self, node: SimulatedNode, what: object, message: object) -> None:
        """Send it, unless that was done a moment ago."""
        if self._world.now_ms < self._sent.get((node.name, what), 0):
            return
        self._sent[node.name, what] = self._world.now_ms + AGAIN_MS
        through = self._rng.choice([node, node, self._rng.choice(self._network.nodes)])
        self._network.order(node.partner, message, through)  # type: ignore[arg-type]

    def _propose(self, node: SimulatedNode, change: Change, *, flagged: bool = False) -> None:
        self._send(node, change, RegistryPropose(change, flagged))

    def _approve(self, node: SimulatedNode, replica: Replica) -> None:
        state = _state(replica)
        for number in open_proposals(state):
            given = approvals(state, number).get(node.name)
            proposal = read_proposal(state, number)
            assert proposal is not None, "it is open"
            reached = isinstance(proposal.change, AddValidator) and self._reaches(node, proposal.change.organisation)
            if given is None or (reached and not given.reached):
                self._send(node, (number, reached), RegistryApprove(number, reached))

    def _reaches(self, node: SimulatedNode, candidate: str) -> bool:
        machine = self._machines[candidate]
        if node.replica is None or machine.replica is None or machine.key not in node.linked:
            return False
        return machine.replica.chain.height >= node.replica.chain.height - 2

    def _rotate(self, node: SimulatedNode) -> None:
        """Vote with another key; both lie in the home meanwhile."""
        assert node.replica is not None, "it is up"
        if node.replica.epoch.me is None:
            return
        key = self._new_key(node)
        node.make_key(key.public_key)
        proof = key.sign(rotation_bytes(self._network.demo.genesis.chain, node.name, key.public_key))
        self._send(node, "rotate", RegistryRotateKey(key.public_key, proof))

    def _new_key(self, node: SimulatedNode) -> SigningKey:
        self._generation += 1
        return SigningKey(sha256(f"{node.name} {self._generation}".encode()).digest())

    def _pause(self, node: SimulatedNode) -> None:
        if self._may_leave(node.name):
            self._leaving.add(node.name)
            self._send(node, "pause", RegistryPause())

    def _remove_another(self, node: SimulatedNode) -> None:
        other = self._rng.choice(sorted(self._machines))
        if self._may_leave(other):
            self._leaving.add(other)
            self._propose(node, RemoveValidator(other))

    def _may_leave(self, name: str) -> bool:
        replica = self._newest()
        members = replica.record.validators if replica is not None else ()
        return any(row.organisation == name for row in members) and self.spare(without={name}) >= 0

    def _apply(self, node: SimulatedNode) -> None:
        """Somebody becomes a validator, for the first time or again, always with a new key."""
        assert node.replica is not None, "it is up"
        plan = read_plan(_state(node.replica))
        outside = [
            other
            for name, other in sorted(self._machines.items())
            if name in plan.nodes and name not in plan.wanted and name not in self.impaired | self._network.liars
        ]
        if not outside:
            return
        node = self._rng.choice(outside)
        replica = node.replica
        if replica is None or replica.epoch.me is not None:
            return
        state = _state(replica)
        found = [row.height for row in checkpoints(state) if replica.store.applied_at(row.height) is not None]
        if not found:
            return
        applied = replica.store.applied_at(found[-1])
        assert applied is not None, "just looked for"
        key = self._new_key(node)
        node.make_key(key.public_key)
        receipt = sign_readiness(
            key,
            organisation=node.name,
            node_key=node.key,
            height=found[-1],
            state_root=applied.state_root,
            version="1",
        )
        self._leaving.discard(node.name)
        self._propose(node, AddValidator(node.name, receipt), flagged=self._rng.random() < 0.2)

    def _admit(self, node: SimulatedNode) -> None:
        """Take in somebody whom the genesis does not know."""
        assert node.replica is not None, "it is up"
        for name, stranger in sorted(self._machines.items()):
            if read_organisation(_state(node.replica), name) is None:
                partner = stranger.partner
                keys = (WeightedKey(partner.owner.public_key, 1),)
                offer = NodeOffer(partner.certificate, ())
                self._propose(node, AdmitOrganisation(name, Pillar.ACADEMIA, keys, 1, (offer,)))
                return

    def _set_limits(self, node: SimulatedNode) -> None:
        assert node.replica is not None, "it is up"
        limits = read_limits(_state(node.replica))
        self._propose(node, SetLimits(replace(limits, epoch_blocks=self._rng.choice([16, 24, 40]))))

    def _set_timers(self, node: SimulatedNode) -> None:
        assert node.replica is not None, "it is up"
        timers = read_timers(_state(node.replica))
        self._propose(node, SetTimers(replace(timers, delta_ms=self._rng.choice([200, 250, 300]))))

    # Another transport key, with both registered meanwhile

    def _change_node_key(self, node: SimulatedNode) -> None:
        if node.name not in self._moving and node.name not in self._left:
            self._generation += 1
            self._moving[node.name] = sha256(f"node {node.name} {self._generation}".encode()).digest()

    def _move(self, node: SimulatedNode, replica: Replica) -> None:
        """Register the new key, restart with it once votes count over it, unregister the old one."""
        registered = read_nodes(_state(replica), node.name)
        seed = self._moving.get(node.name)
        if seed is not None:
            key = SigningKey(seed).public_key
            if key not in registered:
                self._send(node, seed, RegistryAddNode(certify(seed), ()))
            elif replica.epoch.me is None or key in replica.epoch.nodes:
                del self._moving[node.name]
                self._left[node.name] = node.key
                self._world.at(0, partial(self._restart_with, node, key))
            return
        old = self._left.get(node.name)
        if old is not None and node.key in registered:
            if old in registered:
                self._send(node, old, RegistryRemoveNode(old))
            else:
                del self._left[node.name]

    def _restart_with(self, node: SimulatedNode, key: bytes) -> None:
        if node.replica is not None:
            self._network.crash(node)
        node.key = key
        self._network.restart(node)


def _state(replica: Replica) -> Overlay:
    return Overlay(replica.store.state)
