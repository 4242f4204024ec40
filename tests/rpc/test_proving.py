"""Methods that answer with proofs: readable fields, and a canonical noun in hexadecimal."""

from typing import Any

import pytest

from cccnode import codec
from cccnode.rpc.proving import LINKS_MAX
from cccnode.types.finality import Anchor, EpochLink
from cccnode.types.proofs import EventsProof, GroupProof, HistoryProof, TransactionProof
from tests.rpc.test_dispatch import RAW, TX_ID, _Rpc, hexed


@pytest.fixture
def rpc() -> _Rpc:
    return _Rpc()


def noun(kind: Any, text: str) -> Any:
    return codec.decode(kind, bytes.fromhex(text[2:]))


async def test_state_proof(rpc: _Rpc) -> None:
    """A group with its items, the roots that hold them, and the header that certifies these."""
    answer = await rpc.result("state_proof", {"group": "0x0102"})
    assert {"item": hexed(b"item"), "value": hexed(b"value")} == answer["items"][0]
    assert ("7", 16, "7") == (answer["height"], answer["depth"], answer["certified_by"]["height"])
    assert b"\x01\x02" == noun(GroupProof, answer["proof"]).group


async def test_heights_that_are_not_provable(rpc: _Rpc) -> None:
    """rpc/NOT_PROVABLE says what is provable, and that one may ask again."""
    error = await rpc.error("state_proof", {"group": "0x01", "height": 3})
    assert ("rpc/NOT_PROVABLE", True) == (error["data"]["name"], error["data"]["retryable"])
    assert "7" == error["data"]["details"]["provable"]
    error = await rpc.error("chain_light", {"height": 7})
    assert ("rpc/NOT_PROVABLE", "6") == (error["data"]["name"], error["data"]["details"]["provable"])
    rpc.node.status_now = type(rpc.node.status_now)(
        **{name: getattr(rpc.node.status_now, name) for name in rpc.node.status_now.__slots__} | {"height": 0}
    )
    assert "rpc/NOT_PROVABLE" == (await rpc.error("chain_light"))["data"]["name"]


async def test_tx_proof(rpc: _Rpc) -> None:
    """A decided transaction with its receipt; one that nobody knows is not found."""
    assert "rpc/NOT_FOUND" == (await rpc.error("tx_proof", [hexed(TX_ID)]))["data"]["name"]
    rpc.node.decide(TX_ID, RAW)
    answer = await rpc.result("tx_proof", [hexed(TX_ID)])
    assert (hexed(TX_ID), hexed(RAW)) == (answer["tx_id"], answer["raw"])
    assert RAW == noun(TransactionProof, answer["proof"]).raw


async def test_events_proof(rpc: _Rpc) -> None:
    """All receipts of a block; above the tip there is none."""
    answer = await rpc.result("events_proof", [7])
    assert answer["receipts"] == len(noun(EventsProof, answer["proof"]).receipts) == 1
    assert "rpc/NOT_FOUND" == (await rpc.error("events_proof", [8]))["data"]["name"]


async def test_chain_light(rpc: _Rpc) -> None:
    """Epoch changes from an epoch on, the tip, and on request the way of a block into its history."""
    answer = await rpc.result("chain_light")
    assert 0 == noun(EpochLink, answer["links"][0]).record.epoch
    assert 7 == noun(Anchor, answer["tip_proof"]).header.height
    assert "history" not in answer
    answer = await rpc.result("chain_light", {"epoch": "1", "limit": LINKS_MAX, "height": 3})
    assert [] == answer["links"]
    assert 3 == noun(HistoryProof, answer["history"]).block.header.height
