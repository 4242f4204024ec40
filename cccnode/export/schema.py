"""Tables of an export, and how older ones become newer ones.

Both databases have the same names and types as far as queries see: ids are texts (`0x...`, `ccc1...`), heights,
times and amounts 64-bit integers, and what has no fixed shape is JSON, which both read with `->>`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

JSON: Final = "{json}"
"""Stands for the type that holds JSON in a database."""

MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        """CREATE TABLE blocks (
            height BIGINT PRIMARY KEY, block_id TEXT NOT NULL UNIQUE, parent TEXT NOT NULL, time_ms BIGINT NOT NULL,
            epoch BIGINT NOT NULL, view BIGINT NOT NULL, proposer INTEGER NOT NULL, tx_count INTEGER NOT NULL,
            body_bytes INTEGER NOT NULL)""",
        """CREATE TABLE transactions (
            tx_id TEXT PRIMARY KEY, height BIGINT NOT NULL, position INTEGER NOT NULL, account TEXT NOT NULL,
            fee_payer TEXT, valid_until_ms BIGINT NOT NULL, fee_max BIGINT NOT NULL, messages {json} NOT NULL,
            UNIQUE (height, position))""",
        """CREATE TABLE receipts (
            height BIGINT NOT NULL, position INTEGER NOT NULL, tx_id TEXT, outcome TEXT NOT NULL, code INTEGER NOT NULL,
            error TEXT, fee_paid BIGINT NOT NULL, PRIMARY KEY (height, position))""",
        """CREATE TABLE events (
            height BIGINT NOT NULL, position INTEGER NOT NULL, number INTEGER NOT NULL, tx_id TEXT,
            module TEXT NOT NULL, name TEXT NOT NULL, fields {json} NOT NULL,
            PRIMARY KEY (height, position, number))""",
        # `next` is the cursor of a range; `last` is empty in the one that follows the tip.
        "CREATE TABLE ranges (first BIGINT PRIMARY KEY, next BIGINT NOT NULL, last BIGINT)",
    ),
    (
        "CREATE INDEX transactions_by_account ON transactions (account, height)",
        "CREATE INDEX events_by_name ON events (module, name, height)",
    ),
)
"""What leads from each version to the next; a step that was released is never changed."""

VERSION: Final = len(MIGRATIONS)

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "blocks": (
        "height",
        "block_id",
        "parent",
        "time_ms",
        "epoch",
        "view",
        "proposer",
        "tx_count",
        "body_bytes",
    ),
    "transactions": (
        "tx_id",
        "height",
        "position",
        "account",
        "fee_payer",
        "valid_until_ms",
        "fee_max",
        "messages",
    ),
    "receipts": ("height", "position", "tx_id", "outcome", "code", "error", "fee_paid"),
    "events": ("height", "position", "number", "tx_id", "module", "name", "fields"),
}
"""Columns that an exporter fills, in the order of its rows."""
