"""A node without a network: the RPC's backend for tests of rpc, client and CLI.

It knows one small module, `pocket`, keeps submitted transactions in memory and decides them when told to.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cccnode import codec
from cccnode.codec import Noun
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.merkle import Branch
from cccnode.crypto.proofs import StateProof
from cccnode.crypto.signing import SigningKey
from cccnode.doctor.observation import Observation
from cccnode.ledger.module import Context, Message, Module, Query
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import DictState, Reader
from cccnode.rpc.backend import (
    DECIDED,
    AccountHistory,
    Check,
    Phase,
    Place,
    Reason,
    Results,
    Simulated,
    Status,
    StoredTransaction,
    Submitted,
    TxStatus,
    ValidatorStatus,
)
from cccnode.telemetry import Metrics
from cccnode.types import errors
from cccnode.types.block import FinalBlock, Header, block_id
from cccnode.types.certificate import make_certificate
from cccnode.types.errors import NO_HISTORY, ErrorSpec, Fault, fault
from cccnode.types.finality import Anchor, EpochLink, Past
from cccnode.types.promise import Promise, make_promise
from cccnode.types.proofs import EventsProof, GroupProof, HistoryProof, Result, TransactionProof
from cccnode.types.receipt import OK, Receipt
from cccnode.types.scalars import AccountId, Amount, AssetId
from cccnode.types.transaction import account_id, sign_transaction, signed_part, transaction_id
from cccnode.types.validators import EpochRecord, Limits, Timers, Validator
from cccnode.types.vote import Contradiction, Kind, Proposal
from p2p.peers import DialInfo, Direction, PeerInfo
from tests.doctor.support import World

CHAIN = bytes(range(32))
NOW_MS = 1_800_000_000_000
KEY = SigningKey(bytes(31) + b"\x01")
ACCOUNT = account_id(KEY.public_key)
OTHER = account_id(SigningKey(bytes(31) + b"\x02").public_key)

POCKET_EMPTY = ErrorSpec(9001, "pocket/EMPTY", "The pocket is empty.", "กระเป๋าว่าง", "Fill it.", "เติมเงิน")
TOO_FAR = errors.TX_EXPIRY_TOO_FAR


class PocketPay(Noun, tag=9 << 8 | 1, frozen=True, array_like=True, gc=False):
    """Pay somebody."""

    to: AccountId
    asset: AssetId
    amount: Amount


class PocketOf(Noun, frozen=True, array_like=True, gc=False):
    """Whose pocket."""

    account: AccountId
    asset: AssetId = "uccc"


class Pocket(Noun, frozen=True, array_like=True, gc=False):
    """What is in it."""

    account: AccountId
    amount: Amount


def _pocket(state: Reader, params: PocketOf) -> Pocket:
    amount = state.get(b"pocket/" + params.account, params.asset.encode(), int)
    if amount is None:
        raise fault(errors.NOT_FOUND, account=params.account)
    return Pocket(params.account, amount)


def _pay(_context: Context, _message: PocketPay) -> None:
    raise AssertionError("the fake node executes nothing")


POCKET = Module(
    number=9,
    name="pocket",
    messages=(
        Message(
            kind=PocketPay,
            handle=_pay,
            verb="pay",
            positional=("to", "amount"),
            defaults=(("asset", "uccc"),),
            en="Pay somebody.",
            th="จ่ายเงิน",
        ),
    ),
    queries=(
        Query(
            method="pocket_content",
            params=PocketOf,
            result=Pocket,
            answer=_pocket,
            en="What is in it.",
            th="ยอดในกระเป๋า",
        ),
    ),
    errors=(POCKET_EMPTY,),
)


class _Nobody:
    """Authority and fees that are never asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not part of this test")


def pocket_registry() -> Registry:
    """The registry of a city with one module."""
    return Registry([POCKET], authority=_Nobody(), fees=_Nobody())


def header(height: int = 1, **changes: Any) -> Header:
    """A header in which only what a test names matters."""
    fields: dict[str, Any] = {
        "version": 1,
        "chain": CHAIN,
        "epoch": 0,
        "view": height,
        "height": height,
        "parent": ZERO,
        "parent_view": height - 1,
        "time_ms": NOW_MS + height,
        "proposer": 0,
        "body_root": ZERO,
        "tx_count": 0,
        "body_bytes": 0,
        "exec_height": height - 1,
        "state_root": ZERO,
        "results_root": ZERO,
        "history_root": ZERO,
        "epoch_record_hash": ZERO,
        "next_epoch_record_hash": ZERO,
        "extra_hash": ZERO,
    }
    return Header(**{**fields, **changes})


def payment(*, amount: int = 5, salt: int = 0, valid_until_ms: int = NOW_MS + 60_000) -> tuple[bytes, bytes]:
    """(id, bytes) of a signed payment."""
    return sign_transaction(
        chain=CHAIN,
        account=ACCOUNT,
        valid_until_ms=valid_until_ms,
        salt=salt.to_bytes(8, "big"),
        fee_max=1000,
        messages=[PocketPay(OTHER, "uccc", amount)],
        keys=[KEY],
    )


def status(**changes: Any) -> Status:
    """The status of a healthy validator at height 7."""
    validators = [
        ValidatorStatus(index=i, organisation=f"org{i}", consensus_key=bytes([i]) * 32, reachable=True, executed=7)
        for i in range(4)
    ]
    healthy = Status(
        chain=CHAIN,
        chain_name="fake",
        node_key=bytes(32),
        organisation="org0",
        validator=0,
        state="validating",
        height=7,
        final_height=8,
        epoch=0,
        view=9,
        leader=1,
        block_id=bytes(32),
        time_ms=NOW_MS,
        state_root=bytes(32),
        validators=validators,
        peers=3,
        behind=0,
        mempool=0,
    )
    return replace(healthy, **changes)


@dataclass
class FakeNode:
    """A backend whose answers a test can set."""

    registry: Registry = field(default_factory=pocket_registry)
    metrics: Metrics = field(default_factory=Metrics)
    state_now: DictState = field(default_factory=DictState)
    status_now: Status = field(default_factory=status)
    observed: Observation = field(default_factory=lambda: World().observe(0))
    checks: list[Check] = field(default_factory=lambda: [Check(name="disk"), Check(name="peers")])
    known: dict[bytes, TxStatus] = field(default_factory=dict)
    stored: dict[bytes, StoredTransaction] = field(default_factory=dict)
    history: dict[bytes, list[tuple[Place, bytes]]] | None = None
    raws: list[bytes] = field(default_factory=list)
    refuse: dict[bytes, Fault] = field(default_factory=dict)
    """Raw bytes to refuse, with the reason."""
    broken: Exception | None = None
    """Raised by status(): our own bug."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    told: dict[int, list[bytes]] = field(default_factory=dict)
    """Receipts by height, instead of the one that every block has."""
    kept_from: int = 0
    """No receipts below this height."""
    applied: asyncio.Event = field(default_factory=asyncio.Event)
    decide_at_once: bool = False
    """Execute every transaction as soon as it is submitted."""

    async def submit(self, raws: Sequence[bytes]) -> Sequence[Submitted]:
        return [self._submit(raw) for raw in raws]

    def _submit(self, raw: bytes) -> Submitted:
        if raw in self.refuse:
            return b"", self.refuse[raw]
        try:
            transaction = self.registry.decode(raw)
        except Fault as error:
            return b"", error
        tx_id = transaction_id(signed_part(raw, len(transaction.signatures)))
        if transaction.valid_until_ms > NOW_MS * 2:
            return tx_id, fault(TOO_FAR, valid_until_ms=transaction.valid_until_ms)
        self.raws.append(raw)
        self.known.setdefault(tx_id, TxStatus(phase=Phase.BATCHED))
        if self.decide_at_once:
            self.decide(tx_id, raw)
        return tx_id, None

    def promise(self, tx_id: bytes) -> Promise | None:
        if tx_id in self.known and self.known[tx_id].phase in DECIDED:
            return None
        return make_promise(SigningKey(bytes(32)).sign, chain=bytes(32), tx_id=tx_id, after=7, by=9, node_key=bytes(32))

    def check(self, raw: bytes) -> Submitted:
        before = len(self.raws)
        answer = self._submit(raw)
        del self.raws[before:]
        return answer

    def simulate(self, raw: bytes) -> Simulated:
        tx_id, refusal = self.check(raw)
        if not tx_id:
            raise refusal
        receipt = None if refusal else codec.encode(Receipt(tx_id, POCKET_EMPTY.code, 1000, ()))
        writes = {b"pocket": {b"uccc": b"\x05", b"gone": None}}
        return Simulated(tx_id=tx_id, height=8, time_ms=NOW_MS, receipt=receipt, failure=refusal, writes=writes)

    def decide(self, tx_id: bytes, raw: bytes, code: int = OK) -> None:
        """Execute a transaction in block 7 with this outcome."""
        self.known[tx_id] = TxStatus(phase=Phase.EXECUTED, height=7, position=0, code=code)
        receipt = codec.encode(Receipt(tx_id, code, 1000, (("pocket", "paid", 5, OTHER),)))
        self.stored[tx_id] = StoredTransaction(raw=raw, height=7, position=0, receipt=receipt, header=header(7))
        self.changed.set()

    async def wait(self, tx_id: bytes, valid_until_ms: int | None, timeout_ms: int) -> TxStatus:
        while (known := self.tx_status(tx_id, valid_until_ms)).phase not in DECIDED and timeout_ms:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), timeout_ms / 1000)
            except TimeoutError:
                break
        return known

    def tx_status(self, tx_id: bytes, valid_until_ms: int | None) -> TxStatus:
        known = self.known.get(tx_id)
        if known is None and valid_until_ms is not None and valid_until_ms <= self.status_now.time_ms:
            return TxStatus(phase=Phase.EXPIRED)
        return known or TxStatus(phase=Phase.UNKNOWN)

    def transaction(self, tx_id: bytes) -> StoredTransaction | None:
        return self.stored.get(tx_id)

    def account_history(self, account: bytes, before: Place | None, limit: int) -> AccountHistory:
        if self.history is None:
            raise fault(NO_HISTORY)
        entries = [entry for entry in self.history.get(account, []) if before is None or entry[0] < before]
        return AccountHistory(entries=entries[:limit], first_height=1, last_height=self.status_now.height)

    def status(self) -> Status:
        if self.broken is not None:
            raise self.broken
        return self.status_now

    def header(self, height: int) -> Header | None:
        return header(height) if 0 < height <= self.status_now.height else None

    def block(self, height: int) -> FinalBlock | None:
        if not 0 < height <= self.status_now.height:
            return None
        proposal = Proposal(height, height - 1, height, block_id(header(height)))
        certificate = make_certificate(Kind.FINALIZE, proposal, {i: bytes(64) for i in range(3)}, 4)
        return FinalBlock(header(height), ((payment()[1],),), certificate, ())

    def receipts(self, height: int) -> Sequence[bytes] | None:
        if not 0 < height <= self.status_now.height:
            return None
        if height < self.kept_from:
            raise fault(errors.PRUNED, height=height, earliest=self.kept_from)
        if height in self.told:
            return self.told[height]
        return [codec.encode(Receipt(payment()[0], POCKET_EMPTY.code, 1000, ()))]

    def applied_height(self) -> int:
        return self.status_now.height

    def receipts_from(self) -> int:
        return self.kept_from

    async def wait_applied(self, height: int, timeout_ms: int) -> int:
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while self.status_now.height <= height:
                    await self.applied.wait()
        except TimeoutError:
            pass
        return self.status_now.height

    def tell(self, *events: tuple[Any, ...]) -> int:
        """Execute a block in which each of these events has a transaction of its own."""
        height = self.status_now.height + 1
        self.told[height] = [
            codec.encode(Receipt(height.to_bytes(16, "big") + bytes(12) + i.to_bytes(4, "big"), OK, 1000, (event,)))
            for i, event in enumerate(events)
        ]
        self.status_now = replace(self.status_now, height=height)
        self.applied.set()
        self.applied = asyncio.Event()
        return height

    def record(self) -> EpochRecord:
        members = tuple(Validator(f"org{i}", bytes([i]) * 32, (bytes([i + 8]) * 32,)) for i in range(4))
        return EpochRecord(0, members, Limits(), Timers(), ())

    def state(self) -> DictState:
        return self.state_now

    async def prove_group(self, group: bytes, height: int | None, wait_ms: int) -> GroupProof:
        if height not in {None, 7}:
            raise fault(errors.NOT_PROVABLE, height=height, provable=7)
        return GroupProof(group, StateProof(((b"item", b"value"),), (), (), (ZERO,) * 16), self._result(7))

    async def prove_transaction(self, tx_id: bytes, wait_ms: int) -> TransactionProof:
        stored = self.stored.get(tx_id)
        if stored is None:
            raise fault(errors.NOT_FOUND, tx_id=tx_id)
        nothing = Branch(0, ())
        past = Past(stored.header, ())
        return TransactionProof(stored.raw, nothing, nothing, past, stored.receipt, nothing, self._result(7))

    async def prove_events(self, height: int, wait_ms: int) -> EventsProof:
        receipts = self.receipts(height)
        if receipts is None:
            raise fault(errors.NOT_FOUND, height=height)
        return EventsProof(tuple(receipts), Past(header(height), ()), self._result(height))

    def epoch_ends(self, first: int, count: int) -> Sequence[EpochLink]:
        return [EpochLink(self.newest_anchor(), self.record())][first : first + count]

    def newest_anchor(self) -> Anchor | None:
        block = self.block(self.status_now.height)
        return None if block is None else Anchor(block.header, block.certificate)

    def prove_history(self, height: int, anchor: Anchor) -> HistoryProof | None:
        return None if height >= anchor.header.height else HistoryProof(Past(header(height), ()), (), anchor)

    def _result(self, height: int) -> Result:
        return Result(height, ZERO, ZERO, (), self.newest_anchor())

    def results(self, height: int) -> Results | None:
        if height > self.status_now.height:
            return None
        return Results(height=height, block_id=ZERO, state_root=ZERO, receipts_root=ZERO, results_root=ZERO)

    def state_nodes(self, level: int, first: int, count: int) -> tuple[int, bytes]:
        return self.status_now.height, bytes(32) * count

    def state_bucket(self, bucket: int) -> tuple[int, dict[bytes, bytes]]:
        return self.status_now.height, {b"pocket/%d" % n: bytes([n]) * 32 for n in range(4)}

    def state_group(self, group: bytes) -> tuple[int, dict[bytes, bytes]]:
        return self.status_now.height, {b"uccc": b"\x05"}

    def peers(self) -> Sequence[PeerInfo]:
        return [
            PeerInfo(
                node_key=bytes([9]) * 32,
                organisation="org1",
                validator=True,
                address="127.0.0.1:27610",
                direction=Direction.OUT,
                rtt_ms=1,
                clock_skew_ms=-2,
                height=8,
                queued_bytes=0,
                connected_ms=5000,
                paused=(),
                listen="127.0.0.1:27610",
            )
        ]

    def dials(self) -> Sequence[DialInfo]:
        return [
            DialInfo(
                node_key=bytes([10]) * 32,
                organisation="org2",
                validator=True,
                addresses=("127.0.0.1:27620",),
                attempts=3,
                last_fault=fault(errors.NODE_UNREGISTERED, node=bytes(32)),
                next_try_ms=800,
            )
        ]

    def evidence(self) -> Sequence[Contradiction]:
        return []

    def readiness(self) -> Sequence[Check]:
        return self.checks

    def observe(self) -> Observation:
        return self.observed


def failed_check(name: str, spec: ErrorSpec, **values: object) -> Check:
    """A readiness check that fails."""
    return Check(name=name, failed=Reason(spec=spec, values=values))
