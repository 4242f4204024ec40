"""Batches travel ahead of blocks: made here or received, verified once, synced to disk, then announced (J8-J10).

A batch counts only when it is durable: `Have` goes out, a submission is acknowledged and a proposal may list it or be
voted for after that, never before.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cccnode.codec import DecodeError, decode, encode
from cccnode.driver.links import Links
from cccnode.driver.messages import IDS_MAX, BatchMessage, BatchPush, BatchReply, BatchRequest, Have
from cccnode.driver.pool import BatchPool, Entry, make_entry
from cccnode.driver.runtime import Runtime, Timer
from cccnode.driver.stages import Stages
from cccnode.types.batch import batch_id
from cccnode.types.errors import POOL_FULL, Fault, fault
from cccnode.types.limits import BATCH_BYTES_MAX, BATCH_TXS_MAX, BATCHES_PER_CREATOR_BYTES_MAX
from cccnode.types.transaction import Verified
from p2p.frames import Channel
from p2p.scores import Offence

SLICE = 64
"""Transactions verified in one turn of the loop: about 5 ms with PyNaCl, so votes never wait longer."""
FORM_MS = 5
"""A batch is closed after this long, or when it is full (D5)."""
HAVE_MS = 20
"""Announcements are at least this far apart (J9)."""
FETCH_RETRY_MS = 200
"""A missing batch is asked of the next holder after this long."""
ADOPT_MS = 400
"""A batch that others announce and that did not arrive is fetched after this long."""

Verify = Callable[[Sequence[bytes]], list[Verified | Fault]]
"""Raw transactions to verdicts, in order: `cccnode.ingress` bound to this chain."""


OWN = -1
"""Stands for this node as a creator where it is not a validator."""


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

    def put(self, batch_id: bytes, raw_batch: bytes, expires_ms: int) -> None:
        """Append."""

    def sync(self) -> None:
        """Make everything appended durable."""

    def release(self, batch_id: bytes) -> None:
        """The batch is no longer needed; its segment goes when all in it are released."""


@dataclass(slots=True, eq=False)
class Submission:
    """Transactions that a client handed in together, and whom to tell."""

    results: list[tuple[bytes, Fault | None]]
    """(id, None) once admitted, (id, fault) when refused, the id empty where bytes do not decode; one for each transaction, in order."""
    done: Callable[[list[tuple[bytes, Fault | None]]], None]
    waiting: int = 1
    """Batches not durable yet, plus one while verification runs."""

    def settle(self) -> None:
        """One of the things it waits for has happened."""
        self.waiting -= 1
        if self.waiting == 0:
            self.done(self.results)


@dataclass(slots=True)
class _Job:
    """Raw transactions on their way through verification."""

    raws: Sequence[bytes]
    finish: Callable[[list[Verified | Fault]], None]
    verdicts: list[Verified | Fault] = field(default_factory=list)


@dataclass(slots=True)
class _Fetch:
    """A batch somebody needs and who may have it."""

    sources: deque[bytes]
    timer: Timer | None = None


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
        me: int | None,
        validators: dict[bytes, int],
        stages: Stages,
        ready: Callable[[Entry], None],
        stored_batch: Callable[[bytes], Sequence[Verified] | None],
    ) -> None:
        """Bind to the node's parts.

        `validators` maps node keys to indices; `ready` is told of each durable batch; `stored_batch` finds one that left
        the pool with an executed block.
        """
        self._runtime, self._links, self._store, self._pool = runtime, links, store, pool
        self._verify, self._waiting_room, self._me, self._validators = verify, waiting_room, me, validators
        self._creator = me if me is not None else OWN
        self._stages, self._ready, self._stored_batch = stages, ready, stored_batch
        self._jobs: deque[_Job] = deque()
        self._verifying = False
        self._form_timer: Timer | None = None
        self._unsynced: list[Entry] = []
        self._syncing = False
        self._announce: list[bytes] = []
        self._announce_timer: Timer | None = None
        self._announced_ms = -HAVE_MS
        self._fetches: dict[bytes, _Fetch] = {}
        self._inside: set[bytes] = set()
        self._owners: dict[bytes, list[Submission]] = {}
        self.stored: Callable[[Entry], None] = lambda _: None
        """Told of each own batch once it is durable (a non-validator forwards it)."""
        self.backlog = 0
        """Transactions waiting for verification."""

    # Submissions -----------------------------------------------------------------------------------------------------

    def submit(
        self, raws: Sequence[bytes], done: Callable[[list[tuple[bytes, Fault | None]]], None]
    ) -> None:
        """Verify, admit, batch and sync `raws`, then call `done` with one (id, fault) for each."""
        own_bytes = self._pool.creator_bytes(self._creator)
        if own_bytes > BATCHES_PER_CREATOR_BYTES_MAX:
            done([(b"", fault(POOL_FULL, bytes=own_bytes)) for _ in raws])
            return
        submission = Submission([], done)
        self._enqueue(_Job(raws, lambda verdicts: self._admit_all(submission, verdicts)))

    def _admit_all(self, submission: Submission, verdicts: list[Verified | Fault]) -> None:
        for verdict in verdicts:
            if isinstance(verdict, Fault):
                submission.results.append((b"", verdict))
                continue
            refusal = None if self._is_held(verdict.id, submission) else self._admit_one(verdict, submission)
            submission.results.append((verdict.id, refusal))
        while self._waiting_room.waiting >= BATCH_TXS_MAX:
            self._close_batch()
        if self._waiting_room.waiting and self._form_timer is None:
            self._form_timer = self._runtime.call_later(FORM_MS, self._close_batch)
        submission.settle()

    def _is_held(self, tx_id: bytes, submission: Submission) -> bool:
        """Whether the transaction waits at this node already; then it is acknowledged again once it is durable."""
        if tx_id in self._owners:
            self._owners[tx_id].append(submission)
            submission.waiting += 1
            return True
        return self._pool.batch_of(tx_id) is not None

    def _admit_one(self, verified: Verified, submission: Submission) -> Fault | None:
        refusal = self._waiting_room.admit(verified)
        if refusal is None:
            self._owners[verified.id] = [submission]
            submission.waiting += 1
        return refusal

    def _close_batch(self) -> None:
        if self._form_timer is not None:
            self._form_timer.cancel()
            self._form_timer = None
        transactions = self._waiting_room.take()
        if not transactions:
            return
        raws = tuple(verified.raw for verified in transactions)
        entry = make_entry(batch_id(raws), transactions, self._creator)
        if self._me is not None:
            # The content may leave before it is durable here: it promises nothing, `Have` and the answer do.
            self._broadcast(Channel.BATCH, encode(BatchPush(raws)))
        self._pool.add(entry)
        self._persist(entry)

    # Arrival ---------------------------------------------------------------------------------------------------------

    def on_batch_frame(self, peer: bytes, payload: bytes) -> None:
        """A frame on the BATCH channel."""
        try:
            message = decode(BatchMessage, payload)  # type: ignore[arg-type]
        except DecodeError as error:
            self._links.punish(peer, Offence.MALFORMED, f"batch: {error}")
            return
        match message:
            case BatchPush(batch):
                creator = self._validators.get(peer)
                if creator is None:
                    self._links.punish(peer, Offence.UNSOLICITED, "only validators create batches")
                else:
                    self._take(peer, batch, creator)
            case BatchRequest(ids):
                self._serve(peer, ids)
            case BatchReply(batch):
                self._take(peer, batch, None)

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
        for wanted in have.ids:
            if not self._pool.held_by(wanted, validator) and wanted not in self._inside:
                self._fetch_later(wanted, peer)

    def _take(self, peer: bytes, batch: tuple[bytes, ...], creator: int | None) -> None:
        if sum(map(len, batch)) > BATCH_BYTES_MAX:
            self._links.punish(peer, Offence.OVERSIZE, "batch")
            return
        identity = batch_id(batch)
        if creator is None and identity not in self._fetches:
            return  # Not asked for, or here by now.
        if identity in self._pool or identity in self._inside:
            return
        if creator is not None and self._pool.was_removed(identity):
            return  # Final already: this push was slower than a quorum.
        self._inside.add(identity)
        self._enqueue(_Job(batch, lambda verdicts: self._taken(peer, identity, creator, verdicts)))
        if creator is not None and self._pool.creator_bytes(creator) > BATCHES_PER_CREATOR_BYTES_MAX:
            self._links.pause(peer, Channel.BATCH, paused=True)

    def _taken(self, peer: bytes, identity: bytes, creator: int | None, verdicts: list[Verified | Fault]) -> None:
        self._inside.discard(identity)
        bad = next((verdict for verdict in verdicts if isinstance(verdict, Fault)), None)
        if bad is not None:
            self._links.punish(peer, Offence.INVALID_BATCH, str(bad))
            return
        if identity in self._pool:
            return
        entry = make_entry(identity, [v for v in verdicts if isinstance(v, Verified)], creator)
        self._pool.add(entry)
        self._persist(entry)

    def reload(self, identity: bytes, transactions: Sequence[Verified]) -> None:
        """A batch that was durable before the restart."""
        if identity in self._pool:
            return
        self._pool.add(make_entry(identity, transactions, None))
        self._durable(identity)

    # Fetching --------------------------------------------------------------------------------------------------------

    def want(self, identity: bytes, sources: Iterable[bytes]) -> None:
        """Get a batch for a block; `ready` tells when it is durable.  A fetch survives the view change (J9)."""
        if identity in self._pool or identity in self._inside:
            return
        stored = self._stored_batch(identity)
        if stored is not None:
            entry = make_entry(identity, stored, None)
            entry.executed = True
            self._pool.add(entry)
            self._durable(identity)
            return
        fetch = self._fetches.setdefault(identity, _Fetch(deque()))
        for source in sources:
            if source not in fetch.sources:
                fetch.sources.appendleft(source)
        if fetch.timer is None or not fetch.sources:
            self._ask(identity)

    def _fetch_later(self, identity: bytes, peer: bytes) -> None:
        fetch = self._fetches.get(identity)
        if fetch is None:
            fetch = self._fetches[identity] = _Fetch(deque())
            fetch.timer = self._runtime.call_later(ADOPT_MS, lambda: self._ask(identity))
        if peer not in fetch.sources:
            fetch.sources.append(peer)

    def _ask(self, identity: bytes) -> None:
        fetch = self._fetches.get(identity)
        if fetch is None:
            return
        if fetch.timer is not None:
            fetch.timer.cancel()
        connected = self._links.connected()
        for _ in range(len(fetch.sources)):
            source = fetch.sources[0]
            fetch.sources.rotate(-1)
            if source in connected:
                self._links.send(source, Channel.BATCH, encode(BatchRequest((identity,))))
                break
        fetch.timer = self._runtime.call_later(FETCH_RETRY_MS, lambda: self._ask(identity))

    def give_up(self, identities: Iterable[bytes]) -> None:
        """These batches are final and stored, or nobody needs them any more."""
        for identity in identities:
            fetch = self._fetches.pop(identity, None)
            if fetch is not None and fetch.timer is not None:
                fetch.timer.cancel()

    def _serve(self, peer: bytes, ids: Sequence[bytes]) -> None:
        for identity in ids:
            entry = self._pool.ready(identity)
            transactions = entry.transactions if entry is not None else self._stored_batch(identity)
            if transactions is not None:
                raws = tuple(verified.raw for verified in transactions)
                self._links.send(peer, Channel.BATCH, encode(BatchReply(raws)))

    # Verification in slices ------------------------------------------------------------------------------------------

    def _enqueue(self, job: _Job) -> None:
        self._jobs.append(job)
        self.backlog += len(job.raws)
        if not self._verifying:
            self._verifying = True
            self._runtime.call_soon(self._verify_slice)

    def _verify_slice(self) -> None:
        """Verify about one slice: small jobs together in one call, a large one over several turns."""
        started = self._runtime.cpu_ns()
        room = SLICE
        parts: list[tuple[_Job, int]] = []
        raws: list[bytes] = []
        for job in self._jobs:
            begin = len(job.verdicts)
            take = min(room, len(job.raws) - begin)
            parts.append((job, take))
            raws.extend(job.raws[begin : begin + take])
            room -= take
            if room <= 0:
                break
        verdicts = self._verify(raws)
        self.backlog -= len(raws)
        self._stages.add("verify", self._runtime.cpu_ns() - started, len(raws))
        at = 0
        for job, taken in parts:
            job.verdicts.extend(verdicts[at : at + taken])
            at += taken
            if len(job.verdicts) == len(job.raws):
                self._jobs.popleft()
                job.finish(job.verdicts)
        self._verifying = bool(self._jobs)
        if self._verifying:
            self._runtime.call_soon(self._verify_slice)

    # Durability and announcement -------------------------------------------------------------------------------------

    def _persist(self, entry: Entry) -> None:
        self._unsynced.append(entry)
        if not self._syncing:
            self._sync()

    def _sync(self) -> None:
        """Group commit: everything that waits goes to disk with one sync."""
        self._syncing = True
        group, self._unsynced = self._unsynced, []

        def job() -> None:
            for entry in group:
                self._store.put(entry.id, encode(entry.raws), entry.expires_ms)
            self._store.sync()

        self._runtime.run_in_writer("batches", job, lambda result: self._synced(group, result))

    def _synced(self, group: list[Entry], result: object) -> None:
        if isinstance(result, BaseException):
            raise result
        self._syncing = False
        if self._unsynced:
            self._sync()
        for entry in group:
            self._durable(entry.id)
            if entry.creator == self._creator:
                self._acknowledge(entry)

    def _acknowledge(self, entry: Entry) -> None:
        """Whoever handed these in may be told: they are on disk here."""
        for verified in entry.transactions:
            for submission in self._owners.pop(verified.id, ()):
                submission.settle()
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
        if self._me is None or peer not in self._validators:
            return
        ids = [entry.id for entry in self._pool if entry.durable]
        for first in range(0, len(ids), IDS_MAX):
            self._links.send(peer, Channel.HAVE, encode(Have(tuple(ids[first : first + IDS_MAX]))))

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
            if entry.durable and not entry.executed:
                self._store.release(entry.id)
        for node, index in self._validators.items():
            if self._pool.creator_bytes(index) <= BATCHES_PER_CREATOR_BYTES_MAX // 2:
                self._links.pause(node, Channel.BATCH, paused=False)
        return removed
