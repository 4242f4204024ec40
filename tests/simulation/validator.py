"""One simulated validator: the real engine, with a driver that loses, delays, crashes and restarts."""

import random
from typing import TYPE_CHECKING

from cccnode.crypto.hashing import ZERO, tagged
from cccnode.crypto.merkle import Frontier
from cccnode.types.block import Header, block_id
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Kind, Vote
from consensus.config import Root
from consensus.effects import (
    Alarm,
    Blame,
    Build,
    CheckBody,
    Effect,
    EvidenceFound,
    Finalized,
    Persist,
    Send,
)
from consensus.engine import Engine
from consensus.events import BodyInvalid, BodyReady, BuildDeclined, Built, Event, Executed, Pending, Received, Tick
from consensus.messages import ProposalMessage, VotesMessage, decode_message, encode_message
from consensus.records import VoteRecord, decode_record, encode_record, record_view
from tests.simulation.arena import Arena, Violation
from tests.simulation.fakes import config_of, key_of, make_header, node_of

if TYPE_CHECKING:
    from tests.simulation.consensus import Simulation


class SimulatedValidator:
    """An identity's engine with its disk.  Twins are two of them with one identity."""

    def __init__(self, simulation: "Simulation", index: int, half: int, record: EpochRecord) -> None:
        """A validator with an empty disk; `start` gives it life."""
        self.simulation = simulation
        self.world: Arena = simulation.world
        self.rng: random.Random = simulation.world.rng
        self.index, self.half = index, half
        self.honest = index not in self.world.byzantine
        self.record = record
        config = config_of(record, index)
        self.genesis = config.root
        self.headers: list[Header] = [config.root.header]
        self.ids: list[bytes] = [config.root.block_id]
        self.frontier = Frontier().append(config.root.block_id)
        self.journal: list[bytes] = []
        self.synced = 0
        self.must_sync = 0
        self.bodies: set[bytes] = set()
        """Blocks whose contents are durable here."""
        self.queue: list[bytes] = []
        """Final blocks that wait for execution."""
        self.pool: set[bytes] = set()
        self.waiting = False
        self.alive = False
        self.life = 0
        self.ticking: int | None = None
        self.rate = self.rng.randint(900, 1100)
        self.engine: Engine

    # ----- life and death

    def clock(self) -> int:
        """The local monotonic clock: up to a tenth too fast or too slow."""
        return self.world.now * self.rate // 1000

    def start(self) -> None:
        """Start or restart from what the disk holds."""
        world = self.world
        self.life += 1
        self.alive = True
        header = self.headers[-1]
        root = Root(header=header, block_id=self.ids[-1], view=header.view)
        records = [decode_record(raw) for raw in self.journal]
        if self.life > 1:
            world.coverage["restarts"] += 1
            if self.rng.random() < 0.5:
                records = [record for record in records if record_view(record) >= header.view]
        self.queue, self.waiting, self.ticking = [], False, None
        self.engine, effects = Engine.restore(
            config_of(self.record, self.index, root),
            sign=world.signatures.signer(key_of(self.index)),
            verify_many=world.signatures.verify_many,
            records=records,
            now_ms=self.clock(),
        )
        if not self.honest:
            self.engine._core.own_vote_met = lambda *_: None  # type: ignore[method-assign]  # a twin expects to meet itself
        self.carry_out(effects)
        self.hint()

    def crash(self) -> None:
        """Lose all that is not durable: the journal keeps what was synced and some of what was not."""
        self.alive = False
        self.life += 1
        kept = self.synced + self.rng.randint(0, len(self.journal) - self.synced)
        self.simulation.after_crash(self, kept)
        self.synced = self.must_sync = len(self.journal)
        self.world.coverage["crashes"] += 1
        self.world.after(self.rng.randint(50, 4000), self.restart, self.life)

    def restart(self, life: int) -> None:
        """Come back, unless something else brought this validator back before."""
        if not self.alive and self.life == life:
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
                for vote in _votes_of(message):
                    world.release(vote)
                self.simulation.transmit(self, to, encode_message(message))
            case Build():
                world.after(self.rng.randint(1, 20), self.build, self.life, effect)
            case CheckBody():
                self.check_body(effect)
            case Finalized():
                self.finalized(effect)
            case EvidenceFound(first=first):
                world.coverage["evidence"] += 1
                if first.signer not in world.byzantine:
                    raise Violation(f"evidence names honest validator {first.signer}")
            case Blame(validator=validator, reason=reason):
                world.coverage["blames"] += 1
                if self.honest and validator is not None and validator not in world.byzantine:
                    raise Violation(f"honest validator {validator} blamed: {reason}")
            case Alarm(reason=reason):
                if self.honest:
                    raise Violation(f"alarm at validator {self.index}: {reason}")

    def sync(self) -> None:
        """Make the journal durable, if anything in it must be before what is sent next."""
        if self.must_sync > self.synced:
            for raw in self.journal[self.synced :]:
                record = decode_record(raw)
                if isinstance(record, VoteRecord):
                    self.world.release(record.vote)
            self.synced = len(self.journal)

    def receive(self, source: int, raw: bytes) -> None:
        """A message arrived."""
        if self.alive:
            self.world.observe(raw, self.index)
            self.world.coverage["messages"] += 1
            self.handle(Received(peer=node_of(source), validator=source, message=decode_message(raw)))

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
            proposer=self.index,
            body=body,
            exec_height=order.exec_height,
            time_ms=self.world.now,
            state_root=self.ids[order.exec_height],
            history_root=self.history([ancestor.block_id for ancestor in order.ancestors]),
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
        world = self.world
        if self.history([ancestor.block_id for ancestor in order.ancestors]) != order.header.history_root:
            world.after(1, self.answer, self.life, BodyInvalid(block_id=order.block_id, reason="history root"))
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
        if height >= len(self.ids):
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
            world.deliver_final(proposal.height, proposal.block_id, self.index)
            for block in effect.blocks:
                world.deliver_final(block.header.height, block.block_id, self.index)
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
        self.headers.append(header)
        self.ids.append(tip)
        self.frontier = self.frontier.append(tip)
        self.pool -= set(body)
        self.handle(Executed(header=header, receipts=len(body)))
        self.hint()
        if self.queue:
            self.world.after(self.rng.randint(1, 30), self.execute, life)

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


def _votes_of(message: object) -> tuple[Vote, ...]:
    """The sender's own votes in a message."""
    if isinstance(message, VotesMessage):
        return message.votes
    if isinstance(message, ProposalMessage):
        return (Vote(Kind.NOTARIZE, message.proposal, message.header.proposer, message.signature),)
    return ()


def batch_of(number: int) -> bytes:
    """A batch id."""
    return tagged(b"batch", number.to_bytes(8, "big"), ZERO)
