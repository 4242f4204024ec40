"""A block as `chain_block` gives it, as rows of the tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from cccnode.city import CITY
from cccnode.client import from_hex, to_hex
from cccnode.crypto.hashing import ZERO
from cccnode.export.schema import COLUMNS
from cccnode.ingress import trusted_transactions
from cccnode.rpc.writing import fields_json

Row = tuple[Any, ...]
BLOCK_ID, PARENT = COLUMNS["blocks"].index("block_id"), COLUMNS["blocks"].index("parent")
NOBODY: Final = to_hex(ZERO)
"""Stands in a receipt for the block's own rules."""
REPLACEMENT: Final = "\ufffd"
"""Stands in a text for each NUL."""
_NUL: Final = "\\u0000"
"""As JSON writes it, or a text that says so itself."""


@dataclass(slots=True)
class Rows:
    """Rows of some neighbouring blocks, by table."""

    tables: dict[str, list[Row]] = field(
        default_factory=lambda: {"blocks": [], "transactions": [], "receipts": [], "events": []}
    )
    count: int = 0
    blocks: int = 0

    @property
    def parent(self) -> str:
        """Id of the block before the first one."""
        return str(self.tables["blocks"][0][PARENT])

    @property
    def last_id(self) -> str:
        """Id of the last block."""
        return str(self.tables["blocks"][-1][BLOCK_ID])

    def add(self, block: Mapping[str, Any], height: int) -> None:
        """The rows of one more block, the one of this height.

        Raises:
            KeyError, TypeError, ValueError: it is none, or does not continue those before.
        """
        header = block["header"]
        if int(header["height"]) != height or (self.blocks and header["parent"] != self.last_id):
            raise ValueError("another block than the one that follows")
        before = sum(map(len, self.tables.values()))
        self.tables["blocks"].append(_block_row(header))
        decided: dict[str, int] = {}
        for position, receipt in enumerate(block["receipts"]):
            self._receipt(height, position, receipt)
            decided[receipt["tx_id"]] = position
        raws = [from_hex(raw) for batch in block["batches"] for raw in batch]
        for verified in trusted_transactions(CITY, raws):
            # A block may list a transaction that an earlier one decided, or twice: one row, where its receipt is.
            tx_id = to_hex(verified.id)
            if tx_id in decided:
                fields = fields_json(verified.transaction)
                self.tables["transactions"].append(_transaction_row(tx_id, height, decided.pop(tx_id), fields))
        self.blocks += 1
        self.count += sum(map(len, self.tables.values())) - before

    def _receipt(self, height: int, position: int, receipt: Mapping[str, Any]) -> None:
        tx_id = None if receipt["tx_id"] == NOBODY else receipt["tx_id"]
        error = receipt.get("error")
        name = None if error is None else error["data"]["name"]
        row = (height, position, tx_id, receipt["outcome"], int(receipt["code"]), name, int(receipt["fee_paid"]))
        self.tables["receipts"].append(row)
        for number, (module, event, *fields) in enumerate(receipt["events"]):
            self.tables["events"].append((height, position, number, tx_id, module, event, _json(fields)))


def _block_row(header: Mapping[str, Any]) -> Row:
    numbers = [int(header[name]) for name in ("time_ms", "epoch", "view", "proposer", "tx_count", "body_bytes")]
    return (int(header["height"]), header["block_id"], header["parent"], *numbers)


def _transaction_row(tx_id: str, height: int, position: int, fields: Mapping[str, Any]) -> Row:
    return (
        tx_id,
        height,
        position,
        fields["account"],
        fields["fee_payer"],
        int(fields["valid_until_ms"]),
        int(fields["fee_max"]),
        _json(fields["messages"]),
    )


def _json(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    # Anybody may write a NUL into a text of the chain; PostgreSQL's JSON holds none: the block would never be written.
    return msgspec.json.encode(_without_nul(value)).decode() if _NUL in text else text


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", REPLACEMENT)
        case list():
            return [_without_nul(item) for item in value]
        case dict():
            return {_without_nul(name): _without_nul(item) for name, item in value.items()}
        case _:
            return value
