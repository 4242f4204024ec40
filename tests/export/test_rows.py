"""A block becomes rows: what was decided, each once, with outcome and events."""

import json

import pytest

from cccnode.export.rows import Rows
from tests.export.support import block, chain, index_of


def test_rows_of_a_chain() -> None:
    """Decided transactions stand where the node's index has them; every receipt and event has a row."""
    store, rows = chain(), Rows()
    for height in range(1, store.applied.height + 1):
        rows.add(block(store, height), height)
    tables = rows.tables
    assert index_of(store) == sorted(row[:3] for row in tables["transactions"])
    assert rows.blocks == store.applied.height == len(tables["blocks"])
    assert rows.count == sum(map(len, tables.values()))
    receipts = [row for height in range(1, rows.blocks + 1) for row in block(store, height)["receipts"]]
    assert len(receipts) == len(tables["receipts"])
    assert sum(len(row["events"]) for row in receipts) == len(tables["events"])
    assert all(isinstance(json.loads(row[-1]), list) for row in tables["events"])
    assert all("type" in json.loads(row[-1])[0] for row in tables["transactions"])


def test_a_transaction_that_is_listed_twice() -> None:
    """Only where it was decided it has a row."""
    store = chain(2)
    height = next(at for at in range(1, store.applied.height + 1) if store.receipts(at))
    twice, rows = block(store, height), Rows()
    twice["batches"] = [*twice["batches"], *twice["batches"]]
    rows.add(twice, height)
    assert len({row[0] for row in rows.tables["transactions"]}) == len(rows.tables["transactions"])


def test_own_rules_have_no_transaction() -> None:
    """The receipt of a block's own rules has an empty id, and so have its events."""
    store, rows = chain(2), Rows()
    own = block(store, 1)
    own["receipts"] = [
        {"tx_id": "0x" + "00" * 32, "outcome": "ok", "code": 0, "fee_paid": "0", "events": [["registry", "epoch", "1"]]}
    ]
    rows.add(own, 1)
    assert rows.tables["receipts"][0][2] is None
    assert rows.tables["events"] == [(1, 0, 0, None, "registry", "epoch", '["1"]')]


def test_a_failure_has_its_name() -> None:
    """A code other than 0 comes with the name of its error."""
    store, rows = chain(2), Rows()
    failed = block(store, 1)
    error = {"data": {"name": "bank/INSUFFICIENT"}}
    failed["receipts"] = [
        {"tx_id": "0x01", "outcome": "failed", "code": 2001, "error": error, "fee_paid": "5", "events": []}
    ]
    rows.add(failed, 1)
    assert rows.tables["receipts"] == [(1, 0, "0x01", "failed", 2001, "bank/INSUFFICIENT", 5)]


@pytest.mark.parametrize("spoiled", [{}, {"header": {"height": "x"}}, []])
def test_invalid_block(spoiled: object) -> None:
    """What is no block raises one of three errors, which the runner names."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        Rows().add(spoiled, 1)  # type: ignore[arg-type]


def test_blocks_follow_each_other() -> None:
    """Of two neighbours the second names the first."""
    store, rows = chain(2), Rows()
    rows.add(block(store, 1), 1)
    spoiled = block(store, 2)
    spoiled["header"]["parent"] = "0x" + "22" * 32
    with pytest.raises(ValueError, match="another block"):
        rows.add(spoiled, 2)
    rows.add(block(store, 2), 2)
    assert (block(store, 1)["header"]["parent"], block(store, 2)["header"]["block_id"]) == (rows.parent, rows.last_id)


@pytest.mark.parametrize("text", ["a\0b", "\\u0000", "plain"])
def test_nul(text: str) -> None:
    """A NUL, which PostgreSQL cannot hold, is replaced wherever it stands; a text that looks like one stays."""
    store, rows = chain(2), Rows()
    strange = block(store, 1)
    strange["receipts"] = [
        {
            "tx_id": "0x01",
            "outcome": "ok",
            "code": 0,
            "fee_paid": "0",
            "events": [["m", "n", [text, {text: 5, "x": None}]]],
        }
    ]
    rows.add(strange, 1)
    shown = text.replace("\0", "\ufffd")
    assert json.loads(rows.tables["events"][0][-1]) == [[shown, {shown: 5, "x": None}]]
