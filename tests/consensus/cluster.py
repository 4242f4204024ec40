"""A few engines on perfect or broken links with a driver that answers at once: for scenarios told step by step."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from cccnode.crypto.hashing import ZERO
from cccnode.types.block import Header, block_id
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Proposal, Vote, vote_bytes
from consensus.config import Root
from consensus.effects import Alarm, Blame, Build, CheckBody, Effect, EvidenceFound, Finalized, Persist, Send
from consensus.engine import Engine
from consensus.events import BodyInvalid, BodyReady, BuildDeclined, Built, Event, Executed, Pending, Received, Tick
from consensus.messages import Message, VotesMessage, decode_message, encode_message
from consensus.records import Record, decode_record, encode_record
from tests.simulation.fakes import CHAIN, Signatures, config_of, epoch_record, key_of, make_header, node_of

FAST = Timers(delta_ms=250, min_interval_ms=0)

Rule = Callable[[int, int, Message], bool]


@dataclass(slots=True)
class Member:
    """One validator: its engine, journal and what came out of it."""

    index: int
    engine: Engine
    journal: list[Record] = field(default_factory=list)
    alive: bool = True
    observe: str | None = None
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


class Cluster:
    """`count` validators; messages take `delay_ms`, unless a rule drops them."""

    def __init__(
        self, count: int, *, delay_ms: int = 10, timers: Timers | None = None, silent: tuple[int, ...] = ()
    ) -> None:
        self.count = count
        self.delay_ms = delay_ms
        self.record = epoch_record(count, timers or Timers())
        self.signatures = Signatures()
        self.now = 0
        self.blocks: dict[bytes, Header] = {}
        self._queue: list[tuple[int, int, int, Callable[[], None]]] = []
        self._sequence = 0
        self.rules: list[Rule] = []
        self.batch: dict[int, tuple[bytes, ...]] = {}
        """What a validator lists when it builds."""
        self.genesis = config_of(self.record, None).root
        self.members: list[Member] = []
        for index in range(count):
            member = Member(index, self.engine(index))
            member.final, member.delivered = [self.genesis.header], [self.genesis.block_id]
            member.alive = index not in silent
            self.members.append(member)

    # ----- making things

    def engine(self, index: int, root: Root | None = None, observe: str | None = None) -> Engine:
        """A fresh engine for a validator."""
        return Engine(
            config_of(self.record, index, root),
            sign=self.signatures.signer(key_of(index)),
            verify_many=self.signatures.verify_many,
            now_ms=self.now,
            observe=observe,
        )

    def vote(self, index: int, kind: Kind, proposal: Proposal) -> Vote:
        """A vote with a good signature, whoever it is."""
        return Vote(kind, proposal, index, self.signatures.signer(key_of(index))(vote_bytes(kind, CHAIN, 0, proposal)))

    def leader(self, view: int) -> int:
        """The leader of a view."""
        return self.members[0].engine._core.leaders.of(view)

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
            case Persist(record=record):
                member.journal.append(decode_record(encode_record(record)))
            case Send(to=to, message=message):
                self.transmit(member.index, to, message)
            case Build():
                self.at(0, lambda: self.build(member, effect))
            case CheckBody(block_id=checked) if member.checks:
                right = effect.header.state_root == member.root
                answer = BodyReady(block_id=checked) if right else BodyInvalid(block_id=checked, reason="state root")
                self.at(0, lambda: self.handle(member, answer))
            case Finalized():
                self.final(member, effect)
            case CheckBody() | Alarm() | Blame() | EvidenceFound():
                pass

    def transmit(self, source: int, to: bytes | None, message: Message) -> None:
        """Send to one or to all."""
        for target in self.members:
            if target.index != source and to in (None, node_of(target.index)):
                self.deliver(source, target.index, message)

    def deliver(self, source: int, target: int, message: Message) -> None:
        """One copy, unless a rule drops it."""
        if not any(rule(source, target, message) for rule in self.rules):
            copy = decode_message(encode_message(message))
            event = Received(peer=node_of(source), validator=source, message=copy)
            self.at(self.delay_ms, lambda: self.handle(self.members[target], event))

    def build(self, member: Member, order: Build) -> None:
        """Make what was ordered."""
        if member.declines:
            self.handle(member, BuildDeclined(view=order.view))
            return
        header = make_header(
            order.parent,
            view=order.view,
            parent_view=order.parent_view,
            proposer=member.index,
            body=() if order.empty else self.batch.get(member.index, ()),
            exec_height=order.exec_height,
            time_ms=self.now,
            state_root=member.root,
        )
        self.blocks[block_id(header)] = header
        body = () if order.empty else self.batch.get(member.index, ())
        self.handle(member, Built(view=order.view, header=header, body=body))

    def final(self, member: Member, effect: Finalized) -> None:
        """Take final blocks over, and fetch what the engine does not know."""
        path = []
        tip = effect.proposal.block_id
        while tip not in member.delivered:
            path.append(tip)
            tip = self.blocks[tip].parent
        assert tip == member.delivered[-1], "fork, or a gap"
        member.delivered += path[::-1]
        if member.executes:
            self.at(1, lambda: self.execute(member))

    def execute(self, member: Member) -> None:
        """Execute what is final."""
        while member.alive and len(member.final) < len(member.delivered):
            header = self.blocks[member.delivered[len(member.final)]]
            member.final.append(header)
            self.handle(member, Executed(header=header, receipts=header.tx_count))

    def pending(self, waiting: bool, *indices: int) -> None:
        """Batches wait (or not) at these validators; at all if none is named."""
        for index in indices or range(self.count):
            self.batch[index] = (b"B" * 32,) if waiting else ()
            self.handle(self.members[index], Pending(waiting=waiting))

    def run(self, duration_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let virtual time pass; whether `until` came true."""
        end = self.now + duration_ms
        while not until():
            ticks = [(m.engine.deadline_ms, m.index) for m in self.alive if m.engine.deadline_ms is not None]
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

    def crash(self, member: Member) -> None:
        """Stop; the journal stays as it is."""
        member.alive, member.crash_after = False, None

    def restart(self, member: Member, *, records: list[Record] | None = None) -> None:
        """Start again from the journal and the executed chain."""
        header = member.final[-1]
        root = Root(header=header, block_id=block_id(header), view=header.view)
        member.delivered = member.delivered[: len(member.final)]
        member.alive = True
        member.engine, effects = Engine.restore(
            config_of(self.record, member.index, root),
            sign=self.signatures.signer(key_of(member.index)),
            verify_many=self.signatures.verify_many,
            records=member.journal if records is None else records,
            now_ms=self.now,
            observe=member.observe,
        )
        self.carry_out(member, effects)

    def check(self) -> None:
        """One chain, no alarm, no honest signer in evidence or blamed."""
        longest = max((member.delivered for member in self.members), key=len)
        for member in self.members:
            assert longest[: len(member.delivered)] == member.delivered
            assert [] == member.of(Alarm)
            assert [] == member.of(EvidenceFound)
            assert [] == member.of(Blame)


def votes_of(message: Message, kind: Kind) -> bool:
    """Whether a message carries single votes of a kind."""
    return isinstance(message, VotesMessage) and any(vote.kind is kind for vote in message.votes)


def no_nullified_views(cluster: Cluster) -> bool:
    """Whether nobody gave a view up."""
    return not any(votes_of(m, Kind.NULLIFY) for member in cluster.members for m in member.sent(VotesMessage))
