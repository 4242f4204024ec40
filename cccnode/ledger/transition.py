"""What a final block does to the state: the one function behind live running, replay and sync.

Execution reads the committed state, the duplicate window and the block; it changes none of them and returns an
`Outcome`, so it can be sliced, repeated or dropped at any point (J16).  Each transaction is decided or skipped (J3),
and a decided one is refused (authority, no effect), fails (fee kept) or succeeds (J4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from cccnode.codec import encode
from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.ledger import module
from cccnode.ledger.module import CHARGED, Context
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import Overlay, StateView, Writes
from cccnode.ledger.window import Window
from cccnode.types.block import Header
from cccnode.types.errors import TX_FEE_TOO_LOW, TX_INSUFFICIENT_FEE_BALANCE, Fault
from cccnode.types.receipt import OK
from cccnode.types.transaction import Transaction, Verified
from cccnode.types.validators import EpochRecord

TRIAL_WRITES_MAX = 1_024
"""Written items of a trial that are encoded."""
_SEAL_UNITS = 4
"""Written items that cost about as much as executing one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a block."""

    height: int
    time_ms: int
    writes: Writes
    """Encoded changes by group and item; None deletes."""
    receipts: tuple[bytes, ...]
    """Encoded, in block order; at the end one with a zero tx_id if block-level rules emitted events."""
    receipts_root: bytes
    """RFC 6962 root over `receipts`."""
    decided: tuple[bytes, ...]
    """Ids of the decided transactions: receipt i belongs to decided[i].  For `Window.add` and the index."""
    codes: tuple[int, ...]
    """Receipt codes, parallel to `decided`."""
    skipped: int
    """Transactions of the block that were not decided: expired, too far ahead, or decided before."""
    fees: int
    """Summed fees, in base units of the fee asset."""
    flaws: tuple[Exception, ...] = ()
    """What rules raised by our own mistake: for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What transactions would do now: a look that changes nothing."""

    receipts: tuple[bytes, ...]
    """One for each that such a block would decide."""
    failure: Fault | None
    """Why the last one did not succeed, with its values, when a handler or the authority said so."""
    writes: Writes
    """As in `Outcome`, at most `TRIAL_WRITES_MAX` items."""


class _Phase(Enum):
    TRANSACTIONS = auto()
    END_BLOCK = auto()
    WRITES = auto()
    ROOT = auto()
    DONE = auto()


class Execution:
    """A block being executed: call `step` until it returns False, then `finish`."""

    def __init__(
        self,
        registry: Registry,
        view: StateView,
        window: Window,
        header: Header,
        transactions: Sequence[Verified],
        record: EpochRecord | None = None,
        *,
        overlay: Callable[[StateView], Overlay] = Overlay,
    ) -> None:
        """Begin.  `transactions` are those of the block's batches, joined in the order of the body.

        `record` is the epoch record that the header names; another `overlay` may watch what is written.
        """
        self._registry = registry
        self._window = window
        self._transactions = transactions
        self._state = overlay(view)
        self._context = Context(
            self._state,
            header.height,
            header.time_ms,
            registry.module_accounts,
            header=header,
            record=record,
            city=registry,
        )
        self._fee_module, self._authority, self._handlers = registry.fees, registry.authority, registry.handlers
        self._exits = registry.exits
        self._schedule = registry.fees.schedule(self._state)
        self._phase = _Phase.TRANSACTIONS
        self._next = 0
        self._receipts: list[bytes] = []
        self._root = merkle.EMPTY_ROOT
        self._decided: dict[bytes, int] = {}
        self._fees = 0
        self._charged = 0
        self._writes: Writes = {}
        self._collected = 0
        self._failure: Fault | None = None

    def trial(self) -> Trial:
        """What the transactions alone would do, without the rules at the end of a block; then drop the execution."""
        while self._phase is _Phase.TRANSACTIONS:
            self.step()
        writes: Writes = {}
        self._state.collect(writes, 0, TRIAL_WRITES_MAX)
        return Trial(receipts=tuple(self._receipts), failure=self._failure, writes=writes)

    def step(self, units: int = 256) -> bool:
        """Do about `units` transactions' worth of work (256 take about 2 ms); False when nothing is left."""
        match self._phase:
            case _Phase.TRANSACTIONS:
                self._run_transactions(units)
            case _Phase.END_BLOCK:
                self._end_block()
            case _Phase.WRITES:
                self._collect_writes(units * _SEAL_UNITS)
            case _Phase.ROOT:
                self._hash_receipts()
            case _Phase.DONE:
                pass
        return self._phase is not _Phase.DONE

    def finish(self) -> Outcome:
        """The outcome; does whatever work is left."""
        while self.step():
            pass
        return Outcome(
            height=self._context.height,
            time_ms=self._context.time_ms,
            writes=self._writes,
            receipts=tuple(self._receipts),
            receipts_root=self._root,
            decided=tuple(self._decided),
            codes=tuple(self._decided.values()),
            skipped=len(self._transactions) - len(self._decided),
            fees=self._fees,
            flaws=tuple(self._context.flaws),
        )

    def _run_transactions(self, count: int) -> None:
        now, transactions = self._context.time_ms, self._transactions
        horizon = now + self._window.lifetime_ms
        decided, earlier = self._decided, self._window.ids
        stop = min(self._next + count, len(transactions))
        for verified in transactions[self._next : stop]:
            if not now < verified.transaction.valid_until_ms <= horizon:
                continue
            tx_id = verified.id
            if tx_id in decided or tx_id in earlier:
                continue
            decided[tx_id] = self._decide(verified)
        self._next = stop
        if stop == len(transactions):
            self._phase = _Phase.END_BLOCK

    def _decide(self, verified: Verified) -> int:
        """Authority, fee, messages (J4); exactly one receipt whatever happens, whose code is returned."""
        context, state, transaction = self._context, self._state, verified.transaction
        context.account = account = transaction.account
        context.events = []
        fee = 0
        refused = self._authority.refusal(state, transaction, self._exits)
        if refused is not None:
            self._failure = refused
            code = refused.spec.code
        elif self._authority.is_application(transaction):
            code = self._run_messages(transaction.messages)
        elif (due := self._schedule.fee(len(verified.raw))) > transaction.fee_max:
            code = TX_FEE_TOO_LOW.code
        elif transaction.fee_payer is None and not self._schedule.relief:
            fee = self._fee_module.charge(state, self._schedule, account, due)
            code = self._run_paid(transaction, fee, due)
        else:
            settled = self._settle(transaction, due)
            if isinstance(settled, Fault):
                self._failure = settled
                code = settled.spec.code
            else:
                fee, due = settled
                code = self._run_paid(transaction, fee, due)
        # The fields of a `Receipt`; encoding them needs none.
        self._receipts.append(encode((verified.id, code, fee, context.events)))
        return code

    def _settle(self, transaction: Transaction[Any], due: int) -> tuple[int, int] | Fault:
        """Take the fee where another account may pay it, or nobody."""
        payer, account, now = transaction.fee_payer, transaction.account, self._context.time_ms
        sponsored = payer is not None and payer != account and self._authority.sponsored(self._state, transaction)
        return self._fee_module.settle(self._state, self._schedule, transaction, due, now, sponsored=sponsored)

    def _run_paid(self, transaction: Transaction[Any], fee: int, due: int) -> int:
        """Keep what was taken, and carry the messages out if it was enough; the receipt's code."""
        self._state.commit()
        self._fees += fee
        self._charged += fee > 0
        return self._run_messages(transaction.messages) if fee == due else TX_INSUFFICIENT_FEE_BALANCE.code

    def _run_messages(self, messages: tuple[object, ...]) -> int:
        """All messages or none: the code of the first that fails, or OK."""
        handlers, context = self._handlers, self._context
        try:
            for message in messages:
                handlers[type(message)](context, message)  # type: ignore[index]
        except module.FAILURES as failure:
            self._state.rollback()
            self._failure = context.failed(failure)
            context.events = []
            return self._failure.spec.code
        self._state.commit()
        return OK

    def _end_block(self) -> None:
        """Block-level rules, in the order of the modules; their events get a receipt of their own."""
        context = self._context
        self._fee_module.collect(self._state, self._schedule, self._fees)
        context.account, context.events = b"", []
        context.counters[CHARGED] = self._charged
        for one in self._registry.modules:
            if one.end_block is not None:
                one.end_block(context)
                self._state.commit()
        for one in self._registry.modules:
            if one.close_block is not None:
                one.close_block(context)
                self._state.commit()
        if context.events:
            self._receipts.append(encode((ZERO, OK, 0, context.events)))
        self._phase = _Phase.WRITES

    def _collect_writes(self, count: int) -> None:
        stop = self._collected + count
        self._collected = self._state.collect(self._writes, self._collected, count)
        if self._collected < stop:
            self._phase = _Phase.ROOT

    def _hash_receipts(self) -> None:
        """The root over the receipts: two milliseconds for a full block, where the kernel is native."""
        self._root = merkle.root(self._receipts)
        self._phase = _Phase.DONE


def apply_block(
    registry: Registry, view: StateView, window: Window, header: Header, transactions: Sequence[Verified]
) -> Outcome:
    """Execute a block in one go."""
    return Execution(registry, view, window, header, transactions).finish()
