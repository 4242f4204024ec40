"""Profile `consensus`: real engines and real message bytes, a simulated driver, and everything that can go wrong.

One seed is one network: its size, its Byzantine validators and its faults are drawn from the seed.  At 20 s of virtual
time it heals; then every honest validator must execute ten more blocks within 40 s.  Safety is checked at every step.
"""

import hashlib
import random

from cccnode.types.block import Header, block_id
from cccnode.types.validators import Timers, faults
from cccnode.types.vote import Proposal
from tests.simulation.arena import Arena, Violation, Weather
from tests.simulation.fakes import epoch_record, node_of
from tests.simulation.liar import Liar
from tests.simulation.result import Result
from tests.simulation.validator import SimulatedValidator, batch_of

SIZES = (4, 4, 4, 5, 6, 7, 10)
HEAL_MS = 20_000
END_MS = 60_000
BLOCKS_AFTER_HEAL = 10
MODES = ("silent", "twins", "twins", "liar", "liar")

COVERAGE = (
    "views_notarized_and_nullified",
    "views_nullified",
    "notarized_orphans",
    "restarts",
    "crashes",
    "power_cuts",
    "partitions",
    "links_cut",
    "evidence",
    "blames",
    "messages_lost",
    "messages_doubled",
    "bodies_withheld",
    "builds_declined",
    "blocks_with_batches",
    "blocks_empty",
    "syncs",
    "lies_proposed",
    "lies_false_justification",
    "lies_babbled",
)
"""What a campaign must have seen to prove anything."""


class Simulation:
    """One network from one seed."""

    def __init__(
        self,
        seed: int,
        *,
        count: int | None = None,
        byzantine: int | None = None,
        mode: str | None = None,
        amnesia: bool = False,
        crash: float | None = None,
    ) -> None:
        """`byzantine`: how many, f by default; `mode`: all of one kind; `amnesia`: disks forget; `crash`: per event."""
        rng = random.Random(seed)
        self.count = count or rng.choice(SIZES)
        wrong = faults(self.count) if byzantine is None else byzantine
        self.amnesia = amnesia
        self.traffic_ms = rng.choice([(20, 80), (100, 400)])
        """Time between two batches."""
        self.calm_ms = rng.choice([1_500, 3_000, 10_000])
        """Longest time between two faults of the network."""
        weather = Weather(
            loss=rng.choice([0, 0.02, 0.1, 0.3]),
            duplicate=rng.choice([0, 0.05]),
            latency_ms=rng.choice([(5, 20), (20, 100), (10, 600), (50, 2000)]),
            body_loss=rng.choice([0, 0, 0.1, 0.5]),
            crash=rng.choice([0.0005, 0.002]) if crash is None else crash,
        )
        chosen = frozenset(rng.sample(range(self.count), wrong))
        self.world = Arena(rng=rng, count=self.count, byzantine=chosen, weather=weather, heal_ms=HEAL_MS)
        self.modes = {index: mode or rng.choice(MODES) for index in sorted(chosen)}
        timers = Timers(
            delta_ms=250, min_interval_ms=rng.choice([50, 250, 500]), heartbeat_ms=rng.choice([3_000, 30_000])
        )
        self.record = epoch_record(self.count, timers)
        self.halves: dict[tuple[int, int], int] = {}
        """Which of a twin's two halves a validator can talk to: bit mask."""
        self.nodes: dict[int, list[SimulatedValidator]] = {}
        for index in range(self.count):
            halves = (0, 1) if self.modes.get(index) == "twins" else (0,)
            if self.modes.get(index) in (None, "twins"):
                self.nodes[index] = [SimulatedValidator(self, index, half, self.record) for half in halves]
        self.honest = [nodes[0] for index, nodes in self.nodes.items() if index not in chosen]
        genesis = self.honest[0].genesis
        self.world.blocks[genesis.block_id] = (genesis.header, ())
        self.contents: dict[bytes, list[SimulatedValidator]] = {}
        self.batches = 0

    # ----- what the nodes use

    def made(self, header: Header, body: tuple[bytes, ...]) -> Proposal:
        """A block exists from now on."""
        proposal = Proposal(header.view, header.parent_view, header.height, block_id(header))
        self.world.blocks[proposal.block_id] = (header, body)
        if proposal not in self.world.proposed[header.view]:
            self.world.proposed[header.view].append(proposal)
        return proposal

    def holders(self, wanted: bytes) -> list[SimulatedValidator]:
        """The honest validators that have a block's contents."""
        return [node for node in self.honest if wanted in node.bodies]

    def transmit(self, source: SimulatedValidator, to: bytes | None, raw: bytes) -> None:
        """Send to one validator or to all."""
        for target, nodes in self.nodes.items():
            if target == source.index or (to is not None and to != node_of(target)):
                continue
            for node in nodes:
                if self.linked(source, node):
                    for delay in self.world.deliveries():
                        self.world.after(delay, node.receive, source.index, raw)

    def linked(self, source: SimulatedValidator, target: SimulatedValidator) -> bool:
        """Whether two engines can talk: twins reach only those on their half's side."""
        if self.world.healed:
            return True
        for twin, other in ((source, target), (target, source)):
            if not twin.honest and not self.halves.get((twin.index, other.index), 3) >> twin.half & 1:
                return False
        return self.world.connected(source.index, target.index)

    def after_crash(self, node: SimulatedValidator, kept: int) -> None:
        """What is left of a journal."""
        node.journal = node.journal[:kept]
        if self.amnesia:
            node.journal = []

    # ----- faults

    def fault(self) -> None:
        """Something happens to the network."""
        world, rng = self.world, self.world.rng
        if world.healed:
            return
        world.after(rng.randint(200, self.calm_ms), self.fault)
        draw = rng.random()
        if draw < 0.2:
            world.groups = [rng.randrange(2) for _ in range(self.count)]
            world.coverage["partitions"] += 1
        elif draw < 0.55:
            world.groups, world.cut = None, set()
        elif draw < 0.6:
            world.groups = list(range(self.count))
            world.coverage["partitions"] += 1
        elif draw < 0.75:
            links = [(a, b) for a in range(self.count) for b in range(self.count) if a != b]
            world.cut = set(rng.sample(links, rng.randint(1, len(links) // 2)))
            world.coverage["links_cut"] += 1
        elif draw < 0.9 and world.cut:
            world.cut.discard(rng.choice(sorted(world.cut)))
        for twin in sorted(world.byzantine):
            for other in range(self.count):
                self.halves[twin, other] = rng.choice([0, 1, 2, 3, 3])
        if rng.random() < 0.1:
            world.coverage["power_cuts"] += 1
            for node in self.honest:
                if node.alive:
                    node.crash()

    def traffic(self) -> None:
        """People use the network: a batch reaches one validator, and spreads."""
        world, rng = self.world, self.world.rng
        quiet = not world.healed and rng.random() < 0.1
        world.after(rng.randint(2_000, 6_000) if quiet else rng.randint(*self.traffic_ms), self.traffic)
        self.batches += 1
        first = rng.choice(self.honest)
        for node in self.honest:
            if node is first or rng.random() < 0.9:
                world.after(1 if node is first else rng.randint(5, 200), node.admit, batch_of(self.batches))

    # ----- the run

    def run(self) -> Result:
        """Let it happen; the violations say what went wrong."""
        result = Result(coverage=self.world.coverage)
        try:
            self._run()
            self.world.audit_certificates()
        except Violation as violation:
            result.violations.append(str(violation))
        summary = f"{self.world.digest} {sorted(self.world.final.items())} {sorted(self.world.coverage.items())}"
        result.hash = hashlib.sha256(summary.encode()).hexdigest()
        return result

    def _run(self) -> None:
        world = self.world
        for nodes in self.nodes.values():
            for node in nodes:
                world.after(world.rng.randint(1, 50), node.restart, node.life)
        for index, mode in self.modes.items():
            if mode == "liar":
                world.after(50, Liar(self, index).lie)
        world.after(world.rng.randint(200, self.calm_ms), self.fault)
        world.after(1, self.traffic)
        goal: int | None = None
        while world.now < END_MS:
            world.step()
            if goal is None and world.healed:
                goal = max(world.final, default=0) + BLOCKS_AFTER_HEAL
                world.groups, world.cut = None, set()
                for node in self.honest:
                    node.restart(node.life)
            if goal is not None and all(len(node.ids) > goal for node in self.honest):
                world.coverage["recovery_ms"] += world.now - HEAL_MS
                return
        raise Violation(f"no {BLOCKS_AFTER_HEAL} blocks after the heal: {self.picture()}")

    def picture(self) -> str:
        """Where everybody stands, for a message."""
        return ", ".join(
            f"{node.index}:{len(node.ids) - 1}/{node.engine._core.chain.final.height}@{node.engine._core.view}"
            for node in self.honest
        )


def run_seed(seed: int) -> Result:
    """One seed of the profile."""
    return Simulation(seed).run()
