"""The methods that look at a transaction before it is sent: `tx_check` and `tx_simulate`; and `tx_receipt` after."""

from typing import Any, Final, Protocol

from cccnode.ledger.receipts import decode_receipt
from cccnode.ledger.registry import Registry
from cccnode.rpc import envelopes
from cccnode.rpc.backend import Backend
from cccnode.rpc.values import Json, decimal_text, hex_text
from cccnode.rpc.writing import receipt_json
from cccnode.types import errors
from cccnode.types.block import block_id
from cccnode.types.errors import Fault, fault
from cccnode.types.receipt import OK

CHANGES_MAX: Final = 256
"""Written items in one answer."""


class Context(Protocol):
    """What these methods use of the dispatcher's scope."""

    @property
    def backend(self) -> Backend:
        """The node."""


class Encoded(Protocol):
    """Parameters with a transaction."""

    @property
    def transaction(self) -> bytes:
        """Its bytes."""


class Identified(Protocol):
    """Parameters that name a transaction."""

    @property
    def tx_id(self) -> bytes:
        """Its id."""


async def tx_check(scope: Context, params: Encoded) -> Json:
    """What `tx_submit` would answer now."""
    tx_id, refusal = scope.backend.check(params.transaction)
    answer: dict[str, Json] = {"tx_id": hex_text(tx_id) if tx_id else None, "admissible": refusal is None}
    return answer if refusal is None else {**answer, "error": envelopes.error_object(refusal)}


async def tx_simulate(scope: Context, params: Encoded) -> Json:
    """What it would do if the next block decided it alone; changes nothing."""
    tried = scope.backend.simulate(params.transaction)
    changes = [
        {"group": hex_text(group), "item": hex_text(item), "value": None if raw is None else hex_text(raw)}
        for group, items in tried.writes.items()
        for item, raw in items.items()
    ]
    answer: dict[str, Any] = {
        "tx_id": hex_text(tried.tx_id),
        "height": decimal_text(tried.height),
        "time_ms": decimal_text(tried.time_ms),
        "decided": tried.receipt is not None,
        "changes": changes[:CHANGES_MAX],
        "more": len(changes) > CHANGES_MAX,
    }
    registry = scope.backend.registry
    receipt = None if tried.receipt is None else decode_receipt(tried.receipt)
    if receipt is not None:
        answer["receipt"] = receipt_json(receipt, registry)
    code = OK if receipt is None else receipt.code
    error = tried.failure or _row(code, registry)
    return answer if error is None else {**answer, "error": envelopes.error_object(error)}


def _row(code: int, registry: Registry) -> Fault | None:
    return None if code == OK else Fault(registry.errors[code])


async def tx_receipt(scope: Context, params: Identified) -> Json:
    """Where a transaction was decided, and its receipt."""
    stored = scope.backend.transaction(params.tx_id)
    if stored is None:
        raise fault(errors.NOT_FOUND, tx_id=params.tx_id)
    return {
        "tx_id": hex_text(params.tx_id),
        "height": decimal_text(stored.height),
        "position": stored.position,
        "time_ms": decimal_text(stored.header.time_ms),
        "block_id": hex_text(block_id(stored.header)),
        "receipt": receipt_json(decode_receipt(stored.receipt), scope.backend.registry),
    }
