"""Blocks, transactions and receipts as JSON: nouns by their fields, with the names behind numbers beside."""

from typing import Any

from cccnode.ledger.receipts import decode_receipt, outcome_of
from cccnode.ledger.registry import Registry
from cccnode.rpc import envelopes
from cccnode.rpc.backend import StoredTransaction, TxStatus
from cccnode.rpc.values import Json, decimal_text, hex_text, plain, writer
from cccnode.types.addresses import account_text
from cccnode.types.block import FinalBlock, Header, block_id
from cccnode.types.certificate import Certificate
from cccnode.types.errors import Fault
from cccnode.types.receipt import OK, Receipt
from cccnode.types.transaction import Transaction, signed_part, transaction_id


def header_json(header: Header) -> Json:
    """All 19 fields and the id."""
    return {"block_id": hex_text(block_id(header)), **writer(Header)(header)}


def block_json(block: FinalBlock, receipts: list[Receipt], registry: Registry) -> Json:
    """Header, batches as raw transactions, receipts and the certificate."""
    return joined_block_json(
        block,
        [receipt_json(receipt, registry) for receipt in receipts],
        [[hex_text(raw) for raw in batch] for batch in block.batches],
    )


def joined_block_json(block: FinalBlock, receipts: list[Json], batches: list[Json]) -> Json:
    """The same with receipts and batches that are JSON already."""
    return {
        "header": header_json(block.header),
        "batches": batches,
        "receipts": receipts,
        "certificate": None if block.certificate is None else writer(Certificate)(block.certificate),
    }


def receipt_json(receipt: Receipt, registry: Registry) -> Json:
    """A receipt with the name behind its code."""
    return {**_outcome(receipt.code, registry), **writer(Receipt)(receipt)}


def _outcome(code: int, registry: Registry) -> dict[str, Json]:
    """`ok`, `failed` (fee kept) or `refused` (no message ran), and the row of the error table behind the code."""
    if code == OK:
        return {"outcome": outcome_of(code), "code": OK}
    spec = registry.errors.get(code)
    error = None if spec is None else envelopes.error_object(Fault(spec))
    return {"outcome": outcome_of(code), "code": code, "error": error}


def tx_status_json(tx_id: bytes, status: TxStatus, registry: Registry) -> Json:
    """Phase, place and outcome of a transaction."""
    answer: dict[str, Json] = {"tx_id": hex_text(tx_id), "state": str(status.phase)}
    if status.height is not None:
        answer["height"] = decimal_text(status.height)
    if status.position is not None:
        answer["position"] = status.position
    if status.code is not None:
        answer |= _outcome(status.code, registry)
    if status.fault is not None:
        answer["error"] = envelopes.error_object(status.fault)
    return answer


def transaction_json(stored: StoredTransaction, registry: Registry) -> Json:
    """A decided transaction: where, what became of it, its fields, its raw bytes."""
    transaction = registry.decode_trusted(stored.raw)
    receipt = decode_receipt(stored.receipt)
    return {
        "tx_id": hex_text(transaction_id(signed_part(stored.raw, len(transaction.signatures)))),
        "height": decimal_text(stored.height),
        "position": stored.position,
        "time_ms": decimal_text(stored.header.time_ms),
        "block_id": hex_text(block_id(stored.header)),
        "receipt": receipt_json(receipt, registry),
        "transaction": fields_json(transaction),
        "raw": hex_text(stored.raw),
    }


def fields_json(transaction: Transaction[Any]) -> Json:
    """The fields of a transaction; each message with its type."""
    return {
        "version": transaction.version,
        "chain": hex_text(transaction.chain),
        "account": account_text(transaction.account),
        "valid_until_ms": decimal_text(transaction.valid_until_ms),
        "salt": hex_text(transaction.salt),
        "fee_payer": None if transaction.fee_payer is None else account_text(transaction.fee_payer),
        "fee_max": decimal_text(transaction.fee_max),
        "messages": [{"type": type(message).__name__, **plain(message)} for message in transaction.messages],
        "signers": [hex_text(key) for key in transaction.signers],
        "signatures": [hex_text(signature) for signature in transaction.signatures],
    }
