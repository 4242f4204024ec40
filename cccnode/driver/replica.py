"""One node without its sockets: storage, ledger, mempool, batches, consensus and catch-up, joined over a `Runtime`.

`cccnode.node` gives it real connections and an RPC; the simulation gives it virtual ones.  All entry points are plain
calls on one thread; whatever takes long is cut into slices or done in a writer thread.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cccnode.codec import decode_trusted
from cccnode.crypto.hashing import ZERO
from cccnode.driver.catch_up import Authority, CatchUp
from cccnode.driver.chain import ROOTS_KEPT, Chain, Roots
from cccnode.driver.dissemination import Dissemination
from cccnode.driver.execution import Applied, Executor, Job
from cccnode.driver.links import Links
from cccnode.driver.pool import BatchPool, Entry
from cccnode.driver.runtime import Runtime
from cccnode.driver.stages import Stages
from cccnode.driver.voting import VoteJournal, Voting
from cccnode.ingress import decode_transactions, trusted_transactions
from cccnode.ledger.registry import Registry
from cccnode.ledger.window import Window
from cccnode.mempool import Caps, Mempool
from cccnode.types.batch import Batch, batch_id
from cccnode.types.block import FinalBlock, Header, block_id
from cccnode.types.errors import Fault
from cccnode.types.receipt import Receipt
from cccnode.types.transaction import Verified
from cccnode.types.validators import EpochRecord, epoch_record_hash, quorum
from consensus.config import Config, Root, Sign, VerifyMany
from consensus.effects import Effect, Finalized, FinalizedBlock
from consensus.engine import Engine
from consensus.records import BlockRecord, Record
from p2p.events import Behind, Contact, Forget, Item, Linked, Registered, Submit, Tip, Unlinked
from p2p.frames import Channel
from p2p.gossip import Gossip
from p2p.scores import Offence
from storage.batches import BatchStore
from storage.store import Store

Submitted = tuple[bytes, Fault | None]
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
        self.window = _rebuild_window(self.store, record)
        self.chain = _rebuild_chain(self.store, record)
        self.pool = BatchPool(quorum=quorum(len(record.validators)))
        self.mempool = Mempool(registry, caps)
        self.final = _FinalBlocks(height=self.chain.height)
        self.decided_hooks: list[Callable[[Applied], None]] = []
        """Called after each executed block: index, metrics, waiters of the RPC."""
        self._batches = opened.batches
        self._contacts = tuple(contacts)
        self._waiters: dict[bytes, list[Callable[[], None]]] = {}
        self._deadlines: list[tuple[int, bytes]] = []
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
            stored_batch=self._stored_batch,
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
            failed=lambda _: None,
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
            root = _root(self.store, genesis_header)
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
                if isinstance(record_found, BlockRecord) and record_found.header.height > self.chain.height:
                    self.chain.bodies[block_id(record_found.header)] = (
                        record_found.header.height,
                        record_found.body,
                    )

    # Life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up where the disk left off: stored blocks, waiting batches, votes."""
        for height in range(max(1, self.chain.height - RECENT_BLOCKS + 1), self.chain.height + 1):
            recent = self.store.block(height)
            if recent is not None:
                self.pool.remove([batch_id(batch) for batch in recent.batches], height)
        for block in self.store.unapplied():
            self.executor.push(Job(block_id=block_id(block.header), block=block, transactions=None))
        own: list[Verified] = []
        for identity in self._batches.ids():
            raw = self._batches.get(identity)
            if raw is None:
                continue
            transactions = trusted_transactions(self.registry, decode_trusted(Batch, raw))  # type: ignore[arg-type]
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
        self.catch_up.handle(Unlinked(peer=peer))

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """Bytes from a connected node."""
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

    def when_decided(self, tx_id: bytes, valid_until_ms: int | None, call: Callable[[], None]) -> Callable[[], None]:
        """Call once when it is executed or its deadline is final; returns how to call that off."""
        self._waiters.setdefault(tx_id, []).append(call)
        if valid_until_ms is not None:
            heapq.heappush(self._deadlines, (valid_until_ms, tx_id))

        def cancel() -> None:
            calls = self._waiters.get(tx_id, [])
            if call in calls:
                calls.remove(call)
            if not calls:
                self._waiters.pop(tx_id, None)

        return cancel

    def _own_batch_stored(self, entry: Entry) -> None:
        """An own batch is durable; a node that does not create batches for blocks passes its transactions on (J8)."""
        if self.identity.validator is None:
            self._forward(entry.transactions)

    def _forward(self, transactions: Sequence[Verified]) -> None:
        items = tuple(
            Item(tx_id=verified.id, raw=verified.raw, valid_until_ms=verified.transaction.valid_until_ms)
            for verified in transactions
        )
        self.catch_up.handle(Submit(items=items))

    def _arrived(self, peer: bytes, transactions: Sequence[bytes], hops: int) -> None:
        """Transactions from a node that is not a validator."""
        if self.identity.validator is not None:
            self.dissemination.submit(transactions, lambda _: None)
            return
        verdicts = decode_transactions(self.registry, self.chain_id, transactions)
        if any(isinstance(verdict, Fault) for verdict in verdicts):
            self.links.punish(peer, Offence.INVALID_TRANSACTION, "forwarded")
        items = tuple(
            Item(tx_id=verdict.id, raw=verdict.raw, valid_until_ms=verdict.transaction.valid_until_ms)
            for verdict in verdicts
            if not isinstance(verdict, Fault)
        )
        if items and hops > 0:
            self.catch_up.handle(Submit(items=items, hops=hops))

    # Blocks ----------------------------------------------------------------------------------------------------------

    def _batch_ready(self, entry: Entry) -> None:
        if self.final.blocks:
            self._execute_final()
        if self.voting is not None:
            self.voting.batch_ready(entry)

    def _finalized(self, final: Finalized) -> None:
        """Consensus knows of a final chain."""
        self.final.height = max(self.final.height, final.proposal.height)
        for block in final.blocks:
            if block.header.height >= self.executor.next_height:
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
        self._clear_batches(applied)
        if self.voting is not None:
            self.voting.executed(block.header, len(outcome.receipts))
            self.voting.pending_changed()
        else:
            self.catch_up.handle(Forget(tx_ids=outcome.decided))
        self._execute_final()
        self._tell_tip()
        for hook in self.decided_hooks:
            hook(applied)
        self._wake(outcome.decided, outcome.time_ms)

    def _clear_batches(self, applied: Applied) -> None:
        """Batches of the block, and those that expired; never what a block that may still become final lists (J10)."""
        listed = {batch for _, body in self.chain.bodies.values() for batch in body}
        executed = [batch_id(batch) for batch in applied.job.block.batches]
        self.dissemination.clear((batch for batch in executed if batch not in listed), applied.outcome.height)
        expired = self.pool.expired(applied.outcome.time_ms)
        self.dissemination.clear(batch for batch in expired if batch not in listed)

    def _stored_batch(self, identity: bytes) -> Sequence[Verified] | None:
        """A batch that left the pool with an executed block."""
        height = self.pool.executed_at(identity)
        block = self.store.block(height) if height is not None else None
        if block is None:
            return None
        raws = next(batch for batch in block.batches if batch_id(batch) == identity)
        return trusted_transactions(self.registry, raws)

    def _tell_tip(self) -> None:
        self.catch_up.handle(Tip(height=self.chain.height, block_id=self.chain.block_id))

    def _wake(self, decided: Sequence[bytes], time_ms: int) -> None:
        if not self._waiters:
            return
        ready = [tx_id for tx_id in decided if tx_id in self._waiters]
        while self._deadlines and self._deadlines[0][0] <= time_ms:
            ready.append(heapq.heappop(self._deadlines)[1])
        for tx_id in ready:
            for call in self._waiters.pop(tx_id, ()):
                call()


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


def _root(store: Store, genesis_header: Header) -> Root:
    """The newest executed block, for the engine to start from."""
    applied = store.applied
    assert applied is not None, "the store is initialised"
    if applied.height == 0:
        return Root(header=genesis_header, block_id=applied.block_id, view=0)
    block = store.block(applied.height)
    assert block is not None, "the applied block is stored"
    certificate = block.certificate
    view = certificate.proposal.view if certificate is not None else block.header.view
    return Root(header=block.header, block_id=applied.block_id, view=view, certificate=certificate)


def _rebuild_chain(store: Store, record: EpochRecord) -> Chain:
    """The newest part of the chain out of what is stored."""
    applied = store.applied
    assert applied is not None, "the store is initialised"
    window: deque[tuple[int, int]] = deque()
    for height in range(applied.height, 0, -1):
        header = store.header(height)
        if header is None or header.time_ms <= applied.time_ms - record.limits.tx_lifetime_max_ms:
            break
        window.append((header.time_ms, header.tx_count))
    roots = {}
    for height in range(max(0, applied.height - ROOTS_KEPT + 1), applied.height + 1):
        then = store.applied_at(height)
        if then is not None:
            roots[height] = Roots(height, then.state_root, then.results.root())
    return Chain(
        height=applied.height,
        block_id=applied.block_id,
        history=applied.history,
        roots=roots,
        window=window,
        bodies={},
    )


def _rebuild_window(store: Store, record: EpochRecord) -> Window:
    """The duplicate window out of stored receipts (J5)."""
    applied = store.applied
    assert applied is not None, "the store is initialised"
    lifetime = record.limits.tx_lifetime_max_ms
    blocks: list[tuple[int, int, list[bytes]]] = []
    for height in range(applied.height, 0, -1):
        header = store.header(height)
        if header is None or header.time_ms <= applied.time_ms - lifetime:
            break
        receipts = store.receipts(height) or []
        ids = [decode_trusted(Receipt, raw).tx_id for raw in receipts]
        blocks.append((height, header.time_ms, [tx_id for tx_id in ids if tx_id != ZERO]))
    return Window.rebuilt(lifetime, reversed(blocks))
