"""One node without its sockets: storage, ledger, mempool, batches, consensus and catch-up, joined over a `Runtime`.

`cccnode.node` gives it real connections and an RPC; the simulation gives it virtual ones.  All entry points are plain
calls on one thread; whatever takes long is cut into slices or done in a writer thread.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from cccnode.codec import decode_trusted
from cccnode.driver.catch_up import Authority, CatchUp
from cccnode.driver.dissemination import Dissemination
from cccnode.driver.execution import Applied, Executor, Job, whole_job
from cccnode.driver.links import Links
from cccnode.driver.pool import BatchPool, Entry
from cccnode.driver.restart import newest_root, rebuild_chain, rebuild_window
from cccnode.driver.runtime import Runtime
from cccnode.driver.stages import Stages
from cccnode.driver.voting import VoteJournal, Voting
from cccnode.driver.waiters import Waiters
from cccnode.ingress import decode_transactions, trusted_transactions
from cccnode.ledger.receipts import outcome_of
from cccnode.ledger.registry import Registry
from cccnode.mempool import Caps, Mempool
from cccnode.types.batch import Batch, batch_id
from cccnode.types.block import FinalBlock, Header, block_id
from cccnode.types.errors import POOL_FULL, POOL_NOT_READY, Fault, fault
from cccnode.types.receipt import Receipt
from cccnode.types.transaction import Verified
from cccnode.types.validators import EpochRecord, epoch_record_hash, quorum
from consensus.config import Config, Sign, VerifyMany
from consensus.effects import Effect, Finalized, FinalizedBlock
from consensus.engine import Engine
from consensus.records import BlockRecord, Record, record_view
from p2p.events import Behind, Contact, Forget, Item, Linked, Registered, Submit, Tip, Unlinked
from p2p.frames import Channel
from p2p.gossip import Gossip
from p2p.scores import Offence
from storage.batches import BatchStore
from storage.store import Store

_log = structlog.get_logger("replica")

Submitted = tuple[bytes, Fault | None]
FINAL_AHEAD_MAX = 256
"""Heights above the queue for which a final block's list is kept; what is higher comes whole, by catch-up."""
FOREIGN_BYTES_MAX = 1024 * 1024
"""Forwarded transactions of one node under verification; beyond that they are not read for a while."""
RECENT_BLOCKS = 32
"""Executed blocks whose batches are remembered over a restart: twice the tail that may be unexecuted elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where and how a transaction was decided."""

    height: int
    position: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this node is."""

    node_key: bytes
    validator: int | None
    """Index in the epoch record; None for a node that only follows."""
    sign: Sign | None
    """Signs with the consensus key; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was found on disk."""

    store: Store
    batches: BatchStore
    journal: VoteJournal | None
    """None: this node does not vote."""
    first_sequence: int
    """Of the journal's first record; the others follow without gaps."""
    records: Sequence[Record]
    observe: str | None
    """Name of the error for which it must not vote in this epoch, such as consensus/JOURNAL_LOST."""


@dataclass(slots=True)
class _FinalBlocks:
    """Final blocks that wait for their turn or for their batches, by height."""

    blocks: dict[int, tuple[FinalizedBlock, Finalized]] = field(default_factory=dict)
    height: int = 0
    """Newest height known to be final."""


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
        chain_id: bytes,
        genesis_header: Header,
        record: EpochRecord,
        contacts: Sequence[Contact],
        gossip: Gossip,
        verify_many: VerifyMany,
        verify_votes: VerifyMany | None = None,
        caps: Caps | None = None,
    ) -> None:
        """Join the parts.  `verify_votes` lets a simulation use another signature scheme for votes."""
        self.runtime, self.links, self.identity, self.record = runtime, links, identity, record
        self.registry, self.store, self.chain_id = registry, opened.store, chain_id
        self.stages = Stages()
        self.validators = {key: i for i, validator in enumerate(record.validators) for key in validator.node_keys}
        self.window = rebuild_window(self.store, record)
        self.chain = rebuild_chain(self.store, record)
        self.pool = BatchPool(quorum=quorum(len(record.validators)))
        self.mempool = Mempool(registry, caps)
        self.final = _FinalBlocks(height=self.chain.height)
        self.decided_hooks: list[Callable[[Applied], None]] = []
        """Called after each executed block: index, metrics, waiters of the RPC."""
        self._batches = opened.batches
        self._contacts = tuple(contacts)
        self.waiters = Waiters()
        self._foreign: Counter[bytes] = Counter()
        """Bytes of forwarded transactions that are not answered yet, by the node that sent them."""
        self._stored_height = -1
        self._stored_batches: dict[bytes, Batch] = {}
        """Batches of the one stored block that was read last."""
        me = identity.validator
        self.dissemination = Dissemination(
            runtime=runtime,
            links=links,
            store=opened.batches,
            pool=self.pool,
            verify=lambda raws: decode_transactions(registry, chain_id, raws, verify_many),
            waiting_room=_WaitingRoom(self),
            me=me,
            validators=self.validators,
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
            limits=record.limits,
            stages=self.stages,
            applied=self._applied,
            failed=self._diverged,
        )
        self.catch_up = CatchUp(
            runtime=runtime,
            links=links,
            gossip=gossip,
            authority=Authority(chain=chain_id, record=record, verify_many=verify_votes or verify_many),
            store=self.store,
            executor=self.executor,
            arrived=self._arrived,
        )
        self.voting: Voting | None = None
        self._effects: list[Effect] = []
        if me is not None:
            root = newest_root(self.store, genesis_header)
            config = Config(
                chain=chain_id,
                epoch=record.epoch,
                record=record,
                record_hash=epoch_record_hash(record),
                boundary_id=block_id(genesis_header),
                me=me,
                root=root,
            )
            engine, effects = Engine.restore(
                config,
                sign=identity.sign if opened.journal is not None else None,
                verify_many=verify_votes or verify_many,
                records=opened.records,
                now_ms=runtime.now_ms(),
                observe=opened.observe,
            )
            self.voting = Voting(
                runtime=runtime,
                links=links,
                engine=engine,
                journal=opened.journal,
                journaled=[
                    (record_view(held), opened.first_sequence + offset) for offset, held in enumerate(opened.records)
                ],
                record=record,
                record_hash=config.record_hash,
                chain_id=chain_id,
                epoch=record.epoch,
                me=me,
                validators=self.validators,
                chain=self.chain,
                pool=self.pool,
                dissemination=self.dissemination,
                stages=self.stages,
                finalized=self._finalized,
            )
            self._effects = effects
            # What this node voted for may become final: its batches stay, whatever their deadlines.
            for record_found in opened.records:
                if isinstance(record_found, BlockRecord):
                    header = record_found.header
                    self.chain.remember(block_id(header), header.height, record_found.body)

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
        self.catch_up.handle(Registered(contacts=self._contacts))
        self._tell_tip()
        if self.voting is not None:
            self.voting.start(self._effects)
        elif own:
            self._forward(own)

    def on_linked(self, peer: bytes, address: str = "") -> None:
        """A node connected."""
        self.catch_up.handle(Linked(peer=peer, validator=peer in self.validators, address=address))
        self.dissemination.greet(peer)
        if self.voting is not None:
            self.voting.greet(peer)

    def on_unlinked(self, peer: bytes) -> None:
        """A node is gone."""
        self.dissemination.farewell(peer)
        self.catch_up.handle(Unlinked(peer=peer))

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """Bytes from a connected node."""
        if self.executor.diverged is not None and channel not in {Channel.CONTROL, Channel.BLOCK}:
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
            case Channel.LINK:
                pass  # The network's own; it never passes these on.

    # Transactions ----------------------------------------------------------------------------------------------------

    def submit(self, raws: Sequence[bytes], done: Callable[[list[Submitted]], None]) -> None:
        """Check, admit and make durable; `done` gets one answer for each once all are synced (J7)."""
        if self.executor.diverged is not None:
            done([(b"", fault(POOL_NOT_READY, state="diverged")) for _ in raws])
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

    def _own_batch_stored(self, entry: Entry) -> None:
        """An own batch is durable; a node that does not create batches for blocks passes its transactions on (J8)."""
        if self.identity.validator is None:
            self._forward(entry.transactions)

    def _forward(self, transactions: Sequence[Verified], hops: int | None = None) -> None:
        items = tuple(
            Item(tx_id=verified.id, raw=verified.raw, valid_until_ms=verified.transaction.valid_until_ms)
            for verified in transactions
        )
        self.catch_up.handle(Submit(items=items, hops=hops))

    def _arrived(self, peer: bytes, transactions: Sequence[bytes], hops: int) -> None:
        """Transactions that another node passes on: checked like a client's, and a bounded amount of them at a time."""
        size = sum(map(len, transactions))
        self._foreign[peer] += size
        if self._foreign[peer] > FOREIGN_BYTES_MAX:
            self.links.pause(peer, Channel.TX, paused=True)

        def finished(faults: Iterable[Fault | None]) -> None:
            self._foreign[peer] -= size
            if self._foreign[peer] <= FOREIGN_BYTES_MAX // 2:
                self.links.pause(peer, Channel.TX, paused=False)
                if not self._foreign[peer]:
                    del self._foreign[peer]
            bad = next((refusal for refusal in faults if refusal is not None), None)
            if bad is not None:  # Whoever passes transactions on has checked them.
                self.links.punish(peer, Offence.INVALID_TRANSACTION, str(bad))

        def submitted(results: list[Submitted]) -> None:
            # An id tells that the bytes were good; what the state has against a transaction is nobody's offence.
            finished(refusal for tx_id, refusal in results if not tx_id and not _is_busy(refusal))

        def checked(verdicts: list[Verified | Fault]) -> None:
            good = [verdict for verdict in verdicts if isinstance(verdict, Verified)]
            if good and hops > 0:
                self._forward(good, hops)
            finished(verdict for verdict in verdicts if isinstance(verdict, Fault))

        if self.identity.validator is not None:
            self.dissemination.submit(transactions, submitted)
        else:
            self.dissemination.check(transactions, checked)

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
                        self.dissemination.want(batch, self.validators)
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
        self.final.height = max(self.final.height, outcome.height)
        self.mempool.forget(outcome.decided)
        self.mempool.expire(outcome.time_ms)
        self._judge_creators(applied)
        self._clear_batches(applied)
        if self.voting is not None:
            self.voting.executed(block.header, len(outcome.receipts))
            self.voting.pending_changed()
        else:
            self.catch_up.handle(Forget(tx_ids=outcome.decided))
            self._clear_forwarded(outcome.decided)
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
        self.catch_up.handle(Tip(height=self.chain.height, block_id=self.chain.block_id, have=have))


class _WaitingRoom:
    """The mempool, bound to the applied state, the duplicate window and the clock."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    @property
    def waiting(self) -> int:
        return self._replica.mempool.waiting

    def admit(self, verified: Verified) -> Fault | None:
        replica = self._replica
        return replica.mempool.admit(
            verified, wall_ms=replica.runtime.wall_ms(), view=replica.store.state, window=replica.window
        )

    def take(self) -> list[Verified]:
        return self._replica.mempool.take()


def _is_busy(refusal: Fault | None) -> bool:
    return refusal is not None and refusal.spec in {POOL_FULL, POOL_NOT_READY}
