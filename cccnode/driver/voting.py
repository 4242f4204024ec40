"""Carries out what the consensus engine decides, in the order it decides it (consensus.md 3.1).

Records go to the journal in their own writer thread, one sync for everything that waits; no message leaves before
the records that precede it are durable.  Blocks are built and checked here, because only here meet the engine, the
batches and the executed results.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from cccnode.codec import DecodeError, decode, encode
from cccnode.crypto.hashing import ZERO
from cccnode.driver.chain import Chain, Roots
from cccnode.driver.dissemination import Dissemination
from cccnode.driver.epochs import Epoch
from cccnode.driver.links import Links
from cccnode.driver.pool import BatchPool, Entry
from cccnode.driver.runtime import Runtime, Timer, raise_failure
from cccnode.driver.stages import Stages
from cccnode.ledger.validity import CheckedBatch, check_body, check_window, ends_epoch
from cccnode.types.block import HEADER_VERSION, Body, Header, block_id, body_root
from cccnode.types.certificate import Certificate
from cccnode.types.errors import Fault
from cccnode.types.limits import BATCH_TXS_MAX, CLOCK_AHEAD_MS_MAX
from cccnode.types.vote import Vote
from consensus.effects import (
    Alarm,
    Ancestor,
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
from consensus.messages import CertificatesMessage, Message
from consensus.records import Record, encode_record, record_view
from p2p.frames import Channel
from p2p.scores import Offence

CHECKS_MAX = 64
"""Blocks under check at a time: a few views' proposals and what a liar adds.

Beyond that the oldest goes without an answer.  It was proposed in a view that is long left, where nothing is voted for
any more, and what is certified needs no answer of ours: the engine asks only for the proposal of its current view.
"""
PRUNE_EVERY = 256
"""Views after which journal files below the stored final block are dropped."""

GROW_MS = 200
"""How long a crowded leader lets its block grow."""
CROWDED_TXS = 64
"""From so many waiting transactions on: more than a thousand a second at the default interval."""
FULL_TXS = 5_000
"""A block of this size goes at once: what a block costs is spread thin already."""


class VoteJournal(Protocol):
    """The consensus journal; called in its writer thread only."""

    def append(self, body: bytes) -> int:
        """Write a record, return its sequence."""

    def sync(self) -> None:
        """Make every record durable."""

    def prune(self, keep_from_sequence: int) -> None:
        """Drop old files."""


class Recorder(Protocol):
    """Stands between the driver and its engine while an incident is recorded."""

    def handle(self, engine: Engine, event: Event, now_ms: int) -> list[Effect]:
        """As `Engine.handle`."""


@dataclass(slots=True)
class _Check:
    """A proposal whose body is being checked."""

    effect: CheckBody
    missing: set[bytes] = field(default_factory=set)
    room: int = 0
    """Bytes that the header announces and that have not come yet."""
    timer: Timer | None = None


class Voting:
    """The engine with its hands: journal, network, builder, checker."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        links: Links,
        engine: Engine,
        journal: VoteJournal | None,
        journaled: Sequence[tuple[int, int]],
        epoch: Epoch,
        chain_id: bytes,
        chain: Chain,
        pool: BatchPool,
        dissemination: Dissemination,
        stages: Stages,
        finalized: Callable[[Finalized], None],
        elsewhere: Callable[[bytes, int, bytes], None],
        accused: Callable[[int, Vote, Vote], None],
    ) -> None:
        """Bind the engine to the node's parts; `finalized` gets every final chain it reports.

        `journaled`: view and sequence of each record that the journal holds already.  `elsewhere` gets messages of
        other epochs (peer, epoch, payload), `accused` pairs of contradicting votes with their epoch.
        """
        self.engine = engine
        self.alarm: str | None = None
        self.recorder: Recorder | None = None
        self._runtime, self._links, self._journal = runtime, links, journal
        self.epoch, self._record, self._chain_id = epoch, epoch.record, chain_id
        self._me, self._validators = epoch.me, epoch.nodes
        self._elsewhere, self._accused = elsewhere, accused
        self._nodes: dict[int, list[bytes]] = {}
        for node, index in epoch.nodes.items():
            self._nodes.setdefault(index, []).append(node)
        self._chain, self._pool, self._dissemination = chain, pool, dissemination
        self._stages, self._finalized = stages, finalized
        self._checks: dict[bytes, _Check] = {}
        self._unsynced: list[Record] = []
        self._held: deque[tuple[int, Send | Finalized]] = deque()
        """What waits for records to be durable, in order, with how many synced records precede it."""
        self._appended = 0
        self._durable = 0
        self._syncing = False
        self._timer: Timer | None = None
        self._deadline: int | None = None
        self._handling = False
        self._inbox: list[Event] = []
        self._sequences = list(journaled)
        """View and sequence of each record in the journal, as far as it is not pruned."""
        self._pruned_view = 0
        self._waiting = False
        self._stopped = False

    # Events in -------------------------------------------------------------------------------------------------------

    def start(self, effects: Sequence[Effect]) -> None:
        """Carry out what restoring the engine gave, and arm its timer."""
        self._carry_out(effects)
        self._rearm()

    def stop(self) -> None:
        """Take no further part in consensus; what is known stays readable."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for waiting in list(self._checks):
            self._end_check(waiting)

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        """A frame on the CONSENSUS channel."""
        if self._stopped:
            return
        started = self._runtime.cpu_ns()
        try:
            message: Message = decode(Message, payload)  # type: ignore[arg-type]  # a union is not a type[T] to mypy
        except DecodeError as error:
            self._links.punish(peer, Offence.MALFORMED, f"consensus: {error}")
            return
        if message.epoch != self.epoch.number:
            self._elsewhere(peer, message.epoch, payload)
            return
        self.handle(Received(peer=peer, validator=self._validators.get(peer), message=message))
        self._stages.add("consensus", self._runtime.cpu_ns() - started)

    def greet(self, peer: bytes) -> None:
        """A validator connected: tell it where this node stands, so that whoever is behind learns it at once.

        And show it what it signed itself: its journal may be older than that (R13).
        """
        validator = self._validators.get(peer)
        if validator is None or self._stopped:
            return
        self._links.send(peer, Channel.CONSENSUS, encode(self.engine.status_message()))
        votes = self.engine.votes_of(validator)
        if votes is not None:
            self._links.send(peer, Channel.CONSENSUS, encode(votes))

    def handle(self, event: Event) -> None:
        """Give the engine one event and carry out what follows; events raised meanwhile come after."""
        self._inbox.append(event)
        if self._handling or self._stopped:
            return
        self._handling = True
        try:
            while self._inbox:
                event, now_ms, recorder = self._inbox.pop(0), self._runtime.now_ms(), self.recorder
                handle = self.engine.handle if recorder is None else partial(recorder.handle, self.engine)
                self._carry_out(handle(event, now_ms))
        finally:
            self._handling = False
        self._rearm()

    def meet(self, peer: bytes, certificate: Certificate) -> None:
        """A certificate came outside of consensus: what it says counts all the same."""
        message = CertificatesMessage(self.epoch.number, (certificate,))
        self.handle(Received(peer=peer, validator=None, message=message))

    def batch_ready(self, entry: Entry) -> None:
        """A batch became durable: a reason to make a block, and perhaps what a proposal waits for."""
        for waiting in [key for key, check in self._checks.items() if entry.id in check.missing]:
            check = self._checks.get(waiting)
            if check is None:
                continue
            check.missing.discard(entry.id)
            check.room -= entry.size
            if check.room < 0:
                self._refuse(waiting, "more bytes than the header announces")
            else:
                self._try_check(waiting)
        self.pending_changed()

    def batch_spoiled(self, batch: bytes) -> None:
        """A batch that a proposal lists can never be valid (J2)."""
        for waiting in [key for key, check in self._checks.items() if batch in check.missing]:
            self._refuse(waiting, "a batch with an invalid transaction")

    def pending_changed(self) -> None:
        """Tell the engine whether batches wait here that this node would list."""
        if self._pool.waiting != self._waiting:
            self._waiting = self._pool.waiting
            self.handle(Pending(waiting=self._waiting))

    def executed(self, header: Header, receipts: int, *, due: bool) -> None:
        """A final block is executed and stored; `due`: its state holds a change for the next epoch."""
        self.handle(Executed(header=header, receipts=receipts, due=due))
        for waiting in list(self._checks):
            self._try_check(waiting)
        self._prune(header.view)

    # Effects out -----------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist(record=record, sync=sync):
                    self._persist(record, sync=sync)
                case Send():
                    self._after_records(effect)
                case Build():
                    # After the effects that precede it, as an event of its own: it may take a while.
                    self._runtime.call_soon(lambda build=effect: self._build(build))  # type: ignore[misc]
                case CheckBody():
                    self._begin_check(effect)
                case Finalized():
                    self._finalize(effect)
                case EvidenceFound() | Blame() | Alarm():
                    self._report(effect)

    def _report(self, effect: EvidenceFound | Blame | Alarm) -> None:
        match effect:
            case EvidenceFound(first=first, second=second):
                self._accused(self.epoch.number, first, second)
            case Blame(peer=peer, reason=reason):
                self._links.punish(peer, Offence.INVALID_VOTE, reason)
            case Alarm(reason=reason):
                self.alarm = reason

    def _persist(self, record: Record, *, sync: bool) -> None:
        if self._journal is None:
            return
        self._unsynced.append(record)
        if sync:
            self._appended += 1
        if sync and not self._syncing:
            self._sync_journal()

    def _sync_journal(self) -> None:
        """Group commit: all records that wait, one sync, in the journal's own thread."""
        journal = self._journal
        assert journal is not None
        self._syncing = True
        records, self._unsynced = self._unsynced, []
        upto = self._appended

        def job() -> list[tuple[int, int]]:
            written = [(record_view(record), journal.append(encode_record(record))) for record in records]
            journal.sync()
            return written

        self._runtime.run_in_writer("journal", job, lambda result: self._journal_synced(upto, result))

    def _journal_synced(self, upto: int, result: list[tuple[int, int]] | BaseException) -> None:
        if isinstance(result, BaseException):
            raise result
        self._syncing = False
        self._durable = upto
        self._sequences.extend(result)
        if self._durable < self._appended:
            self._sync_journal()
        while self._held and self._held[0][0] <= self._durable:
            _, effect = self._held.popleft()
            self._release(effect)

    def _finalize(self, effect: Finalized) -> None:
        """A final block is stored with its certificate, which may hold own votes: they must be durable before."""
        for block in effect.blocks:
            self._chain.remember(block.block_id, block.header.height, block.body)
        self._after_records(effect)

    def _after_records(self, effect: Send | Finalized) -> None:
        """Carry it out once all earlier records are durable."""
        if self._journal is not None and (self._held or self._appended > self._durable):
            self._held.append((self._appended, effect))
        else:
            self._release(effect)

    def _release(self, effect: Send | Finalized) -> None:
        if isinstance(effect, Send):
            self._transmit(effect)
        else:
            self._finalized(effect)

    def _transmit(self, send: Send) -> None:
        if self._stopped:
            return  # Nobody may think that this node still is in this epoch.
        payload = encode(send.message)
        if send.to is not None:
            self._links.send(send.to, Channel.CONSENSUS, payload)
            return
        connected = self._links.connected()
        for node in self._validators:
            if node in connected:
                self._links.send(node, Channel.CONSENSUS, payload)

    def _rearm(self) -> None:
        deadline = self.engine.deadline_ms
        if deadline == self._deadline and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._deadline, self._timer = deadline, None
        if deadline is not None:
            wait = max(0, deadline - self._runtime.now_ms())
            self._timer = self._runtime.call_later(wait, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.handle(Tick())

    def _prune(self, view: int) -> None:
        """Drop journal files that lie wholly below the stored final block."""
        journal = self._journal
        if journal is None or view < self._pruned_view + PRUNE_EVERY:
            return
        self._pruned_view = view
        kept = [(seen, sequence) for seen, sequence in self._sequences if seen >= view]
        self._sequences = kept
        if kept:
            oldest = min(sequence for _, sequence in kept)
            self._runtime.run_in_writer("journal", lambda: journal.prune(oldest), raise_failure)

    # Building --------------------------------------------------------------------------------------------------------

    def _build(self, build: Build, *, waited: bool = False) -> None:
        """R2: a block on that parent, or an honest refusal.

        Every block costs each node about 8 ms whatever is in it.  So a crowded leader lets the block grow for a moment;
        its voters wait three times as long before they pass it over (J12).
        """
        above = self._chain.above(build.ancestors)
        roots = self._chain.roots_at(build.exec_height)
        if above is None or roots is None or self._stopped:
            self.handle(BuildDeclined(view=build.view))
            return
        time_ms = max(build.parent.time_ms + 1, self._runtime.wall_ms())
        entries: list[Entry] = []
        if not build.empty:
            entries = self._pool.select(exclude=self._chain.listed(above), time_ms=time_ms)
            entries = self._within_window(entries, above, time_ms)
        if not waited and CROWDED_TXS <= sum(len(entry.transactions) for entry in entries) < FULL_TXS:
            wait_ms = min(GROW_MS, self._record.timers.delta_ms)
            self._runtime.call_later(wait_ms, lambda: self._build(build, waited=True))
            return
        header = self._header(build, roots, above, entries, time_ms)
        body = tuple(entry.id for entry in entries)
        self._chain.remember(block_id(header), header.height, body)
        self.handle(Built(view=build.view, header=header, body=body))

    def _within_window(self, entries: list[Entry], above: Sequence[Ancestor], time_ms: int) -> list[Entry]:
        """As many of `entries` as the duplicate window still takes (J5)."""
        limits = self._record.limits
        room = limits.window_tx_max
        for earlier, count in self._chain.window_headers(above):
            if earlier <= time_ms - limits.tx_lifetime_max_ms:
                break
            room -= count
        chosen = []
        for entry in entries:
            room -= len(entry.transactions)
            if room < 0:
                break
            chosen.append(entry)
        return chosen

    def _header(
        self, build: Build, roots: Roots, above: Sequence[Ancestor], entries: Sequence[Entry], time_ms: int
    ) -> Header:
        assert self._me is not None, "only validators build"
        header = Header(
            version=HEADER_VERSION,
            chain=self._chain_id,
            epoch=self.epoch.number,
            view=build.view,
            height=build.parent.height + 1,
            parent=build.parent_id,
            parent_view=build.parent_view,
            time_ms=time_ms,
            proposer=self._me,
            body_root=body_root(tuple(entry.id for entry in entries)),
            tx_count=sum(len(entry.transactions) for entry in entries),
            body_bytes=sum(entry.size for entry in entries),
            exec_height=build.exec_height,
            state_root=roots.state_root,
            results_root=roots.results_root,
            history_root=self._chain.history_root(above),
            epoch_record_hash=self.epoch.record_hash,
            next_epoch_record_hash=ZERO,
            extra_hash=ZERO,
        )
        return replace(header, next_epoch_record_hash=self._next_record_hash(header, roots))

    def _next_record_hash(self, header: Header, roots: Roots) -> bytes:
        """What a header must say of the next epoch: zeros, unless it must be the last of this one (J11)."""
        ahead, start, limits = roots.ahead, self.epoch.start, self._record.limits
        return ahead.record_hash if ends_epoch(header, start=start, limits=limits, due=ahead.due) else ZERO

    # Checking --------------------------------------------------------------------------------------------------------

    def _begin_check(self, effect: CheckBody) -> None:
        self._chain.remember(effect.block_id, effect.header.height, effect.body)
        if effect.block_id in self._checks:
            self._checks[effect.block_id].effect = effect
        else:
            while len(self._checks) >= CHECKS_MAX:
                self._end_check(next(iter(self._checks)))
            self._checks[effect.block_id] = _Check(effect)
        batches, transactions = len(effect.body), effect.header.tx_count
        if not batches <= transactions <= batches * BATCH_TXS_MAX:
            self._refuse(effect.block_id, "no such number of transactions fits into its batches")
            return
        self._fetch_missing(self._checks[effect.block_id])
        self._try_check(effect.block_id)

    def _fetch_missing(self, check: _Check) -> None:
        """Ask for batches that are not durable here: of the proposer first, then of whoever announced them."""
        effect = check.effect
        ready = {batch: self._pool.ready(batch) for batch in effect.body}
        check.missing = {batch for batch, entry in ready.items() if entry is None}
        check.room = effect.header.body_bytes - sum(entry.size for entry in ready.values() if entry is not None)
        if not self._dissemination.invalid.keys().isdisjoint(check.missing):
            self._refuse(effect.block_id, "a batch with an invalid transaction")
            return
        proposer = self._nodes.get(effect.proposer, [])
        for batch in effect.body:
            if batch in check.missing and self._pool.ready(batch) is None:
                holders = [node for index in sorted(self._pool.early_holders(batch)) for node in self._nodes[index]]
                self._dissemination.want(batch, [*proposer, *holders])

    def _end_check(self, block_id: bytes) -> None:
        check = self._checks.pop(block_id)
        if check.timer is not None:
            check.timer.cancel()

    def _refuse(self, block_id: bytes, reason: str) -> None:
        """The block can never be valid; what it alone needed is fetched no more."""
        check = self._checks[block_id]
        self._end_check(block_id)
        needed = {batch for other in self._checks.values() for batch in other.missing}
        self._dissemination.give_up(check.missing - needed)
        self.handle(BodyInvalid(block_id=block_id, reason=reason))

    def _try_check(self, block_id: bytes) -> None:
        """Answer if everything needed is here; missing things are never the block's fault."""
        check = self._checks.get(block_id)
        if check is None:
            return
        header, body = check.effect.header, check.effect.body
        if header.height <= self._chain.height:
            self._end_check(block_id)
            return
        above = self._chain.above(check.effect.ancestors)
        if check.missing or above is None or header.exec_height > self._chain.height:
            return
        roots = self._chain.roots_at(header.exec_height)
        if roots is None:
            return  # Executed before this node's records begin: undetermined, so no vote.
        ahead_ms = header.time_ms - self._runtime.wall_ms() - CLOCK_AHEAD_MS_MAX
        if ahead_ms > 0:
            if check.timer is None:
                check.timer = self._runtime.call_later(ahead_ms, lambda: self._retry(block_id))
            return
        self._fetch_missing(check)
        if check.missing or self._checks.get(block_id) is not check:
            return  # Something was dropped while the check waited, or its return has ended the check already.
        reason = self._fault(header, body, above) or self._results_fault(header, roots)
        self._end_check(block_id)
        if reason is None:
            self.handle(BodyReady(block_id=block_id))
        else:
            self.handle(BodyInvalid(block_id=block_id, reason=reason))

    def clock_moved(self) -> None:
        """The clock jumped: blocks that wait for it are looked at again."""
        for waiting in list(self._checks):
            self._try_check(waiting)

    def _retry(self, block_id: bytes) -> None:
        if block_id in self._checks:
            self._checks[block_id].timer = None
            self._try_check(block_id)

    def _results_fault(self, header: Header, roots: Roots) -> str | None:
        """What the block says of E and of the next epoch, against what this node found when it executed E."""
        if (header.state_root, header.results_root) != (roots.state_root, roots.results_root):
            return f"results at height {roots.height} differ"
        if header.next_epoch_record_hash != self._next_record_hash(header, roots):
            return "it ends the epoch too early, too late or for another record"
        return None

    def _fault(self, header: Header, body: Body, above: Sequence[Ancestor]) -> str | None:
        """Which rule the block breaks that can be judged now that everything is here; None if it keeps all."""
        if header.history_root != self._chain.history_root(above):
            return "history_root"
        batches = []
        for batch_id in body:
            entry = self._pool.ready(batch_id)
            assert entry is not None, "asked for just before"
            batches.append(
                CheckedBatch(id=entry.id, transactions=entry.transactions, size=entry.size, weight=entry.weight)
            )
        try:
            check_body(header, body, batches)
            check_window(header, self._chain.window_headers(above), self._record.limits)
        except Fault as fault:
            return str(fault)
        return None
