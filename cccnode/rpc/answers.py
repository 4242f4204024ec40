"""Schemas of what the core methods answer, and of errors; the answers of modules derive from their types.

A test asks every method and compares what comes with what stands here.
"""

from typing import Any, Final

from cccnode.doctor.diagnosis import Verdict
from cccnode.doctor.observation import Observation
from cccnode.rpc.backend import Phase
from cccnode.rpc.schemas import (
    ACCOUNT,
    COUNT,
    DECIMAL,
    FLAG,
    HASH,
    HEX,
    TEXT,
    Schema,
    Schemas,
    fixed,
    items,
    maybe,
    named,
    record,
)
from cccnode.types.block import Header
from cccnode.types.certificate import Certificate
from cccnode.types.receipt import Receipt
from cccnode.types.validators import EpochRecord

_BY_NAME: Final[Schema] = {"type": "object"}

ERROR_DATA: Final = record(
    {
        "name": {"type": "string", "pattern": "^[a-z]+/[A-Z0-9_]+$", "description": "Stable; never changes meaning."},
        "hint": TEXT,
        "text_th": TEXT,
        "hint_th": TEXT,
        "retryable": {**FLAG, "description": "Whether the same request may succeed later."},
        "details": _BY_NAME,
    }
)
ERROR: Final = record({"code": {"type": "integer"}, "message": TEXT, "data": ERROR_DATA})
PROBLEM: Final[Schema] = {
    "description": "RFC 9457; `name`, `code`, `retryable`, `hint` and the rest are those of the error table.",
    **record(
        {
            "type": {"type": "string"},
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": {"type": "integer"},
            **ERROR_DATA["properties"],
        }
    ),
}
_REASON: Final = record(
    {"code": TEXT, "text": TEXT, "remedy": TEXT, "text_th": TEXT, "remedy_th": TEXT, "details": _BY_NAME}
)
_OUTCOME: Final = {"outcome": {"enum": ["ok", "failed", "refused"]}, "code": COUNT}
_OUTCOME_ERROR: Final = {"error": maybe(named("Error"))}
_CERTIFIED: Final = {
    "height": DECIMAL,
    "state_root": HASH,
    "receipts_root": HASH,
    "certified_by": named("Anchor"),
}
_PROOF: Final = {"proof": {**HEX, "description": "The canonical noun that a client checks which believes nobody."}}
_STATUS: Final = record(
    {
        "chain": HASH,
        "chain_name": TEXT,
        "node": HASH,
        "organisation": TEXT,
        "validator": maybe(COUNT),
        "state": TEXT,
        "height": DECIMAL,
        "final_height": DECIMAL,
        "epoch": DECIMAL,
        "view": DECIMAL,
        "leader": {"type": "integer"},
        "block_id": HASH,
        "time_ms": DECIMAL,
        "state_root": HASH,
        "validators": items(
            record(
                {
                    "index": COUNT,
                    "organisation": TEXT,
                    "consensus_key": HASH,
                    "reachable": FLAG,
                    "silent_ms": maybe(DECIMAL),
                    "executed": maybe(DECIMAL),
                }
            )
        ),
        "peers": COUNT,
        "behind": COUNT,
        "mempool": COUNT,
        "earliest": {"type": "object", "additionalProperties": DECIMAL},
        "usage_bytes": {"type": "object", "additionalProperties": DECIMAL},
        "reasons": items(_REASON),
        "snapshot": maybe(
            record(
                {
                    "stage": TEXT,
                    "height": DECIMAL,
                    "pieces": COUNT,
                    "done": COUNT,
                    "bytes": DECIMAL,
                    "bytes_per_s": DECIMAL,
                    "eta_ms": maybe(DECIMAL),
                    "sources": COUNT,
                }
            )
        ),
    }
)
_PEERS: Final = record(
    {
        "peers": items(
            record(
                {
                    "node": HASH,
                    "organisation": TEXT,
                    "validator": FLAG,
                    "address": TEXT,
                    "listen": TEXT,
                    "direction": TEXT,
                    "rtt_ms": maybe(COUNT),
                    "clock_skew_ms": maybe({"type": "integer"}),
                    "height": DECIMAL,
                    "queued_bytes": COUNT,
                    "connected_ms": COUNT,
                }
            )
        ),
        "dialling": items(
            record(
                {
                    "node": HASH,
                    "organisation": TEXT,
                    "validator": FLAG,
                    "addresses": items(TEXT),
                    "attempts": COUNT,
                    "error": maybe(named("Error")),
                    "next_try_ms": {"type": "integer"},
                }
            )
        ),
    }
)
_TX_STATUS: Final = record(
    {"tx_id": HASH, "state": {"enum": [str(phase) for phase in Phase]}},
    {"height": DECIMAL, "position": COUNT, **_OUTCOME, **_OUTCOME_ERROR},
)
_FIELDS: Final = record(
    {
        "version": COUNT,
        "chain": HASH,
        "account": ACCOUNT,
        "valid_until_ms": DECIMAL,
        "salt": HEX,
        "fee_payer": maybe(ACCOUNT),
        "fee_max": DECIMAL,
        "messages": items({"type": "object", "properties": {"type": TEXT}, "required": ["type"]}),
        "signers": items(HASH),
        "signatures": items(HEX),
    }
)
_EVENT: Final = record(
    {
        "cursor": TEXT,
        "height": DECIMAL,
        "tx_id": maybe(HASH),
        "module": TEXT,
        "name": TEXT,
        "fields": {"type": "array"},
    }
)
_SUBMITTED: Final = record({"tx_id": HASH})


def components() -> dict[str, Schema]:
    """What several answers refer to."""
    anchor = record(
        {"height": DECIMAL, "epoch": DECIMAL, "block_id": HASH, "time_ms": DECIMAL, "signatures": COUNT},
    )
    return {"Error": ERROR, "Anchor": anchor, "TxStatus": _TX_STATUS}


SOCKET_ANSWERS: Final[dict[str, Schema]] = {
    "events_subscribe": record({"subscription": TEXT, "after": TEXT}),
    "events_unsubscribe": record({"ended": FLAG}),
}


def answer(method: str, schemas: Schemas) -> Schema:
    """What a core method answers.  Raises KeyError for another."""
    return _build(schemas)[method]


def _build(schemas: Schemas) -> dict[str, Schema]:
    header = _with({"block_id": HASH}, schemas, Header)
    receipt = _with(dict(_OUTCOME), schemas, Receipt, _OUTCOME_ERROR)
    return {
        "rpc.discover": _BY_NAME,
        "chain_status": _STATUS,
        "chain_header": header,
        "chain_block": _block(header, receipt, schemas),
        "chain_validators": _with({"quorum": COUNT, "faults": COUNT}, schemas, EpochRecord),
        "chain_features": record({"known": items(TEXT), "active": items(TEXT)}),
        "chain_results": record(
            {"height": DECIMAL, "block_id": HASH, "state_root": HASH, "receipts_root": HASH, "results_root": HASH}
        ),
        "tx_submit": record({"tx_id": HASH}, {"promise": maybe(HEX)}),
        "tx_submit_batch": record(
            {"results": items({"anyOf": [_SUBMITTED, record({"tx_id": maybe(HASH), "error": named("Error")})]})}
        ),
        "tx_status": named("TxStatus"),
        "tx_wait": named("TxStatus"),
        "tx_get": _transaction(receipt),
        "tx_receipt": _placed({"receipt": receipt}),
        "tx_check": record({"tx_id": maybe(HASH), "admissible": FLAG}, _OUTCOME_ERROR),
        "tx_simulate": _simulated(receipt),
        "account_transactions": _history(),
        "net_peers": _PEERS,
        "node_doctor": _doctor(schemas),
        "evidence_waiting": _evidence(),
        "events_read": record({"events": items(_EVENT), "next": TEXT, "head": DECIMAL}),
        "events_head": record({"head": TEXT, "oldest": TEXT}),
        **_proofs(),
        **_state(),
    }


def _with(first: dict[str, Schema], schemas: Schemas, kind: Any, optional: Schema | None = None) -> Schema:
    """A noun with members in front."""
    schemas.written(kind)
    noun = schemas.components[kind.__name__]
    return record({**first, **noun["properties"]}, optional)


def _block(header: Schema, receipt: Schema, schemas: Schemas) -> Schema:
    return record(
        {
            "header": header,
            "batches": items(items(HEX)),
            "receipts": items(receipt),
            "certificate": maybe(schemas.written(Certificate)),
        }
    )


def _placed(more: dict[str, Schema]) -> Schema:
    """A decided transaction: where, and these."""
    return record(
        {"tx_id": HASH, "height": DECIMAL, "position": COUNT, "time_ms": DECIMAL, "block_id": HASH, **more},
    )


def _transaction(receipt: Schema) -> Schema:
    return _placed({"receipt": receipt, "transaction": _FIELDS, "raw": HEX})


def _simulated(receipt: Schema) -> Schema:
    change = record({"group": HEX, "item": HEX, "value": maybe(HEX)})
    return record(
        {
            "tx_id": HASH,
            "height": DECIMAL,
            "time_ms": DECIMAL,
            "decided": {**FLAG, "description": "Whether a block of that time would decide it."},
            "changes": items(change),
            "more": {**FLAG, "description": "Whether the list of changes was cut."},
        },
        {"receipt": receipt, **_OUTCOME_ERROR},
    )


def _history() -> Schema:
    entry = record({"height": DECIMAL, "position": COUNT, "tx_id": maybe(HASH)})
    return record(
        {
            "transactions": items(entry),
            "next": maybe({**TEXT, "description": "Give it as `before` for the next page; null on the last."}),
            "first_height": DECIMAL,
            "last_height": DECIMAL,
        }
    )


def _doctor(schemas: Schemas) -> Schema:
    cause = record(
        {
            "code": TEXT,
            "text": TEXT,
            "validators": items(record({"index": maybe(COUNT), "organisation": TEXT})),
            "evidence": _BY_NAME,
            "remedy": TEXT,
        }
    )
    return record(
        {"verdict": {"enum": [verdict.value for verdict in Verdict]}, "causes": items(cause)},
        {"observation": schemas.written(Observation)},
    )


def _evidence() -> Schema:
    pair = record(
        {
            "epoch": COUNT,
            "view": DECIMAL,
            "signer": COUNT,
            "organisation": maybe(TEXT),
            "kinds": items(TEXT),
            "raw": HEX,
        }
    )
    return record({"evidence": items(pair)})


def _proofs() -> dict[str, Schema]:
    item = record({"item": HEX, "value": HEX})
    return {
        "state_proof": record({"group": HEX, "items": items(item), "depth": COUNT, **_CERTIFIED, **_PROOF}),
        "tx_proof": record(
            {"tx_id": HASH, "raw": HEX, "receipt": HEX, "block_id": HASH, **_CERTIFIED, **_PROOF},
        ),
        "events_proof": record({"receipts": COUNT, "block_id": HASH, **_CERTIFIED, **_PROOF}),
        "chain_light": record(
            {"epoch": DECIMAL, "links": items(HEX), "tip": named("Anchor"), "tip_proof": HEX},
            {"history": HEX},
        ),
    }


def _state() -> dict[str, Schema]:
    pairs = items(fixed(HEX, 2))
    return {
        "state_nodes": record({"height": DECIMAL, "hashes": HEX}),
        "state_bucket": record({"height": DECIMAL, "groups": pairs, "more": FLAG}),
        "state_group": record({"height": DECIMAL, "items": pairs}),
    }
