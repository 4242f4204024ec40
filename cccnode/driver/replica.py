"""One node without its sockets: storage, ledger, mempool, batches, consensus and catch-up, joined over a `Runtime`.

`cccnode.node` gives it real connections and an RPC; the simulation gives it virtual ones.  All entry points are plain
calls on one thread; whatever takes long is cut into slices or done in a writer thread.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from msgspec.structs import replace

from cccnode.codec import decode_trusted, encode
from cccnode.driver.accepted import AcceptedRestarts
from cccnode.driver.admission import Admission
from cccnode.driver.catch_up import Authority, CatchUp
from cccnode.driver.chain import FinalBlocks
from cccnode.driver.dissemination import Dissemination
from cccnode.driver.epochs import (
    Epoch,
    Identity,
    OtherEpochs,
    current_epoch,
    make_epoch,
    moved,
    read_record,
    remember_start,
)
from cccnode.driver.evidence import EVIDENCE, Evidence
from cccnode.driver.execution import Applied, Executor, Job, Membership, look_ahead, whole_job
from cccnode.driver.forwarding import Forwarding
from cccnode.driver.links import Links
from cccnode.driver.opened import Opened
from cccnode.driver.pool import BatchPool, Entry
from cccnode.driver.quotas import OWN
from cccnode.driver.restart import newest_root, rebuild_chain, rebuild_window
from cccnode.driver.runtime import Runtime, raise_failure
from cccnode.driver.snapshots import Snapshots
from cccnode.driver.stages import Stages
from cccnode.driver.voting import Voting
from cccnode.driver.waiters import Waiters
from cccnode.ingress import decode_transactions, trusted_transactions
from cccnode.ledger.receipts import outcome_of
from cccnode.ledger.registry import Registry
from cccnode.mempool import Caps, Mempool
from cccnode.types.batch import Batch, batch_id
from cccnode.types.block import FinalBlock, Header, block_id
from cccnode.types.certificate import Certificate, signer_indices
from cccnode.types.errors import (
    JOURNAL_CORRUPT,
    NOT_SIGNING_JOURNAL_LOST,
    POOL_NOT_READY,
    Fault,
    fault,
)
from cccnode.types.receipt import Receipt
from cccnode.types.transaction import Verified
from cccnode.types.validators import EpochRecord, quorum
from consensus.config import Config, VerifyMany
from consensus.effects import Effect, Finalized
from consensus.engine import Engine
from consensus.records import BlockRecord, record_view
from consensus.rules import ends_epoch
from p2p.events import Behind, Contact, Forget, Linked, Registered, Tip, Unlinked
from p2p.frames import Channel
from p2p.gossip import Gossip

_log = structlog.get_logger("replica")

Submitted = tuple[bytes, Fault | None]
FINAL_AHEAD_MAX = 256
"""Heights above the queue for which a final block's list is kept; what is higher comes whole, by catch-up."""
_FORGETFUL = frozenset({NOT_SIGNING_JOURNAL_LOST.name, JOURNAL_CORRUPT.name})
RECENT_BLOCKS = 32
"""Executed blocks whose batches are remembered over a restart: twice the tail that may be unexecuted elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where and how a transaction was decided."""

    height: int
    position: int
    code: int


class Replica:
    """The node's parts and the wires between them."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        links: Links,
        identity: Identity,
        opened: Opened,
        registry: Registry,
        membership: Membership,
        chain_id: bytes,
        genesis_header: Header,
        contacts: Callable[[Collection[bytes]], Sequence[Contact]],
        gossip: Gossip,
        verify_many: VerifyMany,
        verify_votes: VerifyMany | None = None,
        caps: Caps | None = None,
        restarts: AcceptedRestarts | None = None,
    ) -> None:
        """Join the parts.

        `restarts`: the restart certificates that the operator has accepted.  `contacts` says whom this node may be
        linked with, given the node keys of the epoch's validators, and is asked again whenever that may have changed;
        `verify_votes` lets a simulation use another signature scheme for votes.
        """
        self.runtime, self.links, self.identity = runtime, links, identity
        self.registry, self.store, self.chain_id = registry, opened.store, chain_id
        self._batches = opened.batches
        self._open_journal, self._found_journal = opened.open_journal, opened.found_journal
        self._key_forgot = opened.forgot
        self._forgot: bool | None = None
        """Whether this node may have forgotten votes of the epoch that comes next; None: ask the disk for each key."""
        self.voting: Voting | None = None
        self._effects: list[Effect] = []
        self._restarts = restarts or AcceptedRestarts()
        self.epoch = current_epoch(opened.store, genesis_header, identity)
        if (agreed := self._restarts.due(self.store, self.record)) is not None:
            self.epoch = self._restarted(agreed)
        self.stages = Stages()
        self.window = rebuild_window(self.store, self.record)
        self.chain = rebuild_chain(self.store, self.record)
        self.pool = BatchPool(quorum=quorum(len(self.record.validators)))
        self.mempool = Mempool(registry, caps)
        self.final = FinalBlocks(height=self.chain.height)
        self.decided_hooks: list[Callable[[Applied], None]] = []
        """Called after each executed block: index, metrics, waiters of the RPC."""
        self._contacts, self._membership = contacts, membership
        self._verify_votes = verify_votes or verify_many
        self.evidence = Evidence(self.store.meta(EVIDENCE), self._keep_evidence)
        self._others = OtherEpochs(runtime, links, opened.store)
        self.waiters = Waiters()
        self.snapshots: Snapshots | None = None
        """Set by whoever assembles a node that has a disk for them."""
        self._stored_height = -1
        self._stored_batches: dict[bytes, Batch] = {}
        """Batches of the one stored block that was read last."""
        self.dissemination = Dissemination(
            runtime=runtime,
            links=links,
            store=opened.batches,
            pool=self.pool,
            verify=lambda raws: decode_transactions(registry, chain_id, raws, verify_many),
            waiting_room=Admission(self.mempool, self.window, opened.store, runtime),
            epoch=self.epoch,
            stages=self.stages,
            ready=self._batch_ready,
            spoiled=self._batch_spoiled,
            stored_batch=self._stored_batch,
            reread=lambda raws: trusted_transactions(registry, raws),
            executing=lambda: self.executor.busy,
        )
        self.dissemination.stored = self._own_batch_stored
        self.executor = Executor(
            runtime=runtime,
            store=self.store,
            registry=registry,
            window=self.window,
            chain=self.chain,
            epoch=self.epoch,
            membership=membership,
            stages=self.stages,
            ending=self._ending,
            applied=self._applied,
            failed=self._diverged,
        )
        self.catch_up = CatchUp(
            runtime=runtime,
            links=links,
            gossip=gossip,
            authority=self._authority(),
            store=self.store,
            executor=self.executor,
            arrived=self._arrived,
            certified=self._certified,
        )
        self.forwarding = Forwarding(
            links=links,
            dissemination=self.dissemination,
            pass_on=self.catch_up.handle,
            validates=lambda: self.epoch.me is not None,
        )
        if self._votes:
            self._open_voting(watch=True)

    @property
    def _votes(self) -> bool:
        """Whether this node votes in the current epoch: it is a validator of it, and knows its rules."""
        return self.epoch.me is not None and self.executor.halted is None

    @property
    def record(self) -> EpochRecord:
        """The record of the current epoch."""
        return self.epoch.record

    # Epochs ----------------------------------------------------------------------------------------------------------

    def _authority(self) -> Authority:
        end = self._restarts.end_of(self.epoch.number)
        return Authority(chain=self.chain_id, record=self.record, verify_many=self._verify_votes, given_up_at=end)

    def _restarted(self, record: EpochRecord) -> Epoch:
        """The epoch on which the organisations agreed begins at the applied block; durable before anything follows."""
        applied = self.store.applied
        assert applied is not None, "it stands on a block"
        start = self.store.header(applied.height)
        assert start is not None, "the applied block is stored"
        # Its journal was founded where its consensus key signed the agreement: by the ceremony, once.
        epoch = make_epoch(record, start, self.identity)
        # What the state plans for the lost validators ends once its rules have seen the new epoch's first block.
        ahead, records = look_ahead(replace(record, epoch=record.epoch + 1), record)
        records[epoch.record_hash] = encode(record)
        self.store.begin_epoch(records, ahead=ahead, meta=remember_start(epoch.record_hash, start.height))
        return epoch

    def _open_voting(self, *, watch: bool) -> None:
        """Take up consensus in the current epoch, with what its journal holds; `_effects` are to be carried out."""
        epoch = self.epoch
        assert epoch.key is not None, "a validator of this epoch"
        opened = self._open_journal(epoch.number, epoch.key)
        config = Config(
            chain=self.chain_id,
            epoch=epoch.number,
            record=epoch.record,
            record_hash=epoch.record_hash,
            boundary_id=block_id(epoch.start),
            me=epoch.me,
            root=newest_root(self.store, epoch.start),
            watch=watch,
            unsure_view=opened.unsure_view,
        )
        engine, self._effects = Engine.restore(
            config,
            sign=epoch.sign if opened.journal is not None else None,
            verify_many=self._verify_votes,
            records=opened.records,
            now_ms=self.runtime.now_ms(),
            observe=opened.observe,
        )
        self.voting = Voting(
            runtime=self.runtime,
            links=self.links,
            engine=engine,
            journal=opened.journal,
            journaled=[
                (record_view(held), opened.first_sequence + offset) for offset, held in enumerate(opened.records)
            ],
            epoch=epoch,
            chain_id=self.chain_id,
            chain=self.chain,
            pool=self.pool,
            dissemination=self.dissemination,
            stages=self.stages,
            finalized=self._finalized,
            elsewhere=self._elsewhere,
            accused=self.evidence.add,
        )
        # What this node voted for may become final: its batches stay, whatever their deadlines.
        for record_found in opened.records:
            if isinstance(record_found, BlockRecord):
                header = record_found.header
                self.chain.remember(block_id(header), header.height, record_found.body)

    def _start_voting(self) -> None:
        assert self.voting is not None, "just opened"
        self.voting.start(self._effects)
        self.voting.pending_changed()

    def _ending(self, record: EpochRecord) -> None:
        """The block from which this epoch starts is about to be stored: its journal is founded before.

        After a power cut between the two nobody could tell an epoch without votes from a lost journal, and a power cut
        of the whole network would silence all of it.
        """
        unsure_view = 0
        if self.voting is not None:
            engine = self.voting.engine
            forgetful = engine.observing in _FORGETFUL
            self._forgot = forgetful and not engine.certain
            unsure_view = int(forgetful)  # What it forgot may lie in the first view of the next epoch, not beyond.
        key = make_epoch(record, self.epoch.start, self.identity).key
        if key is not None and not (self._key_forgot(key) if self._forgot is None else self._forgot):
            self._found_journal(record.epoch, unsure_view)

    def _begin_epoch(self, epoch: Epoch) -> None:
        """The last block of an epoch is executed: the next one begins here and now (consensus.md 3.10)."""
        before, voting = self.epoch, self.voting
        # Whoever was silent for a reason looks first: another process may sign with this node's key (N23).
        lived = voting is not None and voting.engine.lived and voting.engine.observing is None
        if voting is not None:
            voting.stop()
        self.epoch = epoch
        self.executor.begin_epoch(epoch)
        self.dissemination.begin_epoch(epoch, moved(before.record, epoch.record))
        self.voting = None
        _log.info("epoch", epoch=epoch.number, height=epoch.start.height, validator=epoch.me)
        if self.executor.halted is not None:
            _log.error("halted", reason=str(self.executor.halted))
        if self._votes:
            self._open_voting(watch=not lived)
            self._start_voting()
        elif before.me is not None:  # It votes no more, and what it has acknowledged must not wait for it.
            self.forwarding.forward(
                [verified for entry in self.pool if entry.creator == OWN for verified in entry.transactions]
            )
        self._refresh_contacts()
        self.catch_up.begin_epoch(self._authority())
        for peer, payload in self._others.early():
            self.runtime.call_soon(partial(self._hear_early, peer, payload))

    def _hear_early(self, peer: bytes, payload: bytes) -> None:
        """One early message in a turn of the loop; whoever was cut off meanwhile is heard no more."""
        if peer in self.links.connected():
            self.on_frame(peer, Channel.CONSENSUS, payload)

    def _elsewhere(self, peer: bytes, epoch: int, payload: bytes) -> None:
        """A consensus message of another epoch."""
        self._others.take(self.epoch, peer, epoch, payload)

    def _certified(self, peer: bytes, certificate: Certificate) -> None:
        """A finalization came with a block: one of ours that the journal does not hold must silence us (J22)."""
        if self.voting is not None and self.epoch.me in signer_indices(certificate.bitmap):
            self.voting.meet(peer, certificate)

    def _keep_evidence(self, raw: bytes) -> None:
        self.runtime.run_in_writer("store", lambda: self.store.put_meta(EVIDENCE, raw), raise_failure)

    def _refresh_contacts(self) -> None:
        self.catch_up.handle(Registered(contacts=tuple(self._contacts(self.epoch.nodes))))

    # Life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up where the disk left off: stored blocks, waiting batches, votes."""
        for height in range(max(1, self.chain.height - RECENT_BLOCKS + 1), self.chain.height + 1):
            recent = self.store.block(height)
            if recent is not None:
                self.pool.remove([batch_id(batch) for batch in recent.batches], height)
        for block in self.store.unapplied():
            self.executor.push(whole_job(block_id(block.header), block))
        own: list[Verified] = []
        for identity in self._batches.ids():
            raw = self._batches.get(identity)
            if raw is None:
                continue
            transactions = trusted_transactions(self.registry, decode_trusted(Batch, raw))
            if all(verified.id in self.window for verified in transactions):
                self._batches.release(identity)
                continue
            self.dissemination.reload(identity, transactions)
            own += transactions
        self._refresh_contacts()
        self._tell_tip()
        if self.voting is not None and self.executor.halted is None:  # Else a stored block says so.
            self.voting.start(self._effects)
        elif own and self.voting is None:
            self.forwarding.forward(own)

    def on_linked(self, peer: bytes, address: str = "") -> None:
        """A node connected."""
        if self.snapshots is not None:
            self.snapshots.on_linked()
        self.catch_up.handle(Linked(peer=peer, validator=peer in self.epoch.nodes, address=address))
        self.dissemination.greet(peer)
        if self.voting is not None:
            self.voting.greet(peer)

    def on_unlinked(self, peer: bytes) -> None:
        """A node is gone."""
        self.dissemination.farewell(peer)
        if self.snapshots is not None:
            self.snapshots.on_unlinked(peer)
        self.catch_up.handle(Unlinked(peer=peer))

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """Bytes from a connected node."""
        if self.executor.halted is not None and channel not in {Channel.CONTROL, Channel.BLOCK, Channel.SNAPSHOT}:
            return  # It stays readable, and takes no part.
        match channel:
            case Channel.CONSENSUS:
                if self.voting is not None:
                    self.voting.on_frame(peer, payload)
            case Channel.HAVE:
                self.dissemination.on_have_frame(peer, payload)
            case Channel.BATCH:
                self.dissemination.on_batch_frame(peer, payload)
            case Channel.CONTROL | Channel.BLOCK | Channel.TX:
                self.catch_up.on_frame(peer, channel, payload)
            case Channel.SNAPSHOT:
                if self.snapshots is not None:
                    self.snapshots.on_frame(peer, payload)
            case Channel.LINK:
                pass  # The network's own; it never passes these on.

    # Transactions ----------------------------------------------------------------------------------------------------

    def submit(self, raws: Sequence[bytes], done: Callable[[list[Submitted]], None]) -> None:
        """Check, admit and make durable; `done` gets one answer for each once all are synced (J7)."""
        if self.executor.halted is not None:
            done([(b"", fault(POOL_NOT_READY, state=self.executor.halted.spec.name)) for _ in raws])
            return
        self.dissemination.submit(raws, done)

    def id_of(self, raw: bytes) -> bytes:
        """The id of a stored transaction."""
        return trusted_transactions(self.registry, (raw,))[0].id

    def decision(self, tx_id: bytes) -> Decision | None:
        """Where a transaction was decided, while its id is in the duplicate window."""
        found = self.window.find(tx_id)
        if found is None:
            return None
        receipts = self.store.receipts(found.height)
        assert receipts is not None, "receipts of the window are kept"
        receipt = decode_trusted(Receipt, receipts[found.position])
        return Decision(height=found.height, position=found.position, code=receipt.code)

    def _arrived(self, peer: bytes, transactions: Sequence[bytes], hops: int) -> None:
        self.forwarding.arrived(peer, transactions, hops)

    def _own_batch_stored(self, entry: Entry) -> None:
        """An own batch is durable; a node that does not create batches for blocks passes its transactions on (J8)."""
        if self.epoch.me is None:
            self.forwarding.forward(entry.transactions)

    # Blocks ----------------------------------------------------------------------------------------------------------

    def _batch_ready(self, entry: Entry) -> None:
        if self.final.blocks:
            self._execute_final()
        if self.voting is not None:
            self.voting.batch_ready(entry)

    def _batch_spoiled(self, identity: bytes) -> None:
        if self.voting is not None:
            self.voting.batch_spoiled(identity)

    def _diverged(self, reason: Fault) -> None:
        """This node's results are wrong: it votes no more, so that it harms nobody, and stays readable."""
        _log.error("diverged", reason=str(reason))
        if self.voting is not None:
            self.voting.stop()

    def _finalized(self, final: Finalized) -> None:
        """Consensus knows of a final chain."""
        self.final.height = max(self.final.height, final.proposal.height)
        for block in final.blocks:
            if 0 <= block.header.height - self.executor.next_height < FINAL_AHEAD_MAX:
                self.final.blocks[block.header.height] = (block, final)
        self._execute_final()
        if self.final.height >= self.executor.next_height:
            # What is missing here comes by whichever is first: its batches, or the whole blocks from others.
            self.catch_up.handle(Behind(height=self.final.height))

    def _execute_final(self) -> None:
        """Queue final blocks in order as far as their batches are here."""
        while self.executor.room and (known := self.final.blocks.get(self.executor.next_height)) is not None:
            block, final = known
            if block.header.parent != self.executor.tip_id:
                break
            entries = [self.pool.ready(batch) for batch in block.body]
            if any(entry is None for entry in entries):
                for batch, entry in zip(block.body, entries, strict=True):
                    if entry is None:
                        self.dissemination.want(batch, self.epoch.nodes)
                break
            present = [entry for entry in entries if entry is not None]
            own = block.block_id == final.proposal.block_id
            self.executor.push(
                Job(
                    block_id=block.block_id,
                    block=FinalBlock(
                        block.header,
                        tuple(entry.raws for entry in present),
                        final.certificate if own else None,
                        block.justification,
                    ),
                    batch_ids=tuple(block.body),
                    transactions=[verified for entry in present for verified in entry.transactions],
                )
            )
        for height in [height for height in self.final.blocks if height < self.executor.next_height]:
            del self.final.blocks[height]

    def _applied(self, applied: Applied) -> None:
        """A block is executed and durable: everything that waited for it goes on."""
        block, outcome = applied.job.block, applied.outcome
        last = ends_epoch(block.header)
        for flaw in outcome.flaws:
            _log.error("rule failed", height=outcome.height, exc_info=flaw)
        self.final.height = max(self.final.height, outcome.height)
        self.mempool.forget(outcome.decided)
        self.mempool.expire(outcome.time_ms)
        self._judge_creators(applied)
        self._clear_batches(applied)
        if self.voting is not None:
            roots = self.chain.roots_at(outcome.height)
            self.voting.executed(
                block.header, len(outcome.receipts), due=roots is not None and roots.ahead.due and not last
            )
            self.voting.pending_changed()
        if self.epoch.me is None:
            self.catch_up.handle(Forget(tx_ids=outcome.decided))
            self._clear_forwarded(outcome.decided)
        # An epoch's first block ends the trust in nodes that only the epoch before named (J14).
        first = outcome.height == self.epoch.start.height + 1
        if (first or self._membership.reads_record(outcome.writes)) and not last:
            self._refresh_contacts()
        if last:
            record = read_record(self.store, block.header.next_epoch_record_hash)
            self._begin_epoch(make_epoch(record, block.header, self.identity))
        elif (agreed := self._restarts.due(self.store, self.record)) is not None:
            self._begin_epoch(self._restarted(agreed))
        self._execute_final()
        self.catch_up.pump()
        self._tell_tip()
        for hook in self.decided_hooks:
            hook(applied)
        self.waiters.wake(outcome.decided, outcome.time_ms)

    def _clear_batches(self, applied: Applied) -> None:
        """Batches of the block, and those that expired; never what a block that may still become final lists (J10)."""
        listed = {batch for _, body in self.chain.bodies.values() for batch in body}
        for batch in applied.job.batch_ids:
            if batch in listed:
                self.pool.mark_executed(batch)
        executed = [batch for batch in applied.job.batch_ids if batch not in listed]
        self.dissemination.clear(executed, applied.outcome.height)
        expired = self.pool.expired(applied.outcome.time_ms)
        self.dissemination.clear(batch for batch in expired if batch not in listed)

    def _clear_forwarded(self, decided: Sequence[bytes]) -> None:
        """A node that does not validate keeps what it forwarded until all of it is decided (J8)."""
        touched = {batch for tx_id in decided if (batch := self.pool.batch_of(tx_id)) is not None}
        entries = [entry for batch in sorted(touched) if (entry := self.pool.ready(batch)) is not None]
        self.dissemination.clear(
            entry.id for entry in entries if all(verified.id in self.window for verified in entry.transactions)
        )

    def _judge_creators(self, applied: Applied) -> None:
        """J8: whoever fills its batches with what every honest node would refuse gets less room."""
        refusals = {code for code in set(applied.outcome.codes) if outcome_of(code) == "refused"}
        decided = zip(applied.outcome.decided, applied.outcome.codes, strict=True)
        refused = {tx_id for tx_id, code in decided if code in refusals} if refusals else set()
        for batch in applied.job.batch_ids:
            entry = self.pool.get(batch)
            if entry is not None and entry.creator is not None and entry.creator >= 0:
                bad = sum(verified.id in refused for verified in entry.transactions) if refused else 0
                self.pool.quotas.judge(entry.creator, decided=len(entry.transactions), refused=bad)

    def _stored_batch(self, identity: bytes) -> Batch | None:
        """A batch that left the pool with an executed block."""
        height = self.pool.executed_at(identity)
        if height is not None and height != self._stored_height:
            block = self.store.block(height)
            batches = block.batches if block is not None else ()
            self._stored_height, self._stored_batches = height, {batch_id(batch): batch for batch in batches}
        return self._stored_batches.get(identity)

    def listed(self, batch: bytes) -> tuple[int, bool] | None:
        """Height of a block that lists a batch, and whether that block is final; None while no known block does."""
        final = self.executor.queued | {block.block_id for block, _ in self.final.blocks.values()}
        found = [(block not in final, height) for block, (height, body) in self.chain.bodies.items() if batch in body]
        if not found:
            return None
        proposed, height = min(found)
        return height, not proposed

    def _tell_tip(self) -> None:
        have = self.executor.next_height - 1
        first = self.store.earliest_height
        self.catch_up.handle(Tip(height=self.chain.height, block_id=self.chain.block_id, first=first, have=have))
