"""The method table: name, typed parameters, what it does.  Core methods here; modules add theirs through the registry.

A handler gets the backend and its checked parameters and returns JSON values made by the writers of `values`; it raises
`Fault` for everything expected.  Reads see the last applied height.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from cccnode.codec import encode
from cccnode.crypto.hashing import ZERO
from cccnode.doctor.judging import diagnose
from cccnode.doctor.observation import Observation
from cccnode.ledger.module import Query
from cccnode.ledger.receipts import decode_receipt
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import Overlay
from cccnode.rpc import comparing, envelopes, events, proving, trying
from cccnode.rpc.backend import Backend, Place, SnapshotProgress, Status, TxStatus
from cccnode.rpc.envelopes import ready
from cccnode.rpc.values import Json, decimal_text, hex_text, reader, writer
from cccnode.rpc.writing import header_json, joined_block_json, receipt_json, transaction_json, tx_status_json
from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from cccnode.types.limits import RPC_BATCH_MAX, TX_BYTES_MAX
from cccnode.types.scalars import AccountId, Hash, Height, Millis
from cccnode.types.validators import EpochRecord, faults, quorum

WAIT_MS_DEFAULT: Final = 10_000
WAIT_MS_MAX: Final = 600_000
RECEIPTS_AT_ONCE: Final = 64
"""Receipts of a block written as JSON in one turn of the loop, about 1 ms: votes come between (J16)."""

HISTORY_MAX: Final = 100
"""Entries of one page."""

RawTransaction = Annotated[bytes, Meta(min_length=1, max_length=TX_BYTES_MAX)]


class _Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of one method, in positional order."""


class Nothing(_Params, frozen=True):
    """No parameters."""


class AtHeight(_Params, frozen=True):
    """One block; the newest when no height is given."""

    height: Height | None = None


class OneTransaction(_Params, frozen=True):
    """An encoded, signed transaction."""

    transaction: RawTransaction


class Submit(_Params, frozen=True):
    """An encoded, signed transaction, and whether the node shall promise by which height it is decided."""

    transaction: RawTransaction
    promise: bool = False


class ManyTransactions(_Params, frozen=True):
    """Encoded, signed transactions."""

    transactions: Annotated[tuple[RawTransaction, ...], Meta(min_length=1, max_length=RPC_BATCH_MAX)]


class ById(_Params, frozen=True):
    """A transaction; with its deadline any node can say whether it has expired."""

    tx_id: Hash
    valid_until_ms: Millis | None = None


class OfAccount(_Params, frozen=True):
    """A page of an account's history; the next page begins before the `next` of this one."""

    account: AccountId
    before: Annotated[str, Meta(pattern=r"^[0-9]{1,19}/[0-9]{1,9}$")] | None = None
    limit: Annotated[int, Meta(ge=1, le=HISTORY_MAX)] = HISTORY_MAX


class Wait(_Params, frozen=True):
    """A transaction to wait for."""

    tx_id: Hash
    valid_until_ms: Millis | None = None
    timeout_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = WAIT_MS_DEFAULT


class Ask(_Params, frozen=True):
    """How the doctor answers."""

    lang: Literal["en", "th"] = "en"
    observation: bool = False
    """Whether to give what was observed as well, so that the views of several nodes can be joined."""


Waiter = Callable[[Backend, Wait], Awaitable[TxStatus]]
"""How to wait within the server's limits; the dispatcher gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a handler may use."""

    backend: Backend
    wait: Waiter
    left_ms: Callable[[int], int]
    """How long a call may wait of what it asks for: all calls of a request share its time."""
    describe: Callable[[], Json]
    """The OpenRPC document of this node."""
    events: events.EventLog
    turn: Callable[[], AbstractContextManager[None]]
    """Held while a call waits: so many may; raises `rpc/BUSY`."""


Handler = Callable[[Scope, Any], Awaitable[Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of the method table."""

    name: str
    params: type[msgspec.Struct]
    handle: Handler
    en: str
    reads: bool = True
    """Whether `GET /v1/...` may ask it too."""
    cost: int = 1
    """Units of the caller's bucket: about 0.1 ms of the node each."""

    def units(self, params: Any) -> int:
        """What a call costs: so many transactions are so many calls."""
        return self.cost + (2 * len(params.transactions) if isinstance(params, ManyTransactions) else 0)

    def read(self, value: Json) -> Any:
        """Typed parameters out of JSON.  Raises `ValueFault`."""
        return reader(self.params)(value)


def method_table(registry: Registry) -> Mapping[str, Method]:
    """Core methods and one method for every query of every module."""
    rows = [*CORE_METHODS, *(_query_method(query) for query in registry.queries.values())]
    table = {row.name: row for row in rows}
    assert len(table) == len(rows), "two methods have one name"
    return table


# -- chain -----------------------------------------------------------------------------------------------------------


async def _chain_status(scope: Scope, _params: Nothing) -> Json:
    return status_json(scope.backend.status())


async def _chain_header(scope: Scope, params: AtHeight) -> Json:
    height = _height(scope.backend, params)
    header = scope.backend.header(height)
    if header is None:
        raise fault(errors.NOT_FOUND, height=height)
    return header_json(header)


async def _chain_block(scope: Scope, params: AtHeight) -> Json:
    height = _height(scope.backend, params)
    block = scope.backend.block(height)
    receipts = scope.backend.receipts(height)
    if block is None or receipts is None:
        raise fault(errors.NOT_FOUND, height=height)
    rows: list[Json] = []
    for first in range(0, len(receipts), RECEIPTS_AT_ONCE):
        some = receipts[first : first + RECEIPTS_AT_ONCE]
        rows += [ready(receipt_json(decode_receipt(raw), scope.backend.registry)) for raw in some]
        await asyncio.sleep(0)
    batches: list[Json] = []
    for batch in block.batches:
        batches.append(ready([hex_text(raw) for raw in batch]))
        await asyncio.sleep(0)
    return joined_block_json(block, rows, batches)


async def _chain_validators(scope: Scope, _params: Nothing) -> Json:
    record = scope.backend.record()
    members = len(record.validators)
    return {**writer(EpochRecord)(record), "quorum": quorum(members), "faults": faults(members)}


async def _chain_features(scope: Scope, _params: Nothing) -> Json:
    return {"known": sorted(scope.backend.registry.features), "active": list(scope.backend.record().features)}


def _height(backend: Backend, params: AtHeight) -> int:
    return backend.status().height if params.height is None else params.height


def status_json(status: Status) -> Json:
    """A status as JSON; `cccnode status --output json` prints exactly this."""
    return {
        "chain": hex_text(status.chain),
        "chain_name": status.chain_name,
        "node": hex_text(status.node_key),
        "organisation": status.organisation,
        "validator": status.validator,
        "state": status.state,
        "height": decimal_text(status.height),
        "final_height": decimal_text(status.final_height),
        "epoch": decimal_text(status.epoch),
        "view": decimal_text(status.view),
        "leader": status.leader,
        "block_id": hex_text(status.block_id),
        "time_ms": decimal_text(status.time_ms),
        "state_root": hex_text(status.state_root),
        "validators": [
            {
                "index": validator.index,
                "organisation": validator.organisation,
                "consensus_key": hex_text(validator.consensus_key),
                "reachable": validator.reachable,
                "silent_ms": _decimal(validator.silent_ms),
                "executed": _decimal(validator.executed),
            }
            for validator in status.validators
        ],
        "peers": status.peers,
        "behind": status.behind,
        "mempool": status.mempool,
        "earliest": {kind: decimal_text(height) for kind, height in status.earliest.items()},
        "usage_bytes": {kind: decimal_text(size) for kind, size in status.usage.items()},
        "reasons": [envelopes.reason_object(reason.spec, reason.values) for reason in status.reasons],
        "snapshot": None if status.snapshot is None else _progress_json(status.snapshot),
    }


def _progress_json(progress: SnapshotProgress) -> Json:
    """How far a node has come that begins at a snapshot."""
    return {
        "stage": progress.stage,
        "height": decimal_text(progress.height),
        "pieces": progress.pieces,
        "done": progress.done,
        "bytes": decimal_text(progress.bytes),
        "bytes_per_s": decimal_text(progress.rate),
        "eta_ms": _decimal(progress.eta_ms),
        "sources": progress.sources,
    }


# -- transactions ----------------------------------------------------------------------------------------------------


async def _tx_submit(scope: Scope, params: Submit) -> Json:
    ((tx_id, refusal),) = await scope.backend.submit([params.transaction])
    if refusal is not None:
        raise refusal
    if not params.promise:
        return {"tx_id": hex_text(tx_id)}
    promise = scope.backend.promise(tx_id)
    return {"tx_id": hex_text(tx_id), "promise": None if promise is None else hex_text(encode(promise))}


async def _tx_submit_batch(scope: Scope, params: ManyTransactions) -> Json:
    answers = await scope.backend.submit(params.transactions)
    return {
        "results": [
            {"tx_id": "0x" + tx_id.hex()} if refusal is None else _refused(tx_id, refusal) for tx_id, refusal in answers
        ]
    }


def _refused(tx_id: bytes, refusal: Fault) -> Json:
    return {"tx_id": hex_text(tx_id) if tx_id else None, "error": envelopes.error_object(refusal)}


async def _tx_status(scope: Scope, params: ById) -> Json:
    status = scope.backend.tx_status(params.tx_id, params.valid_until_ms)
    return tx_status_json(params.tx_id, status, scope.backend.registry)


async def _tx_wait(scope: Scope, params: Wait) -> Json:
    status = await scope.wait(scope.backend, params)
    return tx_status_json(params.tx_id, status, scope.backend.registry)


async def _tx_get(scope: Scope, params: ById) -> Json:
    stored = scope.backend.transaction(params.tx_id)
    if stored is None:
        raise fault(errors.NOT_FOUND, tx_id=params.tx_id)
    return transaction_json(stored, scope.backend.registry)


async def _account_transactions(scope: Scope, params: OfAccount) -> Json:
    before = None if params.before is None else Place(*map(int, params.before.split("/")))
    page = scope.backend.account_history(params.account, before, params.limit)
    last = page.entries[-1][0] if len(page.entries) == params.limit else None
    return {
        "transactions": [
            {
                "height": decimal_text(place.height),
                "position": place.position,
                "tx_id": None if tx_id == ZERO else hex_text(tx_id),
            }
            for place, tx_id in page.entries
        ],
        "next": None if last is None else f"{last.height}/{last.position}",
        "first_height": decimal_text(page.first_height),
        "last_height": decimal_text(page.last_height),
    }


# -- state, net, modules ---------------------------------------------------------------------------------------------


async def _net_peers(scope: Scope, _params: Nothing) -> Json:
    return {
        "peers": [
            {
                "node": hex_text(peer.node_key),
                "organisation": peer.organisation,
                "validator": peer.validator,
                "address": peer.address,
                "listen": peer.listen,
                "direction": peer.direction.value,
                "rtt_ms": peer.rtt_ms,
                "clock_skew_ms": peer.clock_skew_ms,
                "height": decimal_text(peer.height),
                "queued_bytes": peer.queued_bytes,
                "connected_ms": peer.connected_ms,
            }
            for peer in scope.backend.peers()
        ],
        "dialling": [
            {
                "node": hex_text(dial.node_key),
                "organisation": dial.organisation,
                "validator": dial.validator,
                "addresses": list(dial.addresses),
                "attempts": dial.attempts,
                "error": None if dial.last_fault is None else envelopes.error_object(dial.last_fault),
                "next_try_ms": dial.next_try_ms,
            }
            for dial in scope.backend.dials()
        ],
    }


async def _node_doctor(scope: Scope, params: Ask) -> Json:
    observation = scope.backend.observe()
    answer = envelopes.diagnosis_object(diagnose(observation), params.lang)
    return {**answer, "observation": writer(Observation)(observation)} if params.observation else answer


async def _evidence_waiting(scope: Scope, _params: Nothing) -> Json:
    """Pairs that this node has met, whether or not somebody has reported them."""
    validators = {index: row.organisation for index, row in enumerate(scope.backend.record().validators)}
    return {
        "evidence": [
            {
                "epoch": pair.epoch,
                "view": decimal_text(pair.first.proposal.view),
                "signer": pair.first.signer,
                "organisation": validators.get(pair.first.signer)
                if pair.epoch == scope.backend.record().epoch
                else None,
                "kinds": [pair.first.kind.name.lower(), pair.second.kind.name.lower()],
                "raw": hex_text(encode(pair)),
            }
            for pair in scope.backend.evidence()
        ]
    }


async def _discover(scope: Scope, _params: Nothing) -> Json:
    return scope.describe()


def _query_method(query: Query) -> Method:
    write = writer(query.result)

    async def handle(scope: Scope, params: Any) -> Json:
        return write(query.answer(Overlay(scope.backend.state()), params))

    return Method(name=query.method, params=query.params, handle=handle, en=query.en)


def _decimal(value: int | None) -> str | None:
    return None if value is None else decimal_text(value)


# -- what nodes are compared by ---------------------------------------------------------------------------------------


async def _chain_results(scope: Scope, params: AtHeight) -> Json:
    height = _height(scope.backend, params)
    results = scope.backend.results(height)
    if results is None:
        raise fault(errors.NOT_FOUND, height=height)
    return {
        "height": decimal_text(results.height),
        "block_id": hex_text(results.block_id),
        "state_root": hex_text(results.state_root),
        "receipts_root": hex_text(results.receipts_root),
        "results_root": hex_text(results.results_root),
    }


CORE_METHODS: Final = (
    Method(
        name="rpc.discover", params=Nothing, handle=_discover, en="This interface as OpenRPC.", reads=False, cost=20
    ),
    Method(name="chain_status", params=Nothing, handle=_chain_status, en="How this node is, and why.", cost=2),
    Method(name="chain_header", params=AtHeight, handle=_chain_header, en="The header of a final block.", cost=2),
    Method(name="chain_block", params=AtHeight, handle=_chain_block, en="A final block with its receipts.", cost=100),
    Method(
        name="chain_features",
        params=Nothing,
        handle=_chain_features,
        en="Features that this node's program knows, and those of the current epoch.",
    ),
    Method(name="chain_validators", params=Nothing, handle=_chain_validators, en="The current epoch's record.", cost=2),
    Method(
        name="tx_submit",
        params=Submit,
        handle=_tx_submit,
        en="Send one signed transaction; on request the node promises by which height it is decided.",
        reads=False,
        cost=2,
    ),
    Method(
        name="tx_submit_batch",
        params=ManyTransactions,
        handle=_tx_submit_batch,
        en="Send up to 512 of them.",
        reads=False,
    ),
    Method(name="tx_check", params=OneTransaction, handle=trying.tx_check, en="Would it be taken in now?", cost=3),
    Method(name="tx_simulate", params=OneTransaction, handle=trying.tx_simulate, en="What it would do.", cost=20),
    Method(name="tx_receipt", params=ById, handle=trying.tx_receipt, en="Its place and receipt.", cost=5),
    Method(name="tx_status", params=ById, handle=_tx_status, en="What this node knows of a transaction.", cost=1),
    Method(name="tx_wait", params=Wait, handle=_tx_wait, en="The same, once it is decided.", cost=2),
    Method(name="tx_get", params=ById, handle=_tx_get, en="A decided transaction with its receipt.", cost=5),
    Method(
        name="account_transactions",
        params=OfAccount,
        handle=_account_transactions,
        en="What an account signed or paid for, and what named it, newest first.",
        cost=20,
    ),
    Method(
        name="state_proof",
        params=proving.GroupAt,
        handle=proving.state_proof,
        en="All of a state group, proven.",
        cost=20,
    ),
    Method(
        name="tx_proof",
        params=proving.Decided,
        handle=proving.tx_proof,
        en="A transaction and receipt, proven.",
        cost=100,
    ),
    Method(
        name="events_proof",
        params=proving.OneBlock,
        handle=proving.events_proof,
        en="A block's receipts, proven.",
        cost=100,
    ),
    Method(
        name="chain_light",
        params=proving.Epochs,
        handle=proving.chain_light,
        en="Epoch changes and tip, proven.",
        cost=30,
    ),
    Method(
        name="chain_results", params=AtHeight, handle=_chain_results, en="What executing a height gave here.", cost=2
    ),
    Method(
        name="state_nodes",
        params=comparing.Nodes,
        handle=comparing.state_nodes,
        en="Hashes of the applied state's tree.",
        cost=10,
    ),
    Method(
        name="state_bucket",
        params=comparing.Bucket,
        handle=comparing.state_bucket,
        en="A bucket's groups with their hashes.",
        cost=20,
    ),
    Method(
        name="state_group",
        params=comparing.Group,
        handle=comparing.state_group,
        en="A group's items, without a proof.",
        cost=5,
    ),
    Method(
        name="node_doctor", params=Ask, handle=_node_doctor, en="Why the chain, or this node, does not move.", cost=10
    ),
    Method(
        name="events_read",
        params=events.EventsPage,
        handle=events.events_read,
        en="Events behind a cursor, in order.",
        cost=10,
    ),
    Method(
        name="events_head", params=Nothing, handle=events.events_head, en="Cursors of the newest and the oldest event."
    ),
    Method(
        name="evidence_waiting",
        params=Nothing,
        handle=_evidence_waiting,
        en="Contradicting votes of validators that this node has met.",
        cost=5,
    ),
    Method(
        name="net_peers", params=Nothing, handle=_net_peers, en="Connected nodes, and those it tries to reach.", cost=5
    ),
)
