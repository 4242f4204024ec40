"""The node as the RPC sees it: answers from the replica, and why this node is in the state it is in."""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from cccnode.city.registry.state import read_planned
from cccnode.codec import decode_trusted
from cccnode.doctor.observation import Observation
from cccnode.driver.replica import Decision, Replica, Submitted
from cccnode.driver.waiters import NextBlock
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import Overlay, StateView
from cccnode.node.connections import Connections, credible_height
from cccnode.node.indexing import Indexer
from cccnode.node.observing import observing as why_observing
from cccnode.node.observing import signs_again
from cccnode.node.progress import shown_progress
from cccnode.node.proving import Prover
from cccnode.node.pruning import Pruning
from cccnode.node.trying import Trier
from cccnode.rpc.backend import (
    DECIDED,
    AccountHistory,
    Check,
    Phase,
    Place,
    Reason,
    Results,
    Simulated,
    SnapshotProgress,
    Status,
    StoredTransaction,
    TxStatus,
    ValidatorStatus,
)
from cccnode.signer.remote import RemoteSigner
from cccnode.telemetry import Metrics
from cccnode.types.block import FinalBlock, Header
from cccnode.types.errors import (
    BEHIND,
    CLOCK_SKEW,
    DISK_FULL,
    DIVERGED,
    INDEX_BEHIND,
    NET_CLOSED,
    NET_SILENT,
    NET_UNREACHABLE,
    NO_HISTORY,
    NO_PEERS,
    NO_QUORUM,
    NOT_FOUND,
    OBSERVER,
    OUTDATED,
    POOL_NOT_READY,
    RESTART_NOT_ACCEPTED,
    SAFETY_ALARM,
    UPGRADE_PLANNED,
    ErrorSpec,
    Fault,
    fault,
)
from cccnode.types.finality import Anchor, EpochLink
from cccnode.types.promise import Promise
from cccnode.types.proofs import EventsProof, GroupProof, HistoryProof, TransactionProof
from cccnode.types.receipt import Receipt
from cccnode.types.validators import EpochRecord, quorum
from cccnode.types.vote import Contradiction
from genesis.document import Genesis
from p2p.peers import DialInfo, PeerInfo
from storage.history import History
from storage.index import Index
from storage.restoring import RECEIPTS_FROM

BEHIND_BLOCKS = 20
"""More than the tail that a healthy node has yet to execute (consensus.md 3.7)."""
SKEW_MS = 1_000
"""Half of what voters tolerate in a header's time."""
FREE_BYTES_MIN = 64 * 1024 * 1024
"""Less free space than this and the node reports that it is not ready, before a write fails."""
INDEX_BEHIND_BLOCKS = 200
"""An index that lags so far is reported."""
KEEPERS_SHOWN = 4
"""Nodes named that keep what this one does not."""
STALLED_MS = 10_000
"""A view that lasts so long, with something to do, has too few voters: twenty times its time-out."""
_SAYS_LITTLE = frozenset({NET_UNREACHABLE, NET_CLOSED, NET_SILENT})
"""Refusals that tell no more than that nobody is connected."""


class Service:
    """Implements `cccnode.rpc.backend.Backend`."""

    observe: Callable[[], Observation]
    """Set by `Reporting`, which is made after it: see `Backend`."""

    def __init__(
        self,
        *,
        replica: Replica,
        connections: Connections,
        registry: Registry,
        metrics: Metrics,
        index: Index | None,
        indexer: Indexer[bytes] | None,
        history: History | None = None,
        genesis: Genesis,
        organisation: Callable[[], str],
        registered: Callable[[], bool] = lambda: True,
        data: Path,
        signer: RemoteSigner | None = None,
        promise: Callable[[bytes, int], Promise] | None = None,
    ) -> None:
        """Bind to the parts of a running node; `promise` gives its word for an id from a height on."""
        self._promise = promise
        self._signer = signer
        self.registry, self.metrics = registry, metrics
        self._replica, self._connections = replica, connections
        self._index, self._indexer, self._history = index, indexer, history
        self._chain_name = genesis.document.name
        self._prover = Prover(replica.store, self._pruned)
        self._trier = Trier(replica)
        self.pruning: Pruning | None = None
        """Set by whoever assembles a node that prunes."""
        self._blocks = NextBlock()
        replica.decided_hooks += [lambda _: self._prover.wake(), lambda _: self._blocks.wake()]
        self._organisation, self._registered, self._data = organisation, registered, data
        since = replica.store.meta(RECEIPTS_FROM)
        self._receipts_from = 0 if since is None else decode_trusted(int, since)

    # Transactions ----------------------------------------------------------------------------------------------------

    async def submit(self, raws: Sequence[bytes]) -> Sequence[Submitted]:
        """See `Backend`."""
        replica = self._replica
        if replica.executor.halted is not None:
            raise fault(POOL_NOT_READY, state=replica.executor.halted.spec.name)
        if not self._registered():
            # What it promised after it left would reach nobody.
            raise fault(POOL_NOT_READY, state="not registered")
        answered: asyncio.Future[list[Submitted]] = asyncio.get_running_loop().create_future()

        def done(results: list[Submitted]) -> None:
            if not self._registered():
                # It learned meanwhile that it has left: durable here, and perhaps with nobody else.  No promise; the
                # same bytes may be handed in elsewhere and are decided once.
                left = fault(POOL_NOT_READY, state="not registered")
                results = [(tx_id, refusal or left) for tx_id, refusal in results]
            self._trier.remember(results)
            for _, refusal in results:
                if refusal is not None:
                    self.metrics.refused.labels(refusal.spec.name).inc()
            if not answered.done():
                answered.set_result(results)

        replica.submit(raws, done)
        return await answered

    def promise(self, tx_id: bytes) -> Promise | None:
        """See `Backend`."""
        phase = self.tx_status(tx_id, None).phase
        if phase in DECIDED:
            return None
        if self._promise is None or phase in {Phase.UNKNOWN, Phase.REFUSED}:
            raise fault(POOL_NOT_READY, state="no promise")
        return self._promise(tx_id, self.applied_height())

    def check(self, raw: bytes) -> Submitted:
        """See `Backend`."""
        if not self._registered():
            return b"", fault(POOL_NOT_READY, state="not registered")
        return self._trier.check(raw)

    def simulate(self, raw: bytes) -> Simulated:
        """See `Backend`."""
        return self._trier.simulate(raw)

    async def wait(self, tx_id: bytes, valid_until_ms: int | None, timeout_ms: int) -> TxStatus:
        """See `Backend`."""
        status = self.tx_status(tx_id, valid_until_ms)
        if status.phase in DECIDED:
            return status
        decided = asyncio.Event()
        cancel = self._replica.waiters.add(tx_id, valid_until_ms, decided.set)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await decided.wait()
        except TimeoutError:
            pass
        finally:
            cancel()
        return self.tx_status(tx_id, valid_until_ms)

    def tx_status(self, tx_id: bytes, valid_until_ms: int | None) -> TxStatus:
        """See `Backend`."""
        replica = self._replica
        decision = replica.decision(tx_id) or self._indexed(tx_id)
        if decision is not None:
            return TxStatus(
                phase=Phase.EXECUTED, height=decision.height, position=decision.position, code=decision.code
            )
        batch = replica.pool.batch_of(tx_id)
        if valid_until_ms is not None and self._expired(valid_until_ms):
            return TxStatus(phase=Phase.EXPIRED)
        if batch is not None:
            return self._in_batch(batch)
        if replica.mempool.status(tx_id) is not None:
            return TxStatus(phase=Phase.ADMITTED)
        refusal = self._trier.why_refused(tx_id)
        return TxStatus(phase=Phase.UNKNOWN) if refusal is None else TxStatus(phase=Phase.REFUSED, fault=refusal)

    def _in_batch(self, batch: bytes) -> TxStatus:
        listed = self._replica.listed(batch)
        if listed is None:
            return TxStatus(phase=Phase.BATCHED)
        height, final = listed
        return TxStatus(phase=Phase.FINAL if final else Phase.PROPOSED, height=height)

    def _expired(self, valid_until_ms: int) -> bool:
        """Whether no block can decide it any more, and this node would know if one had (J6)."""
        window = self._replica.window
        if window.time_ms < valid_until_ms:
            return False
        if valid_until_ms - window.lifetime_ms < self._receipts_from:
            return False  # It may have been decided before this node began, at a snapshot.
        # It may have been decided early in its life, before the window began: then the index knows, if it reaches there
        indexed = self._indexer.height if self._indexer is not None else 0
        return indexed >= window.first_height - 1 and valid_until_ms - window.lifetime_ms >= self._index_from_ms()

    def _index_from_ms(self) -> int:
        """The header time from which on the index knows what was decided."""
        earliest = self._index.earliest if self._index is not None else 0
        store = self._replica.store
        header = store.header(max(earliest, store.earliest.headers)) if earliest else None  # Later is on the safe side.
        return 0 if header is None else header.time_ms

    def _indexed(self, tx_id: bytes) -> Decision | None:
        found = self._index.lookup(tx_id) if self._index is not None else None
        if found is None:
            return None
        height, position = found
        receipts = self.receipts(height)
        if receipts is None:
            return None
        return Decision(height=height, position=position, code=decode_trusted(Receipt, receipts[position]).code)

    def transaction(self, tx_id: bytes) -> StoredTransaction | None:
        """See `Backend`."""
        replica = self._replica
        found = replica.decision(tx_id) or self._indexed(tx_id)
        if found is None:
            return None
        block, receipts = self.block(found.height), self.receipts(found.height)
        if block is None or receipts is None:
            return None
        # Receipts skip what was not decided, so it stands at its receipt's position or a little behind it.
        raws = [raw for batch in block.batches for raw in batch]
        for raw in raws[found.position :]:
            if replica.id_of(raw) == tx_id:
                return StoredTransaction(
                    raw=raw,
                    height=found.height,
                    position=found.position,
                    receipt=receipts[found.position],
                    header=block.header,
                )
        return None

    def account_history(self, account: bytes, before: Place | None, limit: int) -> AccountHistory:
        """See `Backend`."""
        history = self._history
        if history is None:
            raise fault(NO_HISTORY)
        entries = history.page(account, before=before, limit=limit)
        return AccountHistory(
            entries=[(Place(*place), tx_id) for place, tx_id in entries],
            first_height=history.first_height or 0,
            last_height=history.indexed_height or 0,
        )

    # Chain -----------------------------------------------------------------------------------------------------------

    def header(self, height: int) -> Header | None:
        """See `Backend`."""
        header = self._replica.store.header(height)
        if header is None and height <= self._replica.chain.height:
            raise self._pruned(height, self._replica.store.earliest.headers)
        return header

    def block(self, height: int) -> FinalBlock | None:
        """See `Backend`."""
        store = self._replica.store
        if height > self._replica.chain.height:
            return None
        block = store.block(height)
        if block is None and height > 0:
            raise self._pruned(height)
        return block if height > 0 else None

    def receipts(self, height: int) -> Sequence[bytes] | None:
        """See `Backend`."""
        receipts = self._replica.store.receipts(height)
        if receipts is None and height <= self._replica.chain.height:
            raise self._pruned(height, self._replica.store.receipts_from)
        return receipts

    def _pruned(self, height: int, earliest: int | None = None) -> Fault:
        """The error for a height that is not kept here, with the nodes that may have it."""
        refusal = self._replica.store.pruned(height, earliest)
        keepers = set(self._replica.catch_up.keepers(height))
        known = [
            f"{peer.node_key.hex()}@{peer.listen or peer.address}" for peer in self.peers() if peer.node_key in keepers
        ]
        refusal.values["ask"] = ", ".join(known[:KEEPERS_SHOWN]) or "an archive node"
        return refusal

    def receipts_from(self) -> int:
        """See `Backend`."""
        return self._replica.store.receipts_from

    async def wait_applied(self, height: int, timeout_ms: int) -> int:
        """See `Backend`."""
        await self._blocks.until(lambda: self.applied_height() > height, timeout_ms)
        return self.applied_height()

    def record(self) -> EpochRecord:
        """See `Backend`."""
        return self._replica.record

    def state(self) -> StateView:
        """See `Backend`."""
        return self._replica.store.state

    # Proofs ----------------------------------------------------------------------------------------------------------

    async def prove_group(self, group: bytes, height: int | None, wait_ms: int) -> GroupProof:
        """See `Backend`."""
        return await self._prover.group(group, height, wait_ms)

    async def prove_transaction(self, tx_id: bytes, wait_ms: int) -> TransactionProof:
        """See `Backend`."""
        stored = self.transaction(tx_id)
        if stored is None:
            raise fault(NOT_FOUND, tx_id=tx_id)
        return await self._prover.transaction(stored, wait_ms)

    async def prove_events(self, height: int, wait_ms: int) -> EventsProof:
        """See `Backend`."""
        return await self._prover.events(height, wait_ms)

    def epoch_ends(self, first: int, count: int) -> Sequence[EpochLink]:
        """See `Backend`."""
        return self._prover.epoch_ends(first, count)

    def newest_anchor(self) -> Anchor | None:
        """See `Backend`."""
        return self._prover.newest_anchor()

    def prove_history(self, height: int, anchor: Anchor) -> HistoryProof | None:
        """See `Backend`."""
        return self._prover.history(height, anchor)

    def results(self, height: int) -> Results | None:
        """See `Backend`."""
        then = self._replica.store.applied_at(height)
        if then is None:
            return None
        return Results(
            height=height,
            block_id=then.block_id,
            state_root=then.state_root,
            receipts_root=then.receipts_root,
            results_root=then.results.root(),
        )

    def state_nodes(self, level: int, first: int, count: int) -> tuple[int, bytes]:
        """See `Backend`."""
        state = self._replica.store.state
        return self.applied_height(), state.nodes(min(level, state.depth), first, count)

    def state_bucket(self, bucket: int) -> tuple[int, Mapping[bytes, bytes]]:
        """See `Backend`."""
        state = self._replica.store.state
        return self.applied_height(), state.listing(bucket) if bucket >> state.depth == 0 else {}

    def state_group(self, group: bytes) -> tuple[int, Mapping[bytes, bytes]]:
        """See `Backend`."""
        return self.applied_height(), self._replica.store.state.group(group)

    def applied_height(self) -> int:
        """See `Backend`."""
        applied = self._replica.store.applied
        assert applied is not None, "a running node has a state"
        return applied.height

    # Health ----------------------------------------------------------------------------------------------------------

    def peers(self) -> Sequence[PeerInfo]:
        """See `Backend`."""
        return self._connections.network.peers()

    def dials(self) -> Sequence[DialInfo]:
        """See `Backend`."""
        return self._connections.network.dials()

    def status(self) -> Status:
        """See `Backend`."""
        replica, store = self._replica, self._replica.store
        applied = store.applied
        assert applied is not None, "a running node has a state"
        engine = replica.voting.engine.status() if replica.voting is not None else None
        reasons = self._reasons()
        return Status(
            chain=replica.chain_id,
            chain_name=self._chain_name,
            node_key=replica.identity.node_key,
            organisation=self._organisation(),
            validator=replica.epoch.me,
            state=self._state({reason.spec for reason in reasons}),
            height=applied.height,
            final_height=replica.final.height,
            epoch=replica.record.epoch,
            view=engine.view if engine is not None else applied.view,
            leader=engine.leader if engine is not None else 0,
            block_id=applied.block_id,
            time_ms=applied.time_ms,
            state_root=applied.state_root,
            validators=self._validators(),
            peers=len(self._connections.connected()),
            behind=self.behind(),
            mempool=len(replica.mempool),
            earliest=self.pruning.earliest if self.pruning is not None else {"blocks": store.earliest_height},
            usage=self.pruning.usage if self.pruning is not None else {},
            reasons=reasons,
            snapshot=self._snapshot(),
        )

    def _snapshot(self) -> SnapshotProgress | None:
        snapshots = self._replica.snapshots
        return None if snapshots is None else shown_progress(snapshots.joining)

    def evidence(self) -> Sequence[Contradiction]:
        """See `Backend`."""
        return self._replica.evidence.all()

    def readiness(self) -> Sequence[Check]:
        """See `Backend`."""
        failed = {reason.spec: reason for reason in self._reasons()}
        free = shutil.disk_usage(self._data).free
        disk = Reason(spec=DISK_FULL, values={"free_bytes": free}) if free < FREE_BYTES_MIN else None
        signing = next((failed[spec] for spec in failed if spec in self._not_signing()), None)
        return [
            Check(name="disk", failed=disk),
            Check(name="peers", failed=self._unconnected()),
            Check(name="behind", failed=failed.get(BEHIND)),
            Check(name="quorum", failed=failed.get(NO_QUORUM)),
            Check(name="clock", failed=failed.get(CLOCK_SKEW)),
            Check(name="signing", failed=signing),
            Check(name="index", failed=failed.get(INDEX_BEHIND)),
            Check(name="state", failed=failed.get(DIVERGED) or failed.get(OUTDATED)),
        ]

    def observing(self) -> ErrorSpec | None:
        """Why this validator does not vote; None when it does, or is none."""
        return why_observing(self._replica, self._signer)

    def _not_signing(self) -> set[ErrorSpec]:
        observing = self.observing()
        return {SAFETY_ALARM} | ({observing} if observing is not None else set())

    def _state(self, specs: set[ErrorSpec]) -> str:
        if DIVERGED in specs:
            return "diverged"
        if OUTDATED in specs:
            return "outdated"
        if BEHIND in specs:
            return "catching_up"
        if NO_QUORUM in specs:
            return "stalled"
        return "observing" if self.observing() is not None or self._replica.voting is None else "validating"

    def _reasons(self) -> list[Reason]:
        """Everything that is not as it should be, most serious first."""
        replica = self._replica
        reasons = []
        if replica.executor.halted is not None:
            reasons.append(Reason(spec=replica.executor.halted.spec, values=replica.executor.halted.values))
        reasons += self._of_consensus()
        if (alone := self._unconnected()) is not None:
            reasons.append(alone)
        if (behind := self.behind()) > BEHIND_BLOCKS:
            reasons.append(Reason(spec=BEHIND, values={"blocks": behind}))
            if (lacking := replica.catch_up.unobtainable()) is not None:
                missing = self._pruned(*lacking)
                reasons.append(Reason(spec=missing.spec, values=missing.values))
        if (skew := self._skew_ms()) is not None and abs(skew) > SKEW_MS:
            reasons.append(Reason(spec=CLOCK_SKEW, values={"milliseconds": skew}))
        if (lag := self.index_lag()) > INDEX_BEHIND_BLOCKS:
            reasons.append(Reason(spec=INDEX_BEHIND, values={"blocks": lag}))
        if replica.epoch.me is None:
            reasons.append(Reason(spec=OBSERVER))
        reasons += [Reason(spec=UPGRADE_PLANNED, values=values) for values in self._unknown_features()]
        return reasons

    def _unknown_features(self) -> list[dict[str, object]]:
        """Scheduled features that this program does not know: its operator has until their height to replace it."""
        replica = self._replica
        planned = read_planned(Overlay(replica.store.state))
        return [
            {"feature": row.feature, "height": row.height, "code": row.code}
            for row in planned
            if replica.registry.unknown((row.feature,))
        ]

    def _of_consensus(self) -> list[Reason]:
        """What keeps this node from voting, or the network from making blocks."""
        replica = self._replica
        reasons = []
        if replica.voting is not None and replica.voting.alarm is not None:
            reasons.append(Reason(spec=SAFETY_ALARM, values={"reason": replica.voting.alarm}))
        elif (observing := self.observing()) is not None:
            reasons.append(Reason(spec=observing, values=signs_again(self._replica, observing)))
        if (too_few := self._too_few()) is not None:
            reasons.append(too_few)
        if replica.catch_up.unknown_epoch is not None:
            reasons.append(Reason(spec=RESTART_NOT_ACCEPTED, values={"epoch": replica.catch_up.unknown_epoch}))
        return reasons

    def _too_few(self) -> Reason | None:
        """Why no block can come: validators that cannot be reached, or that can and have long not voted."""
        replica = self._replica
        if replica.voting is None:
            return None
        validators, needed = self._validators(), quorum(len(replica.record.validators))
        missing = [status for status in validators if not status.reachable]
        if len(validators) - len(missing) < needed:
            values = {"reachable": len(validators) - len(missing), "needed": needed, "unreachable": _names(missing)}
            return Reason(spec=NO_QUORUM, values=values)
        engine = replica.voting.engine.status()
        if not engine.armed or replica.runtime.now_ms() - engine.entered_ms < STALLED_MS:
            return None
        voted = set().union(*engine.votes.values())
        silent = [status for status in validators if status.index not in voted or not status.reachable]
        if len(validators) - len(silent) >= needed:
            return None
        values = {"voting": len(validators) - len(silent), "needed": needed, "silent": _names(silent)}
        return Reason(spec=NO_QUORUM, values=values)

    def _unconnected(self) -> Reason | None:
        """Why nobody is connected: what those that answered have against us, such as net/NOT_REGISTERED (J14)."""
        if self._connections.connected() or len(self._replica.record.validators) == 1:
            return None
        for _, refusal in sorted(self._connections.refusals.items()):
            if refusal.spec not in _SAYS_LITTLE:
                return Reason(spec=refusal.spec, values=refusal.values)
        return Reason(spec=NO_PEERS)

    def _silent_ms(self, last_heard_ms: int | None) -> int | None:
        return None if last_heard_ms is None else self._replica.runtime.now_ms() - last_heard_ms

    def index_lag(self) -> int:
        """Executed blocks that the transaction index lacks; 0 without an index."""
        return max(0, self._replica.chain.height - self._indexer.height) if self._indexer is not None else 0

    def _validators(self) -> list[ValidatorStatus]:
        replica = self._replica
        engine = replica.voting.engine.status() if replica.voting is not None else None
        connected = self._connections.connected()
        return [
            ValidatorStatus(
                index=index,
                organisation=validator.organisation,
                consensus_key=validator.consensus_key,
                reachable=index == replica.epoch.me or any(node in connected for node in validator.node_keys),
                executed=engine.validators[index].executed if engine is not None else None,
                silent_ms=self._silent_ms(engine.validators[index].last_heard_ms) if engine is not None else None,
            )
            for index, validator in enumerate(replica.record.validators)
        ]

    def behind(self) -> int:
        """Blocks between the newest credible height and the applied one: f of those who report may lie."""
        replica = self._replica
        best = credible_height(self.peers(), len(replica.record.validators))
        return max(0, max(best, replica.final.height) - replica.chain.height)

    def _skew_ms(self) -> int | None:
        """Median of how far the peers' clocks are ahead of ours."""
        known = [peer.clock_skew_ms for peer in self.peers() if peer.clock_skew_ms is not None]
        return int(median(known)) if known else None


def _names(validators: Sequence[ValidatorStatus]) -> str:
    """Some validators, for people."""
    return ", ".join(f"{status.index} ({status.organisation})" for status in validators)
