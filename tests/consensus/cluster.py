"""A few engines on perfect or broken links with a driver that answers at once: for scenarios told step by step."""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cccnode.crypto.hashing import ZERO
from cccnode.types.block import Header, block_id
from cccnode.types.limits import CLOCK_AHEAD_MS_MAX
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Proposal, Vote, vote_bytes
from consensus.config import Root
from consensus.effects import Alarm, Blame, Build, CheckBody, Effect, EvidenceFound, Finalized, Persist, Send
from consensus.engine import Engine
from consensus.events import BodyInvalid, BodyReady, BuildDeclined, Built, Event, Executed, Pending, Received, Tick
from consensus.leaders import Leaders
from consensus.messages import Message, VotesMessage, decode_message, encode_message
from consensus.records import Record, decode_record, encode_record
from tests.simulation.auditor import Auditor
from tests.simulation.epochs import ENDLESS, Plan
from tests.simulation.fakes import CHAIN, Signatures, make_header, node_of
from tests.simulation.validator import votes_of as votes_in

FAST = Timers(delta_ms=250, min_interval_ms=0)

Rule = Callable[[int, int, Message], bool]


@dataclass(slots=True)
class Member:
    """One validator: its engine, journal and what came out of it."""

    index: int
    engine: Engine
    journal: list[Record] = field(default_factory=list)
    """Of the current epoch."""
    synced: int = 0
    """Records that no crash takes away."""
    must_sync: int = 0
    alive: bool = True
    epoch: int = 0
    observe: str | None = None
    watch: bool = False
    """Whether it watches before it signs when it is restarted (R13)."""
    final: list[Header] = field(default_factory=list)
    """Executed headers, genesis first."""
    delivered: list[bytes] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    """Everything it ever asked for."""
    executes: bool = True
    checks: bool = True
    """Whether bodies arrive."""
    root: bytes = ZERO
    """What it finds as state root, whatever is executed."""
    declines: bool = False
    """Whether it refuses to build."""
    ahead_ms: int = 0
    """How far its wall clock is ahead."""
    crash_after: int | None = None
    """Crash once so many further effects were carried out."""

    def of(self, kind: type) -> list:
        """The effects of one kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def sent(self, kind: type) -> list:
        """The messages of one kind that it sent."""
        return [effect.message for effect in self.of(Send) if isinstance(effect.message, kind)]

    @property
    def height(self) -> int:
        """Of the newest delivered block."""
        return len(self.delivered) - 1


@dataclass(slots=True)
class Chosen:
    """Leaders that the scenario has chosen."""

    drawn: Leaders
    of: Callable[[int], int]

    def relays(self, validator: int, view: int) -> bool:
        """As drawn."""
        return self.drawn.relays(validator, view)


class Cluster:
    """`count` validators; messages take `delay_ms`, unless a rule drops them.  Epochs end after `epoch_blocks`."""

    def __init__(
        self,
        count: int,
        *,
        delay_ms: int = 10,
        timers: Timers | None = None,
        silent: Sequence[int] = (),
        plan: Plan | None = None,
        leaders: Sequence[int] = (),
    ) -> None:
        """`plan`: who validates when, if not always the same; `leaders`: of views 1, 2, ... of the first epoch."""
        self.count = count
        self.delay_ms = delay_ms
        self.plan = plan or Plan(
            rng=random.Random(0), count=count, spare=0, byzantine=frozenset(), timers=timers or Timers(), blocks=ENDLESS
        )
        self.leaders = tuple(leaders)
        self.record = self.plan.record(0)
        self.signatures = Signatures()
        self.audit: Auditor | None = None
        """Told of every vote that leaves its validator, if there is one."""
        self.now = 0
        self.blocks: dict[bytes, Header] = {}
        self._queue: list[tuple[int, int, int, Callable[[], None]]] = []
        self._sequence = 0
        self.rules: list[Rule] = []
        self.batch: dict[int, tuple[bytes, ...]] = {}
        """What a validator lists when it builds."""
        header = self.plan.genesis
        self.genesis = Root(header=header, block_id=block_id(header), view=0)
        self.members: list[Member] = []
        for index in range(count + self.plan.spare):
            member = Member(index, self.engine(index))
            member.final, member.delivered = [self.genesis.header], [self.genesis.block_id]
            member.alive = index not in silent
            self.members.append(member)

    # ----- making things

    def engine(self, index: int, root: Root | None = None, observe: str | None = None) -> Engine:
        """A fresh engine for a validator, in the first epoch."""
        engine, _ = self.start_engine(index, 0, root or self.genesis, [], observe=observe)
        return engine

    def start_engine(
        self, index: int, epoch: int, root: Root, records: Sequence[Record], *, observe: str | None, watch: bool = False
    ) -> tuple[Engine, list[Effect]]:
        """An engine of an epoch that goes on from `root` and `records`."""
        key = self.plan.key(epoch, index)
        config = self.plan.config(epoch, index, root, watch=watch)
        options = {
            "sign": self.signatures.signer(key) if key is not None else None,
            "verify_many": self.signatures.verify_many,
            "now_ms": self.now,
            "observe": observe,
        }
        if records or epoch or watch:
            engine, effects = Engine.restore(config, records=records, **options)
        else:
            engine, effects = Engine(config, **options), []
        if self.leaders and not epoch:
            engine._core.leaders = Chosen(engine._core.leaders, self.leader)  # the scenario says who leads
        return engine, effects

    def vote(self, index: int, kind: Kind, proposal: Proposal, epoch: int = 0) -> Vote:
        """A vote with a good signature, whoever it is."""
        place, key = self.plan.index(epoch, index), self.plan.key(epoch, index)
        assert place is not None
        assert key is not None
        return Vote(kind, proposal, place, self.signatures.signer(key)(vote_bytes(kind, CHAIN, epoch, proposal)))

    def leader(self, view: int) -> int:
        """The leader of a view of the first epoch."""
        if self.leaders:
            return self.leaders[(view - 1) % len(self.leaders)]
        return self.plan.leader(0, view)

    # ----- running

    @property
    def alive(self) -> list[Member]:
        """Those that run."""
        return [member for member in self.members if member.alive]

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.now + delay_ms, self._sequence, 0, action))

    def handle(self, member: Member, event: Event) -> None:
        """One event and its effects."""
        if member.alive:
            self.carry_out(member, member.engine.handle(event, self.now))

    def carry_out(self, member: Member, effects: list[Effect]) -> None:
        """Effects in order; a crash may cut them short."""
        for effect in effects:
            if member.crash_after is not None:
                if member.crash_after == 0:
                    self.crash(member)
                    return
                member.crash_after -= 1
            member.effects.append(effect)
            self.one(member, effect)

    def one(self, member: Member, effect: Effect) -> None:
        """Carry out one effect."""
        match effect:
            case Persist(record=record, sync=sync):
                member.journal.append(decode_record(encode_record(record)))
                member.must_sync = len(member.journal) if sync else member.must_sync
            case Send(to=to, message=message):
                member.synced = len(member.journal) if member.must_sync > member.synced else member.synced
                self.note(member, message)
                self.transmit(member, to, message)
            case Build():
                self.at(0, lambda: self.build(member, effect))
            case CheckBody() if member.checks:
                self.check_body(member, effect)
            case Finalized():
                self.final(member, effect)
            case CheckBody() | Alarm() | Blame() | EvidenceFound():
                pass

    def note(self, member: Member, message: Message) -> None:
        """Tell the audit of the votes in a message."""
        place = self.plan.index(member.epoch, member.index)
        if self.audit is not None and place is not None:
            for vote in votes_in(message, place):
                self.audit.vote(member.epoch, member.index, vote.kind, vote.proposal)

    def transmit(self, source: Member, to: bytes | None, message: Message) -> None:
        """Send to one validator, or to all of the sender's epoch."""
        for target in self.members:
            mine = self.plan.index(source.epoch, target.index) is not None
            if target.index != source.index and mine and to in (None, node_of(target.index)):
                self.deliver(source.index, target.index, message)

    def deliver(self, source: int, target: int, message: Message) -> None:
        """One copy, unless a rule drops it."""
        if not any(rule(source, target, message) for rule in self.rules):
            copy = decode_message(encode_message(message))
            self.at(self.delay_ms, lambda: self.receive(self.members[target], source, copy))

    def receive(self, member: Member, source: int, message: Message) -> None:
        """A message arrives; whoever is an epoch behind is shown how that epoch ended."""
        if not member.alive:
            return
        if message.epoch > member.epoch:
            self.at(2 * self.delay_ms, lambda: self.follow(member))
        elif message.epoch < member.epoch:
            self.at(2 * self.delay_ms, lambda: self.follow(self.members[source]))
        validator = self.plan.index(member.epoch, source)
        self.handle(member, Received(peer=node_of(source), validator=validator, message=message))

    def build(self, member: Member, order: Build) -> None:
        """Make what was ordered."""
        if member.declines:
            self.handle(member, BuildDeclined(view=order.view))
            return
        body = () if order.empty else self.batch.get(member.index, ())
        header = make_header(
            order.parent,
            view=order.view,
            parent_view=order.parent_view,
            proposer=self.plan.index(member.epoch, member.index) or 0,
            body=body,
            exec_height=order.exec_height,
            time_ms=self.now + member.ahead_ms,
            state_root=member.root,
            record=self.plan.record(member.epoch),
            next_record_hash=self.plan.next_hash(member.epoch, order.parent.height + 1, order.exec_height),
        )
        self.blocks[block_id(header)] = header
        self.handle(member, Built(view=order.view, header=header, body=body))

    def check_body(self, member: Member, order: CheckBody) -> None:
        """Judge a body: at once, or when the local clock has come close to the header's time."""
        header, answer = order.header, BodyReady(block_id=order.block_id)
        ends = self.plan.next_hash(member.epoch, header.height, header.exec_height)
        if (header.state_root, header.next_epoch_record_hash) != (member.root, ends):
            answer = BodyInvalid(block_id=order.block_id, reason="state root or next epoch")
        early_ms = header.time_ms - (self.now + member.ahead_ms) - CLOCK_AHEAD_MS_MAX
        self.at(max(0, early_ms), lambda: self.handle(member, answer))

    def final(self, member: Member, effect: Finalized) -> None:
        """Take final blocks over, and fetch what the engine does not know."""
        self.fetch(member, effect.proposal.block_id)

    def fetch(self, member: Member, tip: bytes) -> None:
        """The final chain up to `tip`, whatever is known of it here."""
        path = []
        while tip not in member.delivered:
            path.append(tip)
            tip = self.blocks[tip].parent
        assert tip == member.delivered[-1] or not path, "fork, or a gap"
        member.delivered += path[::-1]
        if member.executes:
            self.at(1, lambda: self.execute(member))

    def follow(self, member: Member) -> None:
        """The driver's sync: what a node that can be reached has executed above this one."""
        probe = VotesMessage(0, 0, ())
        ahead = [
            other
            for other in self.alive
            if len(other.final) > len(member.delivered)
            and not any(rule(other.index, member.index, probe) for rule in self.rules)
        ]
        if member.alive and ahead:
            self.fetch(member, ahead[0].delivered[len(ahead[0].final) - 1])

    def execute(self, member: Member) -> None:
        """Execute what is final; whoever is no validator takes it over from there."""
        while member.alive and len(member.final) < len(member.delivered):
            header = self.blocks[member.delivered[len(member.final)]]
            assert header.epoch == member.epoch, "a final block of another epoch"
            member.final.append(header)
            if header.next_epoch_record_hash != ZERO:
                self.next_epoch(member, header)
            else:
                due = header.height > self.plan.starts[member.epoch] and self.plan.due(member.epoch, header.height)
                self.handle(member, Executed(header=header, receipts=header.tx_count, due=due))
            for other in self.members:
                if self.plan.index(other.epoch, other.index) is None and other is not member:
                    self.at(self.delay_ms, lambda other=other: self.follow(other))

    def next_epoch(self, member: Member, last: Header) -> None:
        """The last block of an epoch is executed: a new journal and a new engine."""
        member.epoch = last.epoch + 1
        self.plan.begin(member.epoch, block_id(last), last.height)
        member.journal, member.synced, member.must_sync = [], 0, 0
        root = Root(header=last, block_id=block_id(last), view=0, pending=self.pending_height(member))
        member.engine, effects = self.start_engine(member.index, member.epoch, root, [], observe=None)
        self.carry_out(member, effects)
        self.handle(member, Pending(waiting=bool(self.batch.get(member.index))))

    def pending_height(self, member: Member) -> int:
        """The newest executed height whose root still has to be published."""
        unpublished = member.final[member.final[-1].exec_height + 1 :]
        return max((header.height for header in unpublished if header.tx_count), default=0)

    def pending(self, waiting: bool, *indices: int) -> None:
        """Batches wait (or not) at these validators; at all if none is named."""
        for index in indices or range(len(self.members)):
            self.batch[index] = (b"B" * 32,) if waiting else ()
            self.handle(self.members[index], Pending(waiting=waiting))

    def run(self, duration_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let virtual time pass; whether `until` came true."""
        end = self.now + duration_ms
        while not until():
            ticks = [
                (member.engine.deadline_ms, place)
                for place, member in enumerate(self.members)
                if member.alive and member.engine.deadline_ms is not None
            ]
            tick = min(ticks, default=(end + 1, 0))
            if min(tick[0], self._queue[0][0] if self._queue else end + 1) > end:
                self.now = end
                return until()
            if self._queue and self._queue[0][0] <= tick[0]:
                self.now, _, _, action = heapq.heappop(self._queue)
                action()
            else:
                self.now = max(self.now, tick[0])
                self.handle(self.members[tick[1]], Tick())
        return True

    def run_until_height(self, height: int, duration_ms: int = 60_000) -> bool:
        """Whether everybody alive delivers that height in time."""
        return self.run(duration_ms, lambda: all(member.height >= height for member in self.alive))

    # ----- breaking things

    def crash(self, member: Member, *, keep: int | None = None) -> None:
        """Stop; the journal stays as it is, or keeps so many of the records that were not durable yet."""
        member.alive, member.crash_after = False, None
        if keep is not None:
            member.journal = member.journal[: member.synced + keep]
        member.synced = member.must_sync = len(member.journal)

    def restart(self, member: Member, *, records: list[Record] | None = None) -> None:
        """Start again from the journal and the executed chain."""
        header = member.final[-1]
        first = header.height == self.plan.starts[member.epoch]
        root = Root(
            header=header,
            block_id=block_id(header),
            view=0 if first else header.view,
            pending=self.pending_height(member),
        )
        member.delivered = member.delivered[: len(member.final)]
        member.alive = True
        kept = member.journal if records is None else records
        member.engine, effects = self.start_engine(
            member.index, member.epoch, root, kept, observe=member.observe, watch=member.watch
        )
        self.carry_out(member, effects)
        if member.watch:
            for other in self.alive:
                self.greet(other, member)

    def greet(self, member: Member, other: Member) -> None:
        """A new link: the other is told where this one stands, and shown its own votes (R13)."""
        place = self.plan.index(member.epoch, other.index)
        if place is None or other is member:
            return
        for message in (member.engine.status_message(), member.engine.votes_of(place)):
            if message is not None:
                self.deliver(member.index, other.index, message)

    def check(self) -> None:
        """One chain, no alarm, no honest signer in evidence or blamed."""
        self.agree()
        for member in self.members:
            assert [] == member.of(Alarm)
            assert [] == member.of(EvidenceFound)
            assert [] == member.of(Blame)

    def agree(self) -> None:
        """All final chains are prefixes of one."""
        longest = max((member.delivered for member in self.members), key=len)
        for member in self.members:
            assert longest[: len(member.delivered)] == member.delivered, "fork"


def votes_of(message: Message, kind: Kind) -> bool:
    """Whether a message carries single votes of a kind."""
    return isinstance(message, VotesMessage) and any(vote.kind is kind for vote in message.votes)


def no_nullified_views(cluster: Cluster) -> bool:
    """Whether nobody gave a view up."""
    return not any(votes_of(m, Kind.NULLIFY) for member in cluster.members for m in member.sent(VotesMessage))
