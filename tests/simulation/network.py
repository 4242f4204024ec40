"""Whole nodes in one process: codec, mempool, batches, consensus, ledger, storage, catch-up; from one seed.

Clients send transfers to random nodes and organisations change keys, nodes and members through the registry, while
links are cut and lossy, nodes lose power, some of them for good with all their data, some return from a backup, and now
and then a member lies.  Then everything heals, and every honest promise is checked: one chain, one state, no key that
contradicts itself, every acknowledged transaction executed exactly once or provably expired, no money made or lost.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial

from tests.simulation.lying import Liar
from tests.simulation.nodes import LIFETIME_MS, SimulatedNetwork, SimulatedNode
from tests.simulation.organisations import LOOK_MS, Organisations
from tests.simulation.result import Result

COVERAGE = (
    "blocks",
    "executed",
    "crashes",
    "wipes",
    "partitions",
    "dropped",
    "writes cut short",
    "resubmitted",
    "epochs",
    "joins",
    "removals",
    "rotations",
    "moved nodes",
    "backups",
    "twins",
    "cuts at a boundary",
    "re-proposals",
    "lies",
    "evidence",
)
HEAL_MS = 15_000
SETTLE_MS = 60_000
_MEMBERS = (4, 4, 4, 4, 5, 5, 7)
_EPOCH_BLOCKS = (None, 3, 10, 30)
_LIARS = 0.3


class _Faults:
    """What goes wrong before everything heals."""

    def __init__(self, network: SimulatedNetwork, organisations: Organisations) -> None:
        self.network, self.rng, self.world = network, network.rng, network.world
        self.organisations = organisations
        conditions = self.world.conditions
        conditions.loss = self.rng.choice([0, 0, 0.01, 0.1])
        conditions.latency_ms = self.rng.choice([(1, 3), (5, 40), (20, 200)])
        self._kinds: list[Callable[[], None]] = [
            self._partition,
            self._crash,
            self._crash,
            self._power_cut,
            self._wipe,
            self._return_from_backup,
            self._cut_at_the_boundary,
        ]

    @property
    def over(self) -> bool:
        """Whether everything heals."""
        return self.world.now_ms >= HEAL_MS

    def next(self) -> None:
        """One fault, and the time of the next."""
        if not self.over:
            self.rng.choice(self._kinds)()
            self.world.at(self.rng.randint(200, 2_500), self.next)

    def wish(self) -> None:
        """Some organisation wants a change, and the time of the next."""
        if not self.over:
            self.organisations.wish()
            self.world.at(self.rng.randint(200, 2_000), self.wish)

    def look(self) -> None:
        """Organisations go on with what they are about."""
        if not self.over:
            self.organisations.look()
            self.world.at(LOOK_MS, self.look)

    def heal(self) -> None:
        """The network is whole again and every node is up, no key on two machines."""
        conditions = self.world.conditions
        conditions.loss, conditions.groups, conditions.latency_ms = 0.0, {}, (1, 20)
        for node in self.network.nodes:
            self.network.restart(node)
        self.network.relink()

    def _partition(self) -> None:
        parts = self.rng.choice([1, 2, 2, 3])
        self.world.coverage["partitions"] += parts > 1
        self.world.conditions.groups = {node.place: self.rng.randrange(parts) for node in self.network.nodes}
        self.network.relink()

    def _crash(self) -> None:
        self._cut([self.rng.choice(self.network.nodes)])

    def _power_cut(self) -> None:
        if self.rng.random() < 0.3:
            self._cut(self.network.nodes)

    def _cut(self, nodes: Sequence[SimulatedNode]) -> None:
        for node in nodes:
            if node.replica is not None:
                self.network.crash(node)
                self.world.at(self.rng.randint(50, 3_000), partial(self.network.restart, node))

    def _cut_at_the_boundary(self) -> None:
        """Everybody loses power at the moment at which somebody begins the next epoch, or a little later."""
        epoch = max((replica.epoch.number for replica in self.network.alive()), default=0)
        delay_ms = self.rng.choice([0, 0, self.rng.randint(0, 40)])

        def cut() -> None:
            if not self.over:
                self.world.coverage["cuts at a boundary"] += 1
                self._cut(self.network.nodes)

        self.network.at_epoch[epoch + 1] = lambda: self.world.at(delay_ms, cut)

    def _wipe(self) -> None:
        """At most f validators may lose their data for good: more would be more faults than the protocol bears."""
        node = self.rng.choice(self.network.nodes)
        if self.rng.random() < 0.4 and node.replica is not None and self._may_impair(node):
            self.network.crash(node, wipe=True)
            self.world.at(self.rng.randint(50, 3_000), partial(self.network.restart, node))

    def _may_impair(self, node: SimulatedNode, *, again: bool = False) -> bool:
        """Whether the network bears it; `again`: the node counts as impaired already, unless that is over."""
        organisations = self.organisations
        already = node.name in organisations.impaired
        if node.name in self.network.liars or (already and not again):
            return False
        if not already and organisations.spare() < 1:
            return False
        organisations.impair(node.name)
        return True

    def _return_from_backup(self) -> None:
        """A member's disk is copied; later its older self takes its place, or stands beside it for a while."""
        node = self.rng.choice(self.network.nodes)
        if node.replica is None or not self._may_impair(node):
            return
        backup = self.network.backup(node)

        def come_back() -> None:
            if self.over or node.replica is None or not self._may_impair(node, again=True):
                return
            self.world.coverage["backups"] += 1
            if self.rng.random() < 0.5:
                self.network.restore(node, backup)
                return
            self.world.coverage["twins"] += 1
            twin = self.network.twin(node, backup)
            self.world.at(self.rng.randint(500, 4_000), partial(self.network.remove, twin))

        self.world.at(self.rng.randint(200, 4_000), come_back)


def run_seed(seed: int) -> Result:
    """One network, one history of faults."""
    shape = random.Random(seed)
    network = SimulatedNetwork(
        seed,
        validators=shape.choice(_MEMBERS),
        peers=shape.choice([0, 0, 1, 2]),
        strangers=shape.choice([0, 0, 1]),
        epoch_blocks=shape.choice(_EPOCH_BLOCKS),
    )
    world, rng = network.world, network.rng
    if rng.random() < _LIARS:
        Liar(network, network.nodes[rng.randrange(4)])
    network.start()
    faults = _Faults(network, Organisations(network))
    world.at(rng.randint(300, 2_000), faults.next)
    world.at(rng.randint(300, 2_000), faults.wish)
    world.at(LOOK_MS, faults.look)
    _clients(network)
    world.run_until(HEAL_MS)
    faults.heal()
    before = max((replica.chain.height for replica in network.alive()), default=0)
    honest = next(node for node in network.nodes if node.name not in network.liars)
    network.send(honest, count=3)

    def healed() -> bool:
        return network.settled() and all(replica.chain.height > before for replica in network.reached())

    if not world.run_until(HEAL_MS + SETTLE_MS, healed):
        network.violations.append(f"not settled, was at {before}: {network.picture()}")
    # Let every short deadline pass under a final block, so that `expired` is certain for what was lost.
    world.run_until(world.now_ms + LIFETIME_MS)
    network.send(honest, count=1)
    world.run_until(world.now_ms + 3_000)
    if not world.run_until(world.now_ms + SETTLE_MS, network.settled):
        network.violations.append(f"not settled in the end: {network.picture()}")
    network.final_checks()
    return Result(network.violations, network.coverage, network.digest())


def _clients(network: SimulatedNetwork) -> None:
    """Somebody sends something to some node, again and again until everything heals."""
    world, rng = network.world, network.rng
    sent: list[list[bytes]] = []

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
