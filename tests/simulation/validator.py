"""One simulated validator: the real engine with a driver that loses, delays, crashes, restarts, epoch after epoch."""

import random
from collections import deque
from typing import TYPE_CHECKING

from cccnode.crypto.hashing import ZERO, tagged
from cccnode.crypto.merkle import Frontier
from cccnode.types.block import Header, block_id
from cccnode.types.errors import NOT_SIGNING_JOURNAL_LOST
from cccnode.types.vote import Kind, Vote
from consensus.config import Root
from consensus.effects import Alarm, Blame, Build, CheckBody, Effect, EvidenceFound, Finalized, Persist, Send
from consensus.engine import Engine
from consensus.events import BodyInvalid, BodyReady, BuildDeclined, Built, Event, Executed, Pending, Received, Tick
from consensus.messages import Message, ProposalMessage, StatusMessage, VotesMessage, decode_message
from consensus.records import VoteRecord, decode_record, encode_record, record_view
from tests.simulation.arena import Arena, Violation
from tests.simulation.fakes import make_header, node_of

if TYPE_CHECKING:
    from tests.simulation.consensus import Simulation

EARLY_MAX = 256
"""Messages of the next epoch that are kept."""
LATE_MS = 10_000
"""So long after the heal the engines must have helped each other, where they can."""
FOLLOW_MS = 500
"""How often a node that is no validator looks for new blocks."""


class SimulatedValidator:
    """An identity's engine with its disk.  Twins are two of them with one identity."""

    def __init__(self, simulation: "Simulation", index: int, half: int) -> None:
        """A node with an empty disk; `start` gives it life."""
        self.simulation = simulation
        self.plan = simulation.plan
        self.world: Arena = simulation.world
        self.rng: random.Random = simulation.world.rng
        self.index, self.half = index, half
        """Its identity; places in a record are called `validator`."""
        self.honest = index not in simulation.byzantine
        self.rate = self.rng.randint(900, 1100)
        self.alive = False
        self.life = 0
        self.founded = True
        """Whether the journal holds all that was signed in this epoch, beyond `unsure_view`; False: it was lost."""
        self.forgot = False
        """Whether it may have signed in an epoch that it has not seen since its disk was lost (J22)."""
        self.unsure_view = 0
        self.empty_disk()
        self.engine: Engine

    def empty_disk(self) -> None:
        """Nothing but genesis."""
        genesis = self.plan.genesis
        self.headers: list[Header] = [genesis]
        self.ids: list[bytes] = [block_id(genesis)]
        self.frontier = Frontier().append(self.ids[0])
        self.journal: list[bytes] = []
        """Of the current epoch."""
        self.synced = self.must_sync = 0
        self.bodies: set[bytes] = set()
        """Blocks whose contents are durable here."""
        self.pool: set[bytes] = set()
        self.epoch = 0
        self.reset()

    def reset(self) -> None:
        """What a process has in memory is gone, or belongs to an epoch that is over."""
        self.queue: list[bytes] = []
        """Final blocks that wait for execution."""
        self.waiting = False
        self.ticking: int | None = None
        self.following = False
        self.early: deque[tuple[int, bytes]] = deque(maxlen=EARLY_MAX)
        """Messages of the next epoch."""

    # ----- life and death

    def clock(self) -> int:
        """The local monotonic clock: up to a tenth too fast or too slow."""
        return self.world.now * self.rate // 1000

    def start(self) -> None:
        """Start or restart from what the disk holds."""
        self.life += 1
        self.alive = True
        if self.life > 1:
            self.world.coverage["restarts"] += 1
        self.reset()
        watch = self.life > 1 and self.simulation.watch
        self.begin([decode_record(raw) for raw in self.journal], watch=watch)
        if self.life > 1:
            self.simulation.link(self)
        if self.simulation.plan.index(self.epoch, self.index) is None:
            self.world.after(self.rng.randint(1, FOLLOW_MS), self.follow, self.life, True)

    def begin(self, records: list, *, watch: bool) -> None:
        """An engine for the current epoch, from what is executed and from these records."""
        world, header = self.world, self.headers[-1]
        first = self.ids[-1] == self.plan.boundaries[self.epoch]
        pending = [h.height for h in self.headers[header.exec_height + 1 :] if h.tx_count or self.due(h.height)]
        root = Root(header=header, block_id=self.ids[-1], view=0 if first else header.view, pending=max(pending or [0]))
        if records and self.rng.random() < 0.5:
            records = [record for record in records if record_view(record) >= root.view]
        key = self.plan.key(self.epoch, self.index)
        self.engine, effects = Engine.restore(
            self.plan.config(self.epoch, self.index, root, watch=watch, unsure_view=self.unsure_view),
            sign=world.signatures.signer(key) if key is not None else None,
            verify_many=world.signatures.verify_many,
            records=records,
            now_ms=self.clock(),
            observe=None if self.founded else NOT_SIGNING_JOURNAL_LOST.name,
        )
        if not self.honest:
            self.engine._core.own_vote_met = lambda *_: None  # type: ignore[method-assign]  # a twin expects to meet itself
        self.carry_out(effects)
        self.hint()

    def due(self, height: int) -> bool:
        """Whether the state after `height` asks for the next epoch."""
        return height > self.plan.starts[self.epoch] and self.plan.due(self.epoch, height)

    def crash(self) -> None:
        """Lose all that is not durable: the journal keeps what was synced and some of what was not."""
        self.alive = False
        self.life += 1
        kept = self.synced + self.rng.randint(0, len(self.journal) - self.synced)
        if self.honest:
            self.release(self.journal[self.synced : kept])
        self.journal = [] if self.simulation.amnesia else self.journal[:kept]
        self.synced = self.must_sync = len(self.journal)
        self.world.coverage["crashes"] += 1
        self.world.after(self.rng.randint(50, 4000), self.restart, self.life)

    def wipe(self) -> None:
        """Lose the disk: all is fetched anew, and nothing is signed before the next epoch."""
        self.crash()
        self.world.coverage["disks_wiped"] += 1
        self.empty_disk()
        self.founded, self.forgot, self.unsure_view = False, True, 0

    def restart(self, life: int) -> None:
        """Come back, unless something else brought this validator back before, or nothing ever will."""
        if not self.alive and self.life == life and self.index not in self.world.dead:
            self.start()

    def handle(self, event: Event) -> None:
        """One event, its effects, the next deadline."""
        if self.alive:
            self.carry_out(self.engine.handle(event, self.clock()))

    def tick(self, life: int, deadline_ms: int) -> None:
        """The deadline that was asked for, if it still stands."""
        if self.alive and self.life == life and self.ticking == deadline_ms:
            self.ticking = None
            self.handle(Tick())

    # ----- effects

    def carry_out(self, effects: list[Effect]) -> None:
        """The effects in order; a crash may come between any two."""
        world, cut = self.world, -1
        if self.honest and effects and not world.healed and self.rng.random() < world.weather.crash:
            cut = self.rng.randint(0, len(effects))
        for position, effect in enumerate(effects):
            if position == cut:
                break
            self.one(effect)
        if cut >= 0:
            self.crash()
            return
        deadline = self.engine.deadline_ms
        if deadline is not None and deadline != self.ticking:
            self.ticking = deadline
            due = -(-deadline * 1000 // self.rate)
            world.after(due - world.now, self.tick, self.life, deadline)

    def one(self, effect: Effect) -> None:
        """Carry out one effect."""
        world = self.world
        match effect:
            case Persist(record=record, sync=sync):
                self.journal.append(encode_record(record))
                if sync:
                    self.must_sync = len(self.journal)
            case Send(to=to, message=message):
                self.sync()
                self.simulation.transmit(self, to, message)
            case Build():
                world.after(self.rng.randint(1, 20), self.build, self.life, effect)
            case CheckBody():
                self.check_body(effect)
            case Finalized():
                self.finalized(effect)
            case EvidenceFound(first=first):
                world.coverage["evidence"] += 1
                if self.plan.identity(self.epoch, first.signer) not in self.simulation.byzantine:
                    raise Violation(f"evidence names honest validator {first.signer} of epoch {self.epoch}")
            case Blame(validator=validator, reason=reason):
                world.coverage["blames"] += 1
                guilty = None if validator is None else self.plan.identity(self.epoch, validator)
                if self.honest and guilty is not None and guilty not in self.simulation.byzantine:
                    raise Violation(f"honest validator {guilty} blamed: {reason}")
            case Alarm(reason=reason):
                if self.honest and self.founded:  # Who lost its disk meets votes that it forgot.
                    raise Violation(f"alarm at validator {self.index}: {reason}")

    def sync(self) -> None:
        """Make the journal durable, if anything in it must be before what is sent next."""
        if self.must_sync > self.synced:
            self.release(self.journal[self.synced :])
            self.synced = len(self.journal)

    def release(self, records: list[bytes]) -> None:
        """These records survive from now on: the votes among them count."""
        for raw in records:
            record = decode_record(raw)
            if isinstance(record, VoteRecord):
                self.simulation.voted(self.epoch, record.vote)

    def receive(self, source: int, raw: bytes) -> None:
        """A message arrived."""
        if not self.alive:
            return
        world = self.world
        world.observe(raw, self.index)
        world.coverage["messages"] += 1
        message = decode_message(raw)
        if message.epoch != self.epoch:
            self.other_epoch(source, message, raw)
        elif (
            isinstance(message, StatusMessage)
            and message.executed >= len(self.ids)
            and world.now > world.heal_ms + LATE_MS
        ):
            self.follow_soon()  # The driver follows heights, whoever has lost the certificate; mostly none has.
        validator = self.plan.index(self.epoch, source)
        self.handle(Received(peer=node_of(source), validator=validator, message=message))

    def greet(self, other: "SimulatedValidator") -> None:
        """A link with another validator: say where this one stands, and show the other's own votes (R13)."""
        place = self.plan.index(self.epoch, other.index)
        if self.alive and self.honest and place is not None and self.engine._core.me is not None:
            votes = self.engine.votes_of(place)
            for message in (self.engine.status_message(), votes):
                if message is not None:
                    self.simulation.transmit(self, node_of(other.index), message)

    def other_epoch(self, source: int, message: Message, raw: bytes) -> None:
        """The next epoch's words are kept; whoever is behind is shown how an epoch ended, by the driver."""
        if message.epoch == self.epoch + 1:
            self.early.append((source, raw))
        if message.epoch > self.epoch:
            self.follow_soon()
        elif self.honest and self.world.connected(self.index, source):
            for node in self.simulation.nodes.get(source, ()):
                node.follow_soon()

    def follow_soon(self) -> None:
        """Look for new blocks once, soon."""
        if self.alive and not self.following:
            self.following = True
            self.world.after(self.rng.randint(50, 300), self.follow, self.life, False)

    # ----- blocks

    def build(self, life: int, order: Build) -> None:
        """Answer a build order."""
        if not self.alive or self.life != life:
            return
        if self.rng.random() < 0.02 and not self.world.healed:
            self.world.coverage["builds_declined"] += 1
            self.handle(BuildDeclined(view=order.view))
            return
        listed = {batch for ancestor in order.ancestors for batch in self.world.blocks[ancestor.block_id][1]}
        body = () if order.empty else tuple(sorted(self.pool - listed))[:64]
        self.world.coverage["blocks_with_batches" if body else "blocks_empty"] += 1
        header = make_header(
            order.parent,
            view=order.view,
            parent_view=order.parent_view,
            proposer=self.plan.index(self.epoch, self.index) or 0,
            body=body,
            exec_height=order.exec_height,
            time_ms=self.world.now,
            state_root=self.ids[order.exec_height],
            history_root=self.history([ancestor.block_id for ancestor in order.ancestors]),
            record=self.plan.record(self.epoch),
            next_record_hash=self.plan.next_hash(self.epoch, order.parent.height + 1, order.exec_height),
        )
        self.simulation.made(header, body)
        self.bodies.add(block_id(header))
        self.handle(Built(view=order.view, header=header, body=body))

    def history(self, ancestors: list[bytes]) -> bytes:
        """history_root of a block above these."""
        frontier = self.frontier
        for ancestor in ancestors:
            frontier = frontier.append(ancestor)
        return frontier.root()

    def check_body(self, order: CheckBody) -> None:
        """Fetch the contents from the leader: they may be withheld, or come late."""
        world, header = self.world, order.header
        if self.history([ancestor.block_id for ancestor in order.ancestors]) != header.history_root:
            world.after(1, self.answer, self.life, BodyInvalid(block_id=order.block_id, reason="history root"))
            return
        if header.next_epoch_record_hash != self.plan.next_hash(self.epoch, header.height, header.exec_height):
            world.after(1, self.answer, self.life, BodyInvalid(block_id=order.block_id, reason="next epoch record"))
            return
        delay = self.rng.randint(0, 30)
        if not world.healed and self.rng.random() < world.weather.body_loss:
            world.coverage["bodies_withheld"] += 1
            if self.rng.random() < 0.5:
                return
            delay = self.rng.randint(200, 5000)
        world.after(delay, self.body_arrived, self.life, order)

    def body_arrived(self, life: int, order: CheckBody) -> None:
        """The contents are here; the answer waits for the execution of E."""
        if not self.alive or self.life != life:
            return
        height = order.header.exec_height
        allowed = self.world.withheld.get(order.block_id)
        refused = allowed is not None and self.index not in allowed and not self.simulation.holders(order.block_id)
        if height >= len(self.ids) or refused:
            self.world.after(50, self.body_arrived, life, order)
            return
        if order.header.state_root != self.ids[height]:
            self.handle(BodyInvalid(block_id=order.block_id, reason="state root"))
            return
        self.bodies.add(order.block_id)
        self.handle(BodyReady(block_id=order.block_id))

    def answer(self, life: int, event: Event) -> None:
        """Hand an answer to the engine, unless it has been restarted."""
        if self.life == life:
            self.handle(event)

    # ----- final blocks

    def finalized(self, effect: Finalized) -> None:
        """Queue final blocks for execution, or sync what lies between."""
        world, proposal = self.world, effect.proposal
        if self.honest:
            world.audit.delivered(proposal.height, proposal.block_id, self.index)
            for block in effect.blocks:
                world.audit.delivered(block.header.height, block.block_id, self.index)
        if effect.blocks and effect.blocks[-1].block_id != proposal.block_id:
            raise Violation("a final path does not end at what is final")
        if effect.complete:
            # The sync below may have been faster than the engine: what it brought is delivered a second time.
            known = {*self.ids, *self.queue}
            fresh = [block for block in effect.blocks if block.block_id not in known]
            if fresh and fresh[0].header.parent != (self.queue or self.ids)[-1]:
                raise Violation(f"validator {self.index} delivered a final path with a gap")
            self.enqueue([block.block_id for block in fresh])
        else:
            world.coverage["syncs"] += 1
            world.after(self.rng.randint(50, 400), self.catch_up, self.life, proposal.block_id)

    def follow(self, life: int, again: bool) -> None:
        """The driver's sync by announcements: fetch what a connected node has executed above this one."""
        if not self.alive or self.life != life:
            return
        self.following = False
        ahead = [
            node
            for node in self.simulation.honest
            if node.alive and len(node.ids) > len(self.ids) and self.world.connected(node.index, self.index)
        ]
        if ahead:
            self.world.coverage["followed"] += 1
            self.catch_up(life, self.rng.choice(ahead).ids[-1])
        if again and self.plan.index(self.epoch, self.index) is None:
            self.world.after(FOLLOW_MS, self.follow, self.life, True)

    def catch_up(self, life: int, tip: bytes) -> None:
        """The driver's sync: fetch the final chain from an honest validator that executed it."""
        if not self.alive or self.life != life:
            return
        if not any(
            other.index != self.index and self.world.connected(other.index, self.index)
            for other in self.simulation.holders(tip)
        ):
            self.world.after(300, self.catch_up, life, tip)
            return
        path = []
        known = {*self.ids, *self.queue}
        while tip not in known:
            path.append(tip)
            tip = self.world.blocks[tip][0].parent
        if tip == (self.queue or self.ids)[-1]:
            self.enqueue(path[::-1])

    def enqueue(self, blocks: list[bytes]) -> None:
        """Final blocks to execute, in height order."""
        idle = not self.queue
        self.queue += blocks
        if idle and self.queue:
            self.world.after(self.rng.randint(1, 30), self.execute, self.life)

    def execute(self, life: int) -> None:
        """Execute the next final block, if somebody honest has its contents."""
        if not self.alive or self.life != life or not self.queue:
            return
        tip = self.queue[0]
        if tip not in self.bodies and not self.simulation.holders(tip):
            self.world.coverage["contents_missing"] += 1
            self.world.after(500, self.execute, life)
            return
        self.bodies.add(tip)
        self.queue.pop(0)
        header, body = self.world.blocks[tip]
        if header.epoch != self.epoch:
            raise Violation(
                f"a block of epoch {header.epoch} is final at validator {self.index}, in epoch {self.epoch}"
            )
        self.headers.append(header)
        self.ids.append(tip)
        self.frontier = self.frontier.append(tip)
        self.pool -= set(body)
        if header.next_epoch_record_hash != ZERO:
            self.next_epoch(header)
        else:
            self.handle(Executed(header=header, receipts=len(body), due=self.due(header.height)))
        self.hint()
        if self.alive and self.queue:
            self.world.after(self.rng.randint(1, 30), self.execute, self.life)

    def next_epoch(self, last: Header) -> None:
        """The last block of an epoch is executed: new journal, new engine, perhaps another place or none at all."""
        lived, self.unsure_view = False, 0
        if self.engine._core.me is not None:
            lived, forgetful = self.engine.lived, self.engine.observing == NOT_SIGNING_JOURNAL_LOST.name
            self.forgot = forgetful and not self.engine.certain
            self.unsure_view = int(forgetful)
        self.founded = not self.forgot
        self.epoch = last.epoch + 1
        self.plan.begin(self.epoch, self.ids[-1], last.height)
        self.journal, self.synced, self.must_sync = [], 0, 0
        self.life += 1
        self.waiting, self.ticking, self.following = False, None, False
        if self.honest:
            self.simulation.epochs = max(self.simulation.epochs, self.epoch)
        self.begin([], watch=self.simulation.watch and not lived)
        early, self.early = list(self.early), deque(maxlen=EARLY_MAX)
        for source, raw in early:
            self.receive(source, raw)
        if self.alive and self.plan.index(self.epoch, self.index) is None:
            self.world.after(FOLLOW_MS, self.follow, self.life, True)

    def admit(self, batch: bytes) -> None:
        """A batch reached this validator."""
        if self.alive:
            self.pool.add(batch)
            self.hint()

    def hint(self) -> None:
        """Tell the engine whether batches wait."""
        if self.alive and self.waiting != bool(self.pool):
            self.waiting = bool(self.pool)
            self.handle(Pending(waiting=self.waiting))


def votes_of(message: Message, leader: int) -> tuple[Vote, ...]:
    """The sender's own votes in a message; `leader`: its place in the record."""
    if isinstance(message, VotesMessage):
        return message.votes
    if isinstance(message, ProposalMessage):
        return (Vote(Kind.NOTARIZE, message.proposal, leader, message.signature),)
    return ()


def batch_of(number: int) -> bytes:
    """A batch id."""
    return tagged(b"batch", number.to_bytes(8, "big"), ZERO)
