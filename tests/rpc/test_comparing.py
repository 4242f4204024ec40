"""What nodes are compared by: results of a height, hashes of the state's tree, groups of a bucket, items of a group."""

import json
from typing import Any

import pytest

from cccnode.config import RpcSection
from cccnode.crypto.proofs import DEPTH_MAX
from cccnode.rpc.comparing import STATE_NODES_MAX
from cccnode.rpc.dispatch import Dispatcher
from tests.support.fake_node import FakeNode

ZERO = "0x" + "00" * 32


async def call(method: str, **params: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await Dispatcher(FakeNode(), RpcSection()).answer(json.dumps(request).encode())
    assert answer is not None
    return json.loads(answer)


async def test_results() -> None:
    """Roots of one height, the newest by default; rpc/NOT_FOUND above it."""
    expected = dict.fromkeys(("block_id", "state_root", "receipts_root", "results_root"), ZERO)
    assert {"height": "7", **expected} == (await call("chain_results"))["result"]
    assert {"height": "3", **expected} == (await call("chain_results", height="3"))["result"]
    assert "rpc/NOT_FOUND" == (await call("chain_results", height="8"))["error"]["data"]["name"]


async def test_tree() -> None:
    """Hashes are joined, and stand at one height."""
    answer = (await call("state_nodes", level=0, first=0, count=3))["result"]
    assert {"height": "7", "hashes": "0x" + "00" * 96} == answer


async def test_bucket_and_group() -> None:
    """Groups with their hashes, from a name on; items with their values."""
    whole = (await call("state_bucket", bucket=1))["result"]
    assert ("7", 4, False) == (whole["height"], len(whole["groups"]), whole["more"])
    rest = (await call("state_bucket", bucket=1, after=whole["groups"][2][0]))["result"]
    assert whole["groups"][3:] == rest["groups"]
    assert {"height": "7", "items": [["0x75636363", "0x05"]]} == (await call("state_group", group="0x62"))["result"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("state_nodes", {"level": DEPTH_MAX + 1, "first": 0, "count": 1}),
        ("state_nodes", {"level": 0, "first": 0, "count": STATE_NODES_MAX + 1}),
        ("state_nodes", {"level": 0, "first": 1 << DEPTH_MAX, "count": 1}),
        ("state_bucket", {"bucket": 1 << DEPTH_MAX}),
        ("state_group", {"group": "0x"}),
    ],
)
async def test_invalid_parameters(method: str, params: dict[str, Any]) -> None:
    """What is out of bounds is rpc/INVALID_PARAMS."""
    assert "rpc/INVALID_PARAMS" == (await call(method, **params))["error"]["data"]["name"]
