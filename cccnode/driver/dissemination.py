"""Batches travel ahead of blocks: made here or received, verified once, synced to disk, then announced (J8-J10).

A batch counts only when it is durable: `Have` goes out, a submission is acknowledged and a proposal may list it or be
voted for after that, never before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cccnode.codec import DecodeError, decode, encode
from cccnode.driver.epochs import Epoch
from cccnode.driver.fetching import ADOPT_MS, TICK_MS, Fetches
from cccnode.driver.links import Links
from cccnode.driver.messages import IDS_MAX, BatchMessage, BatchPush, BatchReply, BatchRequest, Have
from cccnode.driver.pool import BatchPool, Entry, make_entry
from cccnode.driver.quotas import OWN, adopted_from
from cccnode.driver.runtime import Runtime, Timer
from cccnode.driver.stages import Stages
from cccnode.driver.verification import Verification, Verify
from cccnode.types.batch import Batch, batch_id
from cccnode.types.errors import POOL_FULL, TX_WEIGHT, Fault, fault
from cccnode.types.limits import BATCH_BYTES_MAX, BATCH_TXS_MAX, BLOCK_WEIGHT_MAX
from cccnode.types.transaction import Verified
from cccnode.types.validators import quorum
from p2p.frames import Channel
from p2p.scores import Offence

FORM_MS = 5
"""A batch is closed after this long, or when it is full (D5)."""
HAVE_MS = 20
"""Announcements are at least this far apart (J9)."""
SYNC_PAUSE_MS = 60
"""After a sync of `CROWDED_TXS` transactions or more the next one waits a moment, a millisecond for every four of them
and never longer than this: it takes in more batches, and one announcement names them all.  What a batch costs beside
its transactions (a sync, announcements to and from everybody) was a fifth of a loaded node's time."""
SYNC_TXS_PER_MS = 4
CROWDED_TXS = 64
HAVES_PER_SECOND_MAX = 200
"""Announcements of one validator in a second: four times what J9 allows, since a long list comes in several."""
SERVED_PER_SECOND_MAX = 4_096
"""Batches that one validator is given in a second; it asks again for the rest."""
STORED_PER_SECOND_MAX = 16
"""Of these, such as have to be read out of stored blocks."""
BACKLOG_MAX = 20_000
"""Transactions that may wait for verification before submissions are refused: about two seconds with PyNaCl."""
VERIFIED_WITHIN_MS = 500
"""Submissions are refused while the oldest of what waits for verification has waited longer."""
FINAL_WITHIN_MS = 2_000
"""They are refused while batches wait longer than this to be final, apart from the first `FINAL_ANYWAY` transactions.

More would wait here, and not be final sooner: what clients see stays bounded, and an overload is over soon after it
ends.  Where nothing becomes final at all (no quorum), that many are taken in all the same.
"""
FINAL_ANYWAY = 2_048
INVALID_MAX = 1_024
"""Batches remembered as invalid."""


class WaitingRoom(Protocol):
    """The mempool, bound to the applied state and the clock."""

    @property
    def waiting(self) -> int:
        """Transactions admitted and not yet in a batch."""

    def admit(self, verified: Verified) -> Fault | None:
        """Take it in, or say why not."""

    def take(self) -> list[Verified]:
        """The transactions of the next batch."""


class BatchStore(Protocol):
    """Durable batches; called in the writer thread, except `get` and `release`."""

    def put(self, batch_id: bytes, raw_batch: bytes, expires_ms: int) -> object:
        """Append."""

    def sync(self) -> None:
        """Make everything appended durable."""

    def release(self, batch_id: bytes) -> None:
        """The batch is no longer needed; its segment goes when all in it are released."""


@dataclass(slots=True, eq=False)
class Submission:
    """Transactions that a client handed in together, and whom to tell."""

    results: list[tuple[bytes, Fault | None]]
    """For each transaction, in order: (id, None) once admitted, (id, fault) when refused.

    The id is empty where the bytes do not decode.
    """
    done: Callable[[list[tuple[bytes, Fault | None]]], None]
    waiting: int = 1
    """Batches not durable yet, plus one while verification runs."""

    def settle(self) -> None:
        """One of the things it waits for has happened."""
        self.waiting -= 1
        if self.waiting == 0:
            self.done(self.results)


@dataclass(slots=True)
class _Rates:
    """What one validator asked of this node in the current second."""

    since_ms: int
    haves: int = 0
    served: int = 0
    stored: int = 0


class Dissemination:
    """Everything about batches on one node."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        links: Links,
        store: BatchStore,
        pool: BatchPool,
        verify: Verify,
        waiting_room: WaitingRoom,
        epoch: Epoch,
        stages: Stages,
        ready: Callable[[Entry], None],
        spoiled: Callable[[bytes], None],
        stored_batch: Callable[[bytes], Batch | None],
        reread: Callable[[Sequence[bytes]], Sequence[Verified]],
        executing: Callable[[], bool],
    ) -> None:
        """Bind to the node's parts.

        `ready` is told of each durable batch, `spoiled` of each that a block
        needs and that is invalid; `stored_batch` finds one that left the pool with an executed block, and `reread`
        decodes it; `executing` tells whether a final block is being executed.
        """
        self._runtime, self._links, self._store, self._pool = runtime, links, store, pool
        self.verification = Verification(runtime=runtime, stages=stages, verify=verify, executing=executing)
        self._waiting_room = waiting_room
        self._begin(epoch)
        self._ready, self._spoiled = ready, spoiled
        self._stored_batch, self._reread = stored_batch, reread
        self._looked_ms, self._late = -FORM_MS, False
        self._form_timer: Timer | None = None
        self._unsynced: list[Entry] = []
        self._syncing = False
        self._sync_timer: Timer | None = None
        self._sync_ms = 0
        """When the next sync may begin."""
        self._announce: list[bytes] = []
        self._announce_timer: Timer | None = None
        self._announced_ms = -HAVE_MS
        self._fetches = Fetches()
        self._fetch_timer: Timer | None = None
        self._fetch_ms = 0
        self._inside: dict[bytes, int | None] = {}
        """Batches in verification, with the creator whose quota bears each."""
        self._paused: dict[bytes, int] = {}
        """Nodes whose batches are not read because their quota is full, with their index."""
        self._elsewhere: set[bytes] = set()
        """Nodes whose batches are not read because they, or this node, do not validate in this epoch (J8)."""
        self._rates: dict[bytes, _Rates] = {}
        self.invalid: dict[bytes, None] = {}
        """Batches that blocks needed and that can never be valid."""
        self._owners: dict[bytes, tuple[Submission, ...]] = {}
        """Who waits until a transaction is durable."""
        self.stored: Callable[[Entry], None] = lambda _: None
        """Told of each own batch once it is durable (a non-validator forwards it)."""

    # Epochs ----------------------------------------------------------------------------------------------------------

    def _begin(self, epoch: Epoch) -> None:
        self._me, self._validators = epoch.me, epoch.nodes
        self._creator = epoch.me if epoch.me is not None else OWN

    def begin_epoch(self, epoch: Epoch, moved: Mapping[int, int]) -> None:
        """Other validators may make batches now; everybody learns anew what this node holds."""
        former = self._me
        renamed = {**moved, former: OWN} if former is not None and epoch.me is None else moved
        self._begin(epoch)
        self._pool.begin_epoch(quorum=quorum(len(epoch.record.validators)), moved=renamed, me=epoch.me)
        self._inside = dict.fromkeys(self._inside)  # What is in verification is nobody's debt any more.
        for peer in sorted(self._elsewhere.union(self._paused)):
            self._links.pause(peer, Channel.BATCH, paused=False)
        self._paused.clear()
        self._elsewhere.clear()
        if self._me is not None:
            self._announce = [entry.id for entry in self._pool if entry.durable and not entry.executed]
            if self._announce:
                self._announce_soon()

    # Submissions -----------------------------------------------------------------------------------------------------

    def submit(self, raws: Sequence[bytes], done: Callable[[list[tuple[bytes, Fault | None]]], None]) -> None:
        """Verify, admit, batch and sync `raws`, then call `done` with one (id, fault) for each."""
        if self._pool.quotas.is_full(self._creator) or self.verification.backlog > BACKLOG_MAX or self._is_late():
            own_bytes = self._pool.quotas.used(self._creator)
            done([(b"", fault(POOL_FULL, bytes=own_bytes, unverified=self.verification.backlog)) for _ in raws])
            return
        submission = Submission([], done)
        self.verification.add(raws, lambda verdicts: self._admit_all(submission, verdicts))

    def _is_late(self) -> bool:
        """Whether more is waiting than becomes final in good time; looked at once in `FORM_MS`."""
        now_ms = self._runtime.now_ms()
        if now_ms - self._looked_ms >= FORM_MS:
            since = self._pool.waits_since(FINAL_ANYWAY)
            self._looked_ms = now_ms
            self._late = since is not None and now_ms - since > FINAL_WITHIN_MS
        return self._late or self.verification.late_ms > VERIFIED_WITHIN_MS

    def check(self, raws: Sequence[bytes], done: Callable[[list[Verified | Fault]], None]) -> None:
        """Only verify `raws`, in slices like all the rest."""
        self.verification.add(raws, done)

    def _admit_all(self, submission: Submission, verdicts: list[Verified | Fault]) -> None:
        results, owners = submission.results, (submission,)
        for verdict in verdicts:
            if isinstance(verdict, Fault):
                results.append((b"", verdict))
                continue
            refusal = None if self._is_held(verdict.id, owners) else self._admit_one(verdict, owners)
            results.append((verdict.id, refusal))
        while self._waiting_room.waiting >= BATCH_TXS_MAX:
            self._close_batch()
        if self._waiting_room.waiting and self._form_timer is None:
            self._form_timer = self._runtime.call_later(FORM_MS, self._close_batch)
        submission.settle()

    def _is_held(self, tx_id: bytes, owners: tuple[Submission]) -> bool:
        """Whether the transaction waits at this node already; then it is acknowledged again once it is durable."""
        if tx_id in self._owners:
            self._owners[tx_id] += owners
            owners[0].waiting += 1
            return True
        batch = self._pool.batch_of(tx_id)
        if batch is None:
            return False
        entry = self._pool.get(batch)
        if entry is not None and not entry.durable:
            self._owners[tx_id] = owners
            owners[0].waiting += 1
        return entry is not None

    def _admit_one(self, verified: Verified, owners: tuple[Submission]) -> Fault | None:
        refusal = self._waiting_room.admit(verified)
        if refusal is None:
            self._owners[verified.id] = owners
            owners[0].waiting += 1
        return refusal

    def _close_batch(self) -> None:
        if self._form_timer is not None:
            self._form_timer.cancel()
            self._form_timer = None
        transactions = self._waiting_room.take()
        if not transactions:
            return
        raws = tuple([verified.raw for verified in transactions])
        entry = make_entry(batch_id(raws), transactions, self._creator)
        held = self._pool.get(entry.id)
        if held is not None:
            # Another node made the same batch of the same transactions: its copy is as good as ours.
            if held.durable:
                self._acknowledge(held)
            return
        if self._me is not None:
            # The content may leave before it is durable here: it promises nothing, `Have` and the answer do.
            self._broadcast(Channel.BATCH, encode(BatchPush(raws)))
        self._pool.quotas.charge(entry.creator, entry.size)
        self._add(entry)
        self._persist(entry)

    def _add(self, entry: Entry) -> None:
        entry.arrived_ms = self._runtime.now_ms()
        self._pool.add(entry)

    # Arrival ---------------------------------------------------------------------------------------------------------

    def on_batch_frame(self, peer: bytes, payload: bytes) -> None:
        """A frame on the BATCH channel."""
        validator = self._validators.get(peer)
        if validator is None or self._me is None:
            # No offence: it may be in another epoch, where both are validators.  Not read until this node is there too.
            if peer not in self._elsewhere:
                self._elsewhere.add(peer)
                self._links.pause(peer, Channel.BATCH, paused=True)
            return
        try:
            message: BatchMessage = decode(BatchMessage, payload)  # type: ignore[arg-type]  # a union, see voting
        except DecodeError as error:
            self._links.punish(peer, Offence.MALFORMED, f"batch: {error}")
            return
        match message:
            case BatchPush(batch):
                self._take(peer, batch, validator)
            case BatchRequest(ids):
                self._serve(peer, ids)
            case BatchReply(batch):
                self._take_answer(peer, batch, validator)

    def on_have_frame(self, peer: bytes, payload: bytes) -> None:
        """A frame on the HAVE channel; only validators' words count."""
        validator = self._validators.get(peer)
        try:
            have = decode(Have, payload)
        except DecodeError as error:
            self._links.punish(peer, Offence.MALFORMED, f"have: {error}")
            return
        if validator is None or self._me is None:
            return
        rates = self._rate(peer)
        rates.haves += 1
        if rates.haves > HAVES_PER_SECOND_MAX:
            self._links.punish(peer, Offence.FLOOD, "have")
            return
        full = self._pool.quotas.is_full(adopted_from(validator))
        for wanted in have.ids:
            if not self._pool.held_by(wanted, validator) and wanted not in self._inside and not full:
                self._fetches.adopt(wanted, peer, self._runtime.now_ms())
        self._fetch_in(ADOPT_MS)

    def _take(self, peer: bytes, batch: tuple[bytes, ...], creator: int) -> None:
        """A batch that its creator pushes."""
        identity = self._identified(peer, batch)
        # One that was removed is final already: this push was slower than a quorum.
        if identity is not None and not self._pool.was_removed(identity):
            self._verify_batch(peer, identity, batch, creator)

    def _take_answer(self, peer: bytes, batch: tuple[bytes, ...], validator: int) -> None:
        """A batch that was asked for; another one is late, or was never wanted."""
        identity = self._identified(peer, batch)
        if identity is None or identity not in self._fetches:
            return
        self._verify_batch(peer, identity, batch, adopted_from(validator))

    def _identified(self, peer: bytes, batch: tuple[bytes, ...]) -> bytes | None:
        """The id of a batch that is not here yet."""
        if sum(map(len, batch)) > BATCH_BYTES_MAX:
            self._links.punish(peer, Offence.OVERSIZE, "batch")
            return None
        identity = batch_id(batch)
        return None if identity in self._pool or identity in self._inside else identity

    def _verify_batch(self, peer: bytes, identity: bytes, batch: tuple[bytes, ...], creator: int) -> None:
        """Queue it for verification; what a block needs is nobody's debt, the block bounds it."""
        quotas, size = self._pool.quotas, sum(map(len, batch))
        charged = None if self._fetches.is_needed(identity) else creator
        if charged is not None and charged < 0 and quotas.is_full(charged):
            return  # Adopted on the word of one who announced too much.
        quotas.charge(charged, size)
        self._inside[identity] = charged
        self.verification.add(batch, lambda verdicts: self._taken(peer, identity, size, verdicts))
        if charged is not None and charged >= 0 and quotas.is_full(charged):
            self._pause(peer, charged)

    def _taken(self, peer: bytes, identity: bytes, size: int, verdicts: list[Verified | Fault]) -> None:
        charged = self._inside.pop(identity)
        if identity in self._pool:
            self._pool.quotas.release(charged, size)  # This node made the same batch meanwhile.
            return
        good = [verdict for verdict in verdicts if isinstance(verdict, Verified)]
        reason = None
        if len(good) < len(verdicts):
            reason = next(verdict for verdict in verdicts if isinstance(verdict, Fault))
        elif (weight := sum([verified.weight for verified in good])) > BLOCK_WEIGHT_MAX:
            reason = fault(TX_WEIGHT, weight=weight, limit=BLOCK_WEIGHT_MAX)  # No block could ever list it.
        if reason is not None:
            self._pool.quotas.release(charged, size)
            self._resume()
            self._refuse(peer, identity, reason)
            return
        entry = make_entry(identity, good, charged)
        self._add(entry)
        self._persist(entry)

    def _refuse(self, peer: bytes, identity: bytes, reason: Fault) -> None:
        """The id commits to the bytes, so nobody else can have a valid batch of this id."""
        self._links.punish(peer, Offence.INVALID_BATCH, str(reason))
        if self._fetches.is_needed(identity):
            self.invalid[identity] = None
            if len(self.invalid) > INVALID_MAX:
                del self.invalid[next(iter(self.invalid))]
            self._spoiled(identity)
        self._fetches.drop((identity,))

    def reload(self, identity: bytes, transactions: Sequence[Verified]) -> None:
        """A batch that was durable before the restart."""
        if identity in self._pool:
            return
        entry = make_entry(identity, transactions, OWN if self._me is None else None)
        self._pool.quotas.charge(entry.creator, entry.size)
        self._add(entry)
        self._durable(identity)

    # Fetching --------------------------------------------------------------------------------------------------------

    def want(self, identity: bytes, sources: Iterable[bytes]) -> None:
        """Get a batch for a block; `ready` tells when it is durable.  A fetch survives the view change (J9)."""
        if identity in self._pool or identity in self._inside:
            return
        stored = self._stored_batch(identity)
        if stored is not None:
            entry = make_entry(identity, self._reread(stored), None)
            entry.executed = True
            self._add(entry)
            self._durable(identity)
            return
        self._fetches.need(identity, sources, self._runtime.now_ms())
        self._fetch_in(0)

    def give_up(self, identities: Iterable[bytes]) -> None:
        """These batches are here, or nobody needs them any more."""
        self._fetches.drop(identities)

    def _fetch_in(self, wait_ms: int) -> None:
        """Ask after so long, or earlier; requests of the same moment share a message."""
        due_ms = self._runtime.now_ms() + wait_ms
        if self._fetch_timer is not None:
            if self._fetch_ms <= due_ms:
                return
            self._fetch_timer.cancel()
        self._fetch_ms = due_ms
        self._fetch_timer = self._runtime.call_later(wait_ms, self._fetch)

    def _fetch(self) -> None:
        self._fetch_timer = None
        now_ms = self._runtime.now_ms()
        for source, ids in self._fetches.due(now_ms, self._links.connected()).items():
            self._links.send(source, Channel.BATCH, encode(BatchRequest(tuple(ids))))
        due_ms = self._fetches.next_ms()
        if due_ms is not None:
            self._fetch_in(max(due_ms - now_ms, TICK_MS))

    def _serve(self, peer: bytes, ids: Sequence[bytes]) -> None:
        """Answer as far as this second's share of the peer, and its queue, go."""
        rates = self._rate(peer)
        for identity in ids:
            entry = self._pool.ready(identity)
            batch = entry.raws if entry is not None else None
            if batch is None and self._pool.was_removed(identity) and rates.stored < STORED_PER_SECOND_MAX:
                rates.stored += 1
                batch = self._stored_batch(identity)
            if batch is None:
                continue
            rates.served += 1
            if rates.served > SERVED_PER_SECOND_MAX:
                return
            if not self._links.send(peer, Channel.BATCH, encode(BatchReply(batch))):
                return

    def _rate(self, peer: bytes) -> _Rates:
        now_ms = self._runtime.now_ms()
        rates = self._rates.get(peer)
        if rates is None or now_ms - rates.since_ms >= 1_000:
            rates = self._rates[peer] = _Rates(now_ms)
        return rates

    # Durability and announcement -------------------------------------------------------------------------------------

    def _persist(self, entry: Entry) -> None:
        self._unsynced.append(entry)
        self._sync_soon()

    def _sync_soon(self) -> None:
        if self._syncing or self._sync_timer is not None or not self._unsynced:
            return
        wait = self._sync_ms - self._runtime.now_ms()
        if wait <= 0:
            self._sync()
        else:
            self._sync_timer = self._runtime.call_later(wait, self._sync)

    def _sync(self) -> None:
        """Group commit: everything that waits goes to disk with one sync."""
        self._syncing, self._sync_timer = True, None
        group, self._unsynced = self._unsynced, []
        transactions = sum(len(entry.transactions) for entry in group)
        if transactions >= CROWDED_TXS:
            self._sync_ms = self._runtime.now_ms() + min(SYNC_PAUSE_MS, transactions // SYNC_TXS_PER_MS)

        def job() -> None:
            for entry in group:
                self._store.put(entry.id, encode(entry.raws), entry.expires_ms)
            self._store.sync()

        self._runtime.run_in_writer("batches", job, lambda result: self._synced(group, result))

    def _synced(self, group: list[Entry], result: object) -> None:
        if isinstance(result, BaseException):
            raise result
        self._syncing = False
        self._sync_soon()
        for entry in group:
            self._durable(entry.id)
            self._acknowledge(entry)

    def _acknowledge(self, entry: Entry) -> None:
        """Whoever handed these in may be told: they are on disk here."""
        owners = self._owners
        for verified in entry.transactions if owners else ():
            for submission in owners.pop(verified.id, ()):
                submission.settle()
        if entry.creator == self._creator:
            self.stored(entry)

    def _durable(self, identity: bytes) -> None:
        self.give_up((identity,))
        entry = self._pool.mark_durable(identity, self._me)
        if entry is None:
            self._store.release(identity)
            return
        if self._me is not None and not entry.executed:
            self._announce.append(identity)
            self._announce_soon()
        self._ready(entry)

    def _announce_soon(self) -> None:
        if self._announce_timer is not None:
            return
        wait = self._announced_ms + HAVE_MS - self._runtime.now_ms()
        if wait <= 0:
            self._announce_now()
        else:
            self._announce_timer = self._runtime.call_later(wait, self._announce_now)

    def _announce_now(self) -> None:
        self._announce_timer = None
        self._announced_ms = self._runtime.now_ms()
        ids, self._announce = self._announce, []
        for first in range(0, len(ids), IDS_MAX):
            self._broadcast(Channel.HAVE, encode(Have(tuple(ids[first : first + IDS_MAX]))))

    def greet(self, peer: bytes) -> None:
        """A validator connected: tell it which batches wait here, so that it can fetch what it lacks."""
        validator = self._validators.get(peer)
        if self._me is None or validator is None:
            return
        if self._pool.quotas.is_full(validator):
            self._pause(peer, validator)
        ids = [entry.id for entry in self._pool if entry.durable]
        for first in range(0, len(ids), IDS_MAX):
            self._links.send(peer, Channel.HAVE, encode(Have(tuple(ids[first : first + IDS_MAX]))))

    def farewell(self, peer: bytes) -> None:
        """A node is gone, and with it what was paused on its link."""
        self._paused.pop(peer, None)
        self._elsewhere.discard(peer)

    def _broadcast(self, channel: Channel, payload: bytes) -> None:
        connected = self._links.connected()
        for node in self._validators:
            if node in connected:
                self._links.send(node, channel, payload)

    # Clearing --------------------------------------------------------------------------------------------------------

    def clear(self, identities: Iterable[bytes], height: int | None = None) -> list[Entry]:
        """Forget batches that are executed and stored at `height`, or (None) expired by final time (J10)."""
        identities = list(identities)
        self.give_up(identities)
        removed = self._pool.remove(identities, height)
        for entry in removed:
            if entry.durable:
                self._store.release(entry.id)
        self._resume()
        return removed

    def _pause(self, peer: bytes, creator: int) -> None:
        """J8: a creator that has too much waiting is not read."""
        self._paused[peer] = creator
        self._links.pause(peer, Channel.BATCH, paused=True)

    def _resume(self) -> None:
        for peer in [peer for peer, creator in self._paused.items() if self._pool.quotas.has_room(creator)]:
            del self._paused[peer]
            self._links.pause(peer, Channel.BATCH, paused=False)
