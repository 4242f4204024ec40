"""What waits: admitted transactions until a block decides them or their deadline passes.

Pure: the caller gives the clock, the applied state and the duplicate window.  Every refusal is named (J7).  A
transaction stays here after it went into a batch, because its fee stays reserved until it is decided or expired.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from msgspec import Struct

from cccnode.ledger.fees import FeeSchedule
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import Overlay, StateView
from cccnode.ledger.window import Window
from cccnode.types.addresses import ACCOUNT_BYTES
from cccnode.types.errors import (
    POOL_APPLICATIONS,
    POOL_FULL,
    POOL_PAYER_LIMIT,
    POOL_PENDING,
    TX_DUPLICATE,
    TX_EXPIRED,
    TX_EXPIRY_TOO_FAR,
    TX_FEE_TOO_LOW,
    TX_INSUFFICIENT_FEE_BALANCE,
    Fault,
    fault,
)
from cccnode.types.limits import (
    ADMISSION_MARGIN_MS,
    APPLICATIONS_PENDING_MAX,
    BATCH_BYTES_MAX,
    BATCH_TXS_MAX,
    BLOCK_WEIGHT_MAX,
    MEMPOOL_BYTES_MAX,
    MEMPOOL_TXS_MAX,
    PENDING_PER_PAYER_MAX,
)
from cccnode.types.transaction import Transaction, Verified

Status = Literal["admitted", "batched"]
READS_MAX: Final = 4_096
"""Admissions that share decoded state: bounds what a flood makes this node remember while no block comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Bounds of one node's mempool: local, so they may differ between nodes."""

    transactions: int = MEMPOOL_TXS_MAX
    size: int = MEMPOOL_BYTES_MAX
    per_payer: int = PENDING_PER_PAYER_MAX
    applications: int = APPLICATIONS_PENDING_MAX


class _Entry(Struct, gc=False):
    """One transaction that is here, or was: `forget` does not look for it in its payer's queue."""

    verified: Verified
    payer: bytes
    fee: int
    """What is reserved against the payer's balance."""
    application: bool
    status: Status | None = "admitted"
    """None once it is not here any more."""


class _Payer(Struct, gc=False):
    """What one fee payer has waiting.  Here as long as it has anything, or a turn."""

    address: bytes
    """The payer; of a sponsor who did not sign, with the account that he pays for behind it."""
    count: int = 0
    fees: int = 0
    """Summed fee_max of all of them: reserved against the balance."""
    queue: list[_Entry] = []
    """Those not yet in a batch, oldest first; may hold such as are gone, which `take` passes over."""
    turn: bool = False
    """Whether it stands among the turns."""


class Mempool:
    """The waiting room of one node."""

    def __init__(self, registry: Registry, caps: Caps | None = None) -> None:
        """An empty mempool."""
        self._registry = registry
        self._caps = caps or Caps()
        self._entries: dict[bytes, _Entry] = {}
        self._payers: dict[bytes, _Payer] = {}
        self._lent: dict[bytes, int] = {}
        """Summed fee_max of what waits at a sponsor's cost."""
        self._turns: deque[_Payer] = deque()
        """Payers that may have something to batch, in the order of their turns, none twice."""
        self._seconds: list[int] = []
        """Heap of the seconds in which a deadline lies."""
        self._deadlines: dict[int, dict[bytes, None]] = {}
        """Ids by the second of their deadline, so that a decided one can be dropped at once."""
        self._size = 0
        self._waiting = 0
        self._applications = 0
        self._state: Overlay | None = None
        self._seen: StateView | None = None
        self._schedule: FeeSchedule | None = None
        """Of the state that was read last."""
        self._reads = 0

    def __len__(self) -> int:
        """How many transactions are here, batched ones included."""
        return len(self._entries)

    @property
    def waiting(self) -> int:
        """How many are not yet in a batch."""
        return self._waiting

    @property
    def size(self) -> int:
        """Their bytes, batched ones included."""
        return self._size

    def status(self, tx_id: bytes) -> Status | None:
        """`admitted` or `batched`, or None when it is not here."""
        entry = self._entries.get(tx_id)
        return None if entry is None else entry.status

    def admit(self, verified: Verified, *, wall_ms: int, view: StateView, window: Window) -> Fault | None:
        """Take a transaction in, or say why not; `view` is the applied state."""
        transaction = verified.transaction
        application = self._registry.authority.is_application(transaction)
        address = self._purse(transaction, view)
        payer = self._payers.get(address)
        refused = self._refused(verified, payer, wall_ms, view, window, application=application)
        if refused is None:
            self._insert(verified, payer or self._open(address), application=application)
        return refused

    def check(self, verified: Verified, *, wall_ms: int, view: StateView, window: Window) -> Fault | None:
        """What `admit` would say, without taking it in."""
        transaction = verified.transaction
        application = self._registry.authority.is_application(transaction)
        payer = self._payers.get(self._purse(transaction, view))
        return self._refused(verified, payer, wall_ms, view, window, application=application)

    def _purse(self, transaction: Transaction[Any], view: StateView) -> bytes:
        """On whose account a transaction waits: its payer, or payer and account together where the payer did not sign.

        So nobody fills the queue of his sponsor, who only granted him fees.
        """
        payer = transaction.fee_payer
        if payer is None or payer == transaction.account:
            return transaction.account
        sponsored = self._registry.authority.sponsored(self._read(view), transaction)
        return payer + transaction.account if sponsored else payer

    def _refused(
        self,
        verified: Verified,
        payer: _Payer | None,
        wall_ms: int,
        view: StateView,
        window: Window,
        *,
        application: bool,
    ) -> Fault | None:
        return (
            self._refused_by_time(verified, wall_ms, window)
            or self._refused_by_room(verified, payer, application=application)
            or self._refused_by_text(verified)
            or self._refused_by_state(verified, payer, view, wall_ms, application=application)
        )

    def _refused_by_time(self, verified: Verified, wall_ms: int, window: Window) -> Fault | None:
        deadline = verified.transaction.valid_until_ms
        if verified.id in self._entries:
            return fault(POOL_PENDING, tx_id=verified.id)
        decided = window.find(verified.id)
        if decided is not None:
            return fault(TX_DUPLICATE, tx_id=verified.id, height=decided.height)
        if deadline <= wall_ms:
            return fault(TX_EXPIRED, valid_until_ms=deadline, now_ms=wall_ms)
        latest = wall_ms + window.lifetime_ms - min(ADMISSION_MARGIN_MS, window.lifetime_ms // 10)
        if deadline > latest:
            return fault(TX_EXPIRY_TOO_FAR, valid_until_ms=deadline, latest_ms=latest)
        return None

    def _refused_by_room(self, verified: Verified, payer: _Payer | None, *, application: bool) -> Fault | None:
        caps = self._caps
        if len(self._entries) >= caps.transactions or self._size + len(verified.raw) > caps.size:
            return fault(POOL_FULL, transactions=len(self._entries), bytes=self._size)
        if application:
            if self._applications >= caps.applications:
                return fault(POOL_APPLICATIONS, waiting=self._applications)
            return None
        if payer is not None and payer.count >= caps.per_payer:
            return fault(POOL_PAYER_LIMIT, payer=payer.address, limit=caps.per_payer)
        return None

    def _refused_by_text(self, verified: Verified) -> Fault | None:
        """Personal data does not enter: a final block would keep it for ever."""
        texts = self._registry.texts
        for message in verified.transaction.messages:
            check = texts.get(type(message))
            if check is not None:
                try:
                    check(message)
                except Fault as refused:
                    return refused
        return None

    def _refused_by_state(
        self, verified: Verified, payer: _Payer | None, view: StateView, wall_ms: int, *, application: bool
    ) -> Fault | None:
        registry, transaction = self._registry, verified.transaction
        state = self._read(view)
        refused = registry.authority.refusal(state, transaction, registry.exits)
        if refused is not None or application:
            return refused
        schedule = self._schedule or registry.fees.schedule(state)
        self._schedule = schedule
        fee = schedule.fee(len(verified.raw))
        if transaction.fee_max < fee:
            return fault(TX_FEE_TOO_LOW, fee=fee, fee_max=transaction.fee_max)
        if transaction.fee_payer is not None or schedule.relief:
            return self._short(transaction, payer, state, schedule, fee, wall_ms)
        address = transaction.account
        needed = transaction.fee_max + (payer.fees if payer is not None else 0)
        available = registry.fees.available(state, schedule, address)
        if available < needed:
            return fault(TX_INSUFFICIENT_FEE_BALANCE, payer=address, available=available, needed=needed)
        return None

    def _short(
        self,
        transaction: Transaction[Any],
        payer: _Payer | None,
        state: Overlay,
        schedule: FeeSchedule,
        fee: int,
        wall_ms: int,
    ) -> Fault | None:
        """Where another account pays or fees are relieved, the module that holds the money knows whether they suffice.

        A sponsor's purse covers what all his accounts have waiting here, beside his own.
        """
        sponsor, account = transaction.fee_payer, transaction.account
        sponsored = (
            sponsor is not None and sponsor != account and self._registry.authority.sponsored(state, transaction)
        )
        reserved, ahead = (payer.fees, payer.count) if payer is not None else (0, 0)
        fees = self._registry.fees
        if sponsored and sponsor is not None:
            own = self._payers.get(sponsor)
            beside = self._lent.get(sponsor, 0) + (own.fees if own is not None else 0)
            needed, available = transaction.fee_max + beside, fees.available(state, schedule, sponsor)
            if available < needed:
                return fault(TX_INSUFFICIENT_FEE_BALANCE, payer=sponsor, available=available, needed=needed)
        return fees.shortfall(
            state, schedule, transaction, fee, wall_ms, sponsored=sponsored, reserved=reserved, ahead=ahead
        )

    def _read(self, view: StateView) -> Overlay:
        """Decoded values of the applied state, kept from one admission to the next; `forget` ends that."""
        if self._state is None or self._seen is not view or self._reads == READS_MAX:
            self._state, self._seen, self._reads = Overlay(view), view, 0
            self._schedule = None
        self._reads += 1
        return self._state

    def _open(self, address: bytes) -> _Payer:
        payer = self._payers[address] = _Payer(address)
        return payer

    def _insert(self, verified: Verified, payer: _Payer, *, application: bool) -> None:
        transaction, tx_id = verified.transaction, verified.id
        fee = 0 if application else transaction.fee_max
        entry = self._entries[tx_id] = _Entry(verified, payer.address, fee, application)
        payer.count += 1
        payer.fees += fee
        if len(payer.address) > ACCOUNT_BYTES:
            sponsor = payer.address[:ACCOUNT_BYTES]
            self._lent[sponsor] = self._lent.get(sponsor, 0) + fee
        payer.queue.append(entry)
        if not payer.turn:
            payer.turn = True
            self._turns.append(payer)
        second = transaction.valid_until_ms // 1000
        due = self._deadlines.get(second)
        if due is None:
            heapq.heappush(self._seconds, second)
            due = self._deadlines[second] = {}
        due[tx_id] = None
        self._size += len(verified.raw)
        self._waiting += 1
        self._applications += application

    def take(
        self,
        max_txs: int = BATCH_TXS_MAX,
        max_bytes: int = BATCH_BYTES_MAX,
        max_weight: int = BLOCK_WEIGHT_MAX,
    ) -> list[Verified]:
        """The next batch: one transaction per payer in turn, each payer's oldest first; they become `batched`.

        Stops at the first that does not fit, so that a large one is never overtaken for ever.
        """
        taken: list[Verified] = []
        turns = self._turns
        while turns and len(taken) < max_txs:
            payer = turns[0]
            queue = payer.queue
            while queue and queue[0].status is None:
                del queue[0]
            if queue:
                verified = queue[0].verified
                max_bytes -= len(verified.raw)
                max_weight -= verified.weight
                if max_bytes < 0 or max_weight < 0:
                    break
                queue.pop(0).status = "batched"
                taken.append(verified)
            turns.popleft()
            if queue:
                turns.append(payer)
            else:
                payer.turn = False
                self._close(payer)
        self._waiting -= len(taken)
        return taken

    def forget(self, ids: Iterable[bytes]) -> None:
        """Drop decided transactions: their fees are no longer reserved.  Unknown ids are ignored.

        Call it after every executed block, also with no ids: what was read of the state before counts no more.
        """
        self._state = None
        for tx_id in ids:
            entry = self._entries.pop(tx_id, None)
            if entry is not None:
                self._release(entry)

    def expire(self, time_ms: int) -> list[bytes]:
        """Drop what no block after a final block of `time_ms` can decide any more; return the ids (J6)."""
        expired: list[bytes] = []
        while self._seconds and self._seconds[0] <= time_ms // 1000:
            ids = self._deadlines[self._seconds[0]]
            due = [tx_id for tx_id in ids if self._entries[tx_id].verified.transaction.valid_until_ms <= time_ms]
            expired += due
            self.forget(due)
            if ids:
                break
            del self._deadlines[heapq.heappop(self._seconds)]
        return expired

    def _release(self, entry: _Entry) -> None:
        verified, payer = entry.verified, self._payers[entry.payer]
        payer.count -= 1
        payer.fees -= entry.fee
        if len(payer.address) > ACCOUNT_BYTES:
            self._return(payer.address[:ACCOUNT_BYTES], entry.fee)
        self._close(payer)
        del self._deadlines[verified.transaction.valid_until_ms // 1000][verified.id]
        self._size -= len(verified.raw)
        self._waiting -= entry.status == "admitted"
        self._applications -= entry.application
        entry.status = None

    def _return(self, sponsor: bytes, fee: int) -> None:
        left = self._lent.pop(sponsor, 0) - fee
        if left:
            self._lent[sponsor] = left

    def _close(self, payer: _Payer) -> None:
        """Forget a payer that has nothing here and no turn."""
        if not payer.count and not payer.turn:
            del self._payers[payer.address]
