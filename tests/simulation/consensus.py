"""Profile `consensus`: real engines and real message bytes, a simulated driver, and everything that can go wrong.

One seed is one network: its size, its epochs, its Byzantine validators and its faults are drawn from the seed.  At 20 s
of virtual time it heals; then every honest node must execute ten more blocks within 40 s.  In liveness mode a quorum
heals only, and the others are dead for ever.  Safety is checked at every step.
"""

import hashlib
import random
from functools import partial

from cccnode.types.block import Header, block_id
from cccnode.types.validators import Timers
from cccnode.types.vote import Proposal, Vote
from consensus.messages import Message, encode_message
from tests.simulation.arena import Arena, Violation, Weather
from tests.simulation.auditor import Auditor, quorum_of
from tests.simulation.byzantine import BEHAVIOURS
from tests.simulation.epochs import ENDLESS, Plan, faults_of
from tests.simulation.fakes import RealSignatures, node_of, real_public_key, same_key
from tests.simulation.liar import Liar
from tests.simulation.result import Result
from tests.simulation.validator import SimulatedValidator, batch_of, votes_of

SIZES = (4, 4, 4, 5, 6, 7, 10)
HEAL_MS = 20_000
END_MS = 60_000
BLOCKS_AFTER_HEAL = 10
MODES = ("silent", "twins", "twins", "liar", "liar", "withholder", "equivocator", "replayer")

COVERAGE = (
    "views_notarized_and_nullified",
    "views_nullified",
    "notarized_orphans",
    "votes_audited",
    "restarts",
    "crashes",
    "power_cuts",
    "disks_wiped",
    "partitions",
    "links_cut",
    "swizzles",
    "messages_held",
    "messages_lost",
    "messages_doubled",
    "bodies_withheld",
    "builds_declined",
    "blocks_with_batches",
    "blocks_empty",
    "syncs",
    "followed",
    "epochs",
    "joined",
    "left",
    "keys_rotated",
    "last_blocks_repeated",
    "quorum_only_heals",
    "evidence",
    "blames",
    "lies_proposed",
    "lies_repeated",
    "lies_false_justification",
    "lies_babbled",
    "lies_withheld",
    "lies_equivocated",
    "lies_replayed",
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
        epochs: bool | None = None,
        quorum_only: bool | None = None,
        ordered: bool = True,
        real_keys: bool = False,
    ) -> None:
        """Everything that is not given is drawn from the seed.

        `byzantine`: how many, f by default; `mode`: all of one kind; `amnesia`: disks forget; `crash`: per event;
        `epochs`: whether they end; `quorum_only`: who heals; `ordered`: whether the order of votes is audited;
        `real_keys`: Ed25519 instead of the stand-in.
        """
        rng = random.Random(seed)
        self.count = count or rng.choice(SIZES)
        most = faults_of(self.count)
        self.quorum_only = rng.random() < 0.25 if quorum_only is None else quorum_only
        wrong = rng.choice([most, most, most, max(0, most - 1)]) if byzantine is None else byzantine
        self.amnesia = amnesia
        self.watch = not amnesia and rng.random() < 0.7
        """Whether a process looks around before it signs (R13)."""
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
        self.byzantine = frozenset(rng.sample(range(self.count), wrong))
        self.modes = {index: mode or rng.choice(MODES) for index in sorted(self.byzantine)}
        changing = rng.random() < 0.7 if epochs is None else epochs
        self.plan = Plan(
            rng=random.Random(seed + 1_000_000_007),
            count=self.count,
            spare=2 if changing and not self.quorum_only else 0,
            byzantine=self.byzantine,
            timers=Timers(
                delta_ms=250, min_interval_ms=rng.choice([50, 250, 500]), heartbeat_ms=rng.choice([3_000, 30_000])
            ),
            blocks=rng.choice([4, 8, 20]) if changing else ENDLESS,
            rotate_only=self.quorum_only,
            public=real_public_key if real_keys else same_key,
        )
        audit = Auditor(honest=lambda identity: identity not in self.byzantine, members=self.plan.size, ordered=ordered)
        self.world = Arena(rng=rng, weather=weather, heal_ms=HEAL_MS, audit=audit)
        if real_keys:
            self.world.signatures = RealSignatures()
        self.lost: int | None = None
        """The one honest validator whose disk was wiped."""
        self.epochs = 0
        self.batches = 0
        self.halves: dict[tuple[int, int], int] = {}
        """Which of a twin's two halves a validator can talk to: bit mask."""
        self.nodes: dict[int, list[SimulatedValidator]] = {}
        for index in range(self.count + self.plan.spare):
            if self.modes.get(index) not in {"liar", "silent"}:
                halves = (0, 1) if self.modes.get(index) == "twins" else (0,)
                self.nodes[index] = [SimulatedValidator(self, index, half) for half in halves]
        self.behaviours = {index: BEHAVIOURS[m](self) for index, m in self.modes.items() if m in BEHAVIOURS}
        self.honest = [nodes[0] for index, nodes in self.nodes.items() if index not in self.byzantine]
        self.world.blocks[block_id(self.plan.genesis)] = (self.plan.genesis, ())

    # ----- what the nodes use

    def made(self, header: Header, body: tuple[bytes, ...]) -> Proposal:
        """A block exists from now on."""
        proposal = Proposal(header.view, header.parent_view, header.height, block_id(header))
        self.world.blocks[proposal.block_id] = (header, body)
        proposed = self.world.proposed[header.epoch, header.view]
        if proposal not in proposed:
            proposed.append(proposal)
        return proposal

    def voted(self, epoch: int, vote: Vote) -> None:
        """A vote exists from now on."""
        self.world.audit.vote(epoch, self.plan.identity(epoch, vote.signer), vote.kind, vote.proposal)

    def holders(self, wanted: bytes) -> list[SimulatedValidator]:
        """The honest validators that have a block's contents."""
        return [node for node in self.honest if wanted in node.bodies]

    def transmit(self, source: SimulatedValidator, to: bytes | None, message: Message) -> None:
        """Send to one validator or to all of the sender's epoch."""
        place = self.plan.index(source.epoch, source.index)
        if place is not None:
            for vote in votes_of(message, place):
                if vote.signer == place:
                    self.voted(source.epoch, vote)
            self._note(source, message)
        members = [identity for identity, _ in self.plan.members[source.epoch] if identity != source.index]
        targets = [identity for identity in members if to is None or to == node_of(identity)]
        behaviour = self.behaviours.get(source.index)
        copies = behaviour.speak(source, targets, message) if behaviour else [(target, message) for target in targets]
        raws: dict[int, bytes] = {}
        for target, copy in copies:
            raw = raws.get(id(copy))
            if raw is None:
                raw = raws[id(copy)] = encode_message(copy)
            self._send(source, target, copy, raw)

    def _note(self, source: SimulatedValidator, message: Message) -> None:
        repeated = getattr(message, "header", None) is not None and getattr(message, "proposal", None) is not None
        if repeated and message.proposal.view > message.header.view:  # type: ignore[union-attr]
            self.world.coverage["last_blocks_repeated"] += 1
            proposed = self.world.proposed[source.epoch, message.proposal.view]  # type: ignore[union-attr]
            proposed.append(message.proposal)  # type: ignore[union-attr]

    def _send(self, source: SimulatedValidator, target: int, message: Message, raw: bytes) -> None:
        for node in self.nodes.get(target, ()):
            if self.linked(source, node):
                self.world.carry(source.index, target, partial(self._arrive, source.index, node, message, raw))

    def _arrive(self, source: int, node: SimulatedValidator, message: Message, raw: bytes) -> None:
        if node.index in self.behaviours:
            self.behaviours[node.index].hear(node, message)
        node.receive(source, raw)

    def linked(self, source: SimulatedValidator, target: SimulatedValidator) -> bool:
        """Whether two engines can talk: twins reach only those on their half's side."""
        if not self.world.healed:
            for twin, other in ((source, target), (target, source)):
                if self.modes.get(twin.index) == "twins":
                    mask = self.halves.get((twin.index, other.index), 3)
                    if not mask >> twin.half & 1:
                        return False
        return self.world.connected(source.index, target.index)

    def link(self, node: SimulatedValidator) -> None:
        """A process has started: it and those it can reach greet each other."""
        for others in self.nodes.values():
            for other in others:
                if other.index != node.index and other.alive and self.world.connected(other.index, node.index):
                    self.world.after(self.world.rng.randint(5, 100), other.greet, node)
                    self.world.after(self.world.rng.randint(5, 100), node.greet, other)

    # ----- faults

    def fault(self) -> None:
        """Something happens to the network."""
        world, rng = self.world, self.world.rng
        if world.healed:
            return
        world.after(rng.randint(200, self.calm_ms), self.fault)
        everybody = self.count + self.plan.spare
        draw = rng.random()
        if draw < 0.2:
            world.groups = [rng.randrange(2) for _ in range(everybody)]
            world.coverage["partitions"] += 1
        elif draw < 0.5:
            world.groups, world.cut = None, set()
        elif draw < 0.55:
            world.groups = list(range(everybody))
            world.coverage["partitions"] += 1
        elif draw < 0.7:
            links = [(a, b) for a in range(everybody) for b in range(everybody) if a != b]
            world.cut = set(rng.sample(links, rng.randint(1, len(links) // 2)))
            world.coverage["links_cut"] += 1
        elif draw < 0.8 and world.cut:
            world.cut.discard(rng.choice(sorted(world.cut)))
        elif draw < 0.9:
            self.swizzle(everybody)
        for twin in sorted(self.byzantine):
            for other in range(everybody):
                self.halves[twin, other] = rng.choice([0, 1, 2, 3, 3])
        if rng.random() < 0.1:
            world.coverage["power_cuts"] += 1
            for node in self.honest:
                if node.alive:
                    node.crash()
        if rng.random() < 0.1:
            self.wipe()

    def swizzle(self, everybody: int) -> None:
        """Clog some nodes one by one, in one order, and let them flow again in another."""
        world, rng = self.world, self.world.rng
        chosen = rng.sample(range(everybody), rng.randint(2, everybody))
        world.coverage["swizzles"] += 1
        at = 0
        for identity in chosen:
            at += rng.randint(1, 400)
            world.after(at, world.clogged.add, identity)
        for identity in rng.sample(chosen, len(chosen)):
            at += rng.randint(1, 400)
            world.after(at, world.unclog, identity)

    def wipe(self) -> None:
        """A disk is lost for good, where the epoch can bear one more fault."""
        if self.lost is not None or len(self.byzantine) >= faults_of(self.count) or self.amnesia:
            return
        node = self.world.rng.choice(self.honest)
        if node.alive:
            self.lost = node.index
            node.wipe()

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
            self.world.audit.certificates(self.world.coverage)
        except Violation as violation:
            result.violations.append(str(violation))
        self.world.coverage["epochs"] += self.epochs
        if self.epochs:
            self.world.coverage.update(self.plan.changes())
        final = sorted(self.world.audit.final.items())
        summary = f"{self.world.digest} {final} {sorted(self.world.coverage.items())}"
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
                goal = max(world.audit.final, default=0) + BLOCKS_AFTER_HEAL
                self.heal()
            if goal is not None and all(len(node.ids) > goal for node in self.honest):
                world.coverage["recovery_ms"] += world.now - HEAL_MS
                return
        raise Violation(f"no {BLOCKS_AFTER_HEAL} blocks after the heal: {self.picture()}")

    def heal(self) -> None:
        """The links are sound and everybody is up; or a quorum is, and the rest never comes back."""
        world = self.world
        world.calm()
        if self.quorum_only:
            world.coverage["quorum_only_heals"] += 1
            candidates = [node for node in self.honest if node.index != self.lost]
            enough = min(quorum_of(self.count), len(candidates))
            core = {node.index for node in world.rng.sample(candidates, enough)}
            if world.rng.random() < 0.5:
                world.dead |= self.byzantine
            world.dead |= {node.index for node in self.honest} - core
            for node in self.honest:
                if node.index in world.dead and node.alive:
                    node.crash()
            self.honest = [node for node in self.honest if node.index in core]
        for node in self.honest:
            node.restart(node.life)

    def picture(self) -> str:
        """Where everybody stands, for a message."""
        return ", ".join(
            f"{node.index}:{len(node.ids) - 1}/{node.engine._core.chain.final.height}"
            f"@{node.epoch}.{node.engine._core.view}{'' if node.alive else ' down'}"
            for node in self.honest
        )


def run_seed(seed: int) -> Result:
    """One seed of the profile."""
    return Simulation(seed).run()
