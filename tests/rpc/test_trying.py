"""Looking at a transaction before it is sent, and at its receipt after."""

import pytest

from cccnode.types import errors
from cccnode.types.errors import fault
from tests.rpc.test_dispatch import RAW, TX_ID, _Rpc, hexed
from tests.support.fake_node import NOW_MS, payment


@pytest.fixture
def rpc() -> _Rpc:
    return _Rpc()


async def test_check(rpc: _Rpc) -> None:
    """The verdict of admission with its reason; nothing is taken in."""
    assert {"tx_id": hexed(TX_ID), "admissible": True} == await rpc.result("tx_check", [hexed(RAW)])
    rpc.node.refuse[RAW] = fault(errors.TX_EXPIRED, valid_until_ms=1, now_ms=2)
    answer = await rpc.result("tx_check", [hexed(RAW)])
    assert (False, "tx/EXPIRED") == (answer["admissible"], answer["error"]["data"]["name"])
    assert [] == rpc.node.raws


async def test_simulate(rpc: _Rpc) -> None:
    """The receipt it would get, the row of the error table behind it, and what it would write."""
    answer = await rpc.result("tx_simulate", {"transaction": hexed(RAW)})
    assert (True, "failed", "pocket/EMPTY") == (
        answer["decided"],
        answer["receipt"]["outcome"],
        answer["error"]["data"]["name"],
    )
    assert [hexed(b"\x05"), None] == [change["value"] for change in answer["changes"]]


async def test_simulate_what_would_not_be_decided(rpc: _Rpc) -> None:
    """No receipt, and why; what is no transaction at all is an error."""
    late = payment(valid_until_ms=NOW_MS * 3)[1]
    answer = await rpc.result("tx_simulate", {"transaction": hexed(late)})
    assert (False, "tx/EXPIRY_TOO_FAR") == (answer["decided"], answer["error"]["data"]["name"])
    assert "receipt" not in answer
    assert "core/MALFORMED" == (await rpc.error("tx_simulate", ["0x00"]))["data"]["name"]


async def test_receipt(rpc: _Rpc) -> None:
    """Place and receipt of a decided transaction, with the events; not found before."""
    assert "rpc/NOT_FOUND" == (await rpc.error("tx_receipt", [hexed(TX_ID)]))["data"]["name"]
    rpc.node.decide(TX_ID, RAW)
    answer = await rpc.result("tx_receipt", [hexed(TX_ID)])
    assert ("7", 0, "ok") == (answer["height"], answer["position"], answer["receipt"]["outcome"])
    assert answer["receipt"]["events"]
