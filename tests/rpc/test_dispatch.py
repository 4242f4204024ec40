"""JSON-RPC 2.0: the examples of the specification, every method, and errors that say what to do."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cccnode import codec
from cccnode.city import CITY
from cccnode.config import RpcSection
from cccnode.rpc.backend import Phase, Place, TxStatus
from cccnode.rpc.dispatch import Dispatcher
from cccnode.rpc.methods import CORE_METHODS, method_table
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.errors import fault
from cccnode.types.limits import RPC_BATCH_MAX
from cccnode.types.promise import Promise
from tests.support.fake_node import ACCOUNT, CHAIN, NOW_MS, OTHER, POCKET_EMPTY, FakeNode, payment

TX_ID, RAW = payment()


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


class _Rpc:
    """A dispatcher with a fake node behind it."""

    def __init__(self, **limits: Any) -> None:
        self.node = FakeNode()
        self.failures: list[tuple[str, Exception]] = []
        self.dispatcher = Dispatcher(
            self.node, RpcSection(**limits), on_failure=lambda method, error: self.failures.append((method, error))
        )

    async def send(self, text: str | bytes) -> Any:
        answer = await self.dispatcher.answer(text.encode() if isinstance(text, str) else text)
        return None if answer is None else json.loads(answer)

    async def call(self, method: str, params: Any = None) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params})}
        return await self.send(json.dumps(request))

    async def result(self, method: str, params: Any = None) -> Any:
        answer = await self.call(method, params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, params: Any = None) -> Any:
        return (await self.call(method, params))["error"]


@pytest.fixture
def rpc() -> _Rpc:
    return _Rpc()


# -- the examples of https://www.jsonrpc.org/specification section 7 ---------------------------------------------------


async def test_specification_positional_and_named(rpc: _Rpc) -> None:
    """Parameters by position and by name, in any order, are the same call."""
    expected = {"tx_id": hexed(TX_ID), "state": "unknown"}
    assert await rpc.result("tx_status", [hexed(TX_ID), None]) == expected
    assert await rpc.result("tx_status", {"valid_until_ms": None, "tx_id": hexed(TX_ID)}) == expected


async def test_specification_notification(rpc: _Rpc) -> None:
    """A notification is carried out and not answered, even when it fails."""
    assert await rpc.send(json.dumps({"jsonrpc": "2.0", "method": "tx_submit", "params": [hexed(RAW)]})) is None
    assert rpc.node.raws == [RAW]
    assert await rpc.send('{"jsonrpc": "2.0", "method": "foobar"}') is None


async def test_specification_method_not_found(rpc: _Rpc) -> None:
    """A method that does not exist."""
    answer = await rpc.send('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}')
    assert (answer["error"]["code"], answer["id"]) == (-32601, "1")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700),
        ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', -32600),
        ('[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]', -32700),
        ("[]", -32600),
    ],
)
async def test_specification_invalid(rpc: _Rpc, body: str, code: int) -> None:
    """Invalid JSON, an invalid request, an invalid batch and the empty batch: one error with a null id."""
    answer = await rpc.send(body)
    assert (answer["error"]["code"], answer["id"], answer["jsonrpc"]) == (code, None, "2.0")


@pytest.mark.parametrize("count", [1, 3])
async def test_specification_batch_of_rubbish(rpc: _Rpc, count: int) -> None:
    """Every element that is no call has its own error."""
    answers = await rpc.send(json.dumps([1] * count))
    assert [answer["error"]["code"] for answer in answers] == [-32600] * count


async def test_specification_batch(rpc: _Rpc) -> None:
    """A mixed batch: answers for calls, none for notifications, errors where they belong."""
    batch = [
        {"jsonrpc": "2.0", "method": "chain_status", "id": "1"},
        {"jsonrpc": "2.0", "method": "tx_submit", "params": [hexed(RAW)]},
        {"jsonrpc": "2.0", "method": "tx_status", "params": [hexed(TX_ID)], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "net_peers", "id": "9"},
    ]
    answers = await rpc.send(json.dumps(batch))
    assert [(answer["id"], answer.get("error", {}).get("code")) for answer in answers] == [
        ("1", None),
        ("2", None),
        (None, -32600),
        ("5", -32601),
        ("9", None),
    ]
    assert answers[1]["result"]["state"] == "batched"


async def test_specification_batch_of_notifications(rpc: _Rpc) -> None:
    """A batch of notifications is not answered at all."""
    assert await rpc.send('[{"jsonrpc":"2.0","method":"chain_status"},{"jsonrpc":"2.0","method":"x"}]') is None


# -- methods -----------------------------------------------------------------------------------------------------------


async def test_chain_status(rpc: _Rpc) -> None:
    """The status has every field that operators' tools read; heights are text."""
    status = await rpc.result("chain_status")
    assert {"chain", "height", "epoch", "view", "state", "validators", "peers", "behind", "reasons"} <= set(status)
    assert (status["chain"], status["height"], status["behind"]) == (hexed(CHAIN), "7", 0)
    assert len(status["validators"]) == 4


async def test_chain_header(rpc: _Rpc) -> None:
    """The newest header, or one by height in either form."""
    newest = await rpc.result("chain_header")
    assert newest["height"] == "7"
    assert await rpc.result("chain_header", {"height": "7"}) == newest
    assert await rpc.result("chain_header", [7]) == newest


async def test_chain_block(rpc: _Rpc) -> None:
    """A block shows raw transactions, receipts with names, and its certificate."""
    block = await rpc.result("chain_block", {"height": "3"})
    assert block["batches"] == [[hexed(RAW)]]
    assert block["receipts"][0]["error"]["data"]["name"] == "pocket/EMPTY"
    assert block["receipts"][0]["outcome"] == "failed"
    assert block["certificate"]["kind"] == "finalize"


@pytest.mark.parametrize("method", ["chain_header", "chain_block"])
async def test_invalid_height(rpc: _Rpc, method: str) -> None:
    """A height above the applied one is not found."""
    assert (await rpc.error(method, ["8"]))["data"]["name"] == "rpc/NOT_FOUND"


async def test_pruned_height(rpc: _Rpc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A height that the node no longer keeps is told apart from one that never was."""

    def pruned(height: int) -> None:
        raise fault(errors.PRUNED, height=height)

    monkeypatch.setattr(rpc.node, "block", pruned)
    assert (await rpc.error("chain_block", ["1"]))["data"]["name"] == "storage/PRUNED"


async def test_submit_to_a_node_that_is_not_ready(rpc: _Rpc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that cannot take transactions now refuses the whole call, retryable."""

    async def refuse(raws: object) -> None:
        raise fault(errors.POOL_NOT_READY)

    monkeypatch.setattr(rpc.node, "submit", refuse)
    error = await rpc.error("tx_submit_batch", [[hexed(RAW)]])
    assert (error["data"]["name"], error["data"]["retryable"]) == ("pool/NOT_READY", True)


async def test_chain_validators(rpc: _Rpc) -> None:
    """The epoch record with quorum and tolerated faults."""
    record = await rpc.result("chain_validators")
    assert (record["quorum"], record["faults"], len(record["validators"])) == (3, 1, 4)
    assert record["limits"]["tx_lifetime_max_ms"] == "300000"


async def test_submit_and_wait(rpc: _Rpc) -> None:
    """A submitted transaction is acknowledged with its id; waiting answers when it is decided."""
    assert await rpc.result("tx_submit", {"transaction": hexed(RAW)}) == {"tx_id": hexed(TX_ID)}
    waiting = asyncio.create_task(rpc.result("tx_wait", {"tx_id": hexed(TX_ID)}))
    await asyncio.sleep(0)
    rpc.node.decide(TX_ID, RAW)
    done = await waiting
    assert (done["state"], done["outcome"], done["height"], done["position"]) == ("executed", "ok", "7", 0)
    assert rpc.dispatcher.waiting == 0


async def test_submit_with_a_promise(rpc: _Rpc) -> None:
    """On request the answer holds the node's word; there is none for what is decided already."""
    answer = await rpc.result("tx_submit", {"transaction": hexed(RAW), "promise": True})
    promise = codec.decode(Promise, bytes.fromhex(answer["promise"][2:]))
    assert (promise.tx_id, promise.after < promise.by) == (TX_ID, True)
    rpc.node.decide(TX_ID, RAW)
    assert (await rpc.result("tx_submit", {"transaction": hexed(RAW), "promise": True}))["promise"] is None


async def test_submit_and_wait_in_one_batch(rpc: _Rpc) -> None:
    """Calls of a batch are carried out in order, so one request sends money and sees it final."""
    rpc.node.decide_at_once = True
    answers = await rpc.send(
        json.dumps(
            [
                {"jsonrpc": "2.0", "id": 1, "method": "tx_submit", "params": [hexed(RAW)]},
                {"jsonrpc": "2.0", "id": 2, "method": "tx_wait", "params": [hexed(TX_ID)]},
            ]
        )
    )
    assert answers[1]["result"]["state"] == "executed"


async def test_failed_transaction_names_its_error(rpc: _Rpc) -> None:
    """A failed receipt shows the row of the module's error table."""
    rpc.node.decide(TX_ID, RAW, code=POCKET_EMPTY.code)
    status = await rpc.result("tx_status", [hexed(TX_ID)])
    assert (status["outcome"], status["code"], status["error"]["data"]["hint"]) == ("failed", 9001, "Fill it.")


async def test_expired_needs_only_the_deadline(rpc: _Rpc) -> None:
    """With the deadline, a node that never saw a transaction says that it has expired."""
    params = {"tx_id": hexed(TX_ID), "valid_until_ms": str(NOW_MS - 1)}
    assert (await rpc.result("tx_status", params))["state"] == "expired"
    assert (await rpc.result("tx_wait", params))["state"] == "expired"


async def test_refused_status_carries_its_reason(rpc: _Rpc) -> None:
    """A status of a transaction that this node refused says why."""
    rpc.node.known[TX_ID] = TxStatus(phase=Phase.REFUSED, fault=fault(errors.POOL_FULL))
    status = await rpc.result("tx_status", [hexed(TX_ID)])
    assert (status["state"], status["error"]["data"]["name"]) == ("refused", "pool/FULL")


async def test_wait_timeout(rpc: _Rpc) -> None:
    """An undecided transaction is `rpc/WAIT_TIMEOUT`, retryable, after the time asked for."""
    error = await rpc.error("tx_wait", {"tx_id": hexed(TX_ID), "timeout_ms": 0})
    assert (error["data"]["name"], error["data"]["retryable"]) == ("rpc/WAIT_TIMEOUT", True)


async def test_invalid_too_many_waiters() -> None:
    """One waiter too many is told at once that the node is busy."""
    rpc = _Rpc(waiters_max=1)
    first = asyncio.create_task(rpc.call("tx_wait", {"tx_id": hexed(TX_ID)}))
    await asyncio.sleep(0)
    assert (await rpc.error("tx_wait", [hexed(TX_ID)]))["data"]["name"] == "rpc/BUSY"
    rpc.node.decide(TX_ID, RAW)
    assert (await first)["result"]["state"] == "executed"


async def test_submit_batch(rpc: _Rpc) -> None:
    """512 transactions in one call; each has its own answer, in order."""
    made = [payment(salt=i) for i in range(RPC_BATCH_MAX)]
    rpc.node.refuse[made[3][1]] = fault(errors.TX_BAD_SIGNATURE)
    raws = [*(hexed(raw) for _, raw in made[:-1]), "0x00"]
    results = (await rpc.result("tx_submit_batch", {"transactions": raws}))["results"]
    assert [row["tx_id"] for row in results[:3]] == [hexed(tx_id) for tx_id, _ in made[:3]]
    assert (results[3]["tx_id"], results[3]["error"]["data"]["name"]) == (None, "tx/BAD_SIGNATURE")
    assert results[-1]["error"]["data"]["name"] == "core/MALFORMED"
    assert len(rpc.node.raws) == RPC_BATCH_MAX - 2


async def test_invalid_submit_batch(rpc: _Rpc) -> None:
    """513 transactions, and none, are refused as a whole."""
    for raws in (["0x00"] * (RPC_BATCH_MAX + 1), []):
        assert (await rpc.error("tx_submit_batch", [raws]))["data"]["name"] == "rpc/INVALID_PARAMS"
    assert rpc.node.raws == []


async def test_invalid_submit(rpc: _Rpc) -> None:
    """A refused transaction is an error with its name and the values that explain it."""
    error = await rpc.error("tx_submit", [hexed(payment(valid_until_ms=NOW_MS * 3)[1])])
    assert error["code"] == errors.TX_EXPIRY_TOO_FAR.code
    assert error["data"]["details"] == {"valid_until_ms": str(NOW_MS * 3)}


async def test_tx_get(rpc: _Rpc) -> None:
    """A decided transaction: fields for people, receipt with events, raw bytes."""
    rpc.node.decide(TX_ID, RAW)
    found = await rpc.result("tx_get", {"tx_id": hexed(TX_ID)})
    assert (found["tx_id"], found["height"], found["raw"]) == (hexed(TX_ID), "7", hexed(RAW))
    assert found["transaction"]["messages"] == [
        {"type": "PocketPay", "to": account_text(OTHER), "asset": "uccc", "amount": "5"}
    ]
    assert found["receipt"]["events"] == [["pocket", "paid", "5", account_text(OTHER)]]
    assert (await rpc.error("tx_get", [hexed(bytes(32))]))["data"]["name"] == "rpc/NOT_FOUND"


async def test_account_transactions(rpc: _Rpc) -> None:
    """Page after page, newest first, until there is no next one; what a rule of the block did has no transaction."""
    assert (await rpc.error("account_transactions", [account_text(OTHER)]))["data"]["name"] == "rpc/NO_HISTORY"
    rpc.node.history = {OTHER: [(Place(7, 1), TX_ID), (Place(7, 0), bytes(32)), (Place(3, 9), TX_ID)]}
    first = await rpc.result("account_transactions", {"account": account_text(OTHER), "limit": 2})
    assert first["transactions"] == [
        {"height": "7", "position": 1, "tx_id": hexed(TX_ID)},
        {"height": "7", "position": 0, "tx_id": None},
    ]
    assert (first["next"], first["first_height"], first["last_height"]) == ("7/0", "1", "7")
    second = await rpc.result("account_transactions", [account_text(OTHER), first["next"], 2])
    assert ([row["height"] for row in second["transactions"]], second["next"]) == (["3"], None)
    for wrong in ("7", "7/", "-1/0", "7/0/0"):
        assert (await rpc.error("account_transactions", [account_text(OTHER), wrong]))["code"] == -32602


async def test_net_peers(rpc: _Rpc) -> None:
    """Connected nodes, and those that are tried in vain with the reason and the next try."""
    found = await rpc.result("net_peers")
    assert (found["peers"][0]["direction"], found["peers"][0]["height"]) == ("out", "8")
    assert found["dialling"][0]["error"]["data"]["name"] == "net/NOT_REGISTERED"


async def test_module_query(rpc: _Rpc) -> None:
    """A query of a module is a method, with its own parameters, defaults and errors."""
    rpc.node.state_now.apply({b"pocket/" + ACCOUNT: {b"uccc": codec.encode(2**60)}})
    params = {"account": account_text(ACCOUNT)}
    assert (await rpc.result("pocket_content", params))["amount"] == str(2**60)
    assert (await rpc.error("pocket_content", {**params, "asset": "none"}))["data"]["name"] == "rpc/NOT_FOUND"


# -- errors ------------------------------------------------------------------------------------------------------------


async def test_errors_say_what_to_do(rpc: _Rpc) -> None:
    """Every error has a number, a stable name, retryable, a hint, both languages and details."""
    error = await rpc.error("tx_stauts", {})
    assert error["code"] == -32601
    assert error["data"]["details"] == {"method": "tx_stauts", "did_you_mean": "tx_status"}
    assert {"name", "retryable", "hint", "text_th", "hint_th", "details"} == set(error["data"])
    assert re.search("[\u0e00-\u0e7f]", error["data"]["text_th"])


@pytest.mark.parametrize(
    ("method", "params", "where"),
    [
        ("chain_header", {"heigth": 1}, "params.heigth"),
        ("chain_header", ["-1"], "params.height"),
        ("chain_header", [1, 2], "params"),
        ("chain_status", {"x": 1}, "params.x"),
        ("tx_status", {}, "params.tx_id"),
        ("tx_wait", {"tx_id": hexed(TX_ID), "timeout_ms": "10"}, "params.timeout_ms"),
        ("tx_wait", {"tx_id": hexed(TX_ID), "timeout_ms": 10**9}, "params"),
        ("tx_submit", ["0xABCD"], "params.transaction"),
        ("state_proof", ["0x"], "params"),
        ("state_proof", {"group": "0x01", "wait_ms": 10**6}, "params"),
        ("chain_light", {"limit": 65}, "params"),
        ("pocket_content", ["ccc1"], "params.account"),
    ],
)
async def test_invalid_params(rpc: _Rpc, method: str, params: Any, where: str) -> None:
    """A wrong parameter is named by its place."""
    error = await rpc.error(method, params)
    assert error["code"] == -32602
    assert error["data"]["details"]["param"] == where


async def test_our_own_failure_is_named_and_reported(rpc: _Rpc) -> None:
    """A bug in a handler is `rpc/INTERNAL`, logged, and tells nothing of our inside."""
    rpc.node.broken = ZeroDivisionError("secret detail")
    error = await rpc.error("chain_status")
    assert (error["code"], error["data"]["name"]) == (-32603, "rpc/INTERNAL")
    assert "secret" not in json.dumps(error)
    assert [(method, type(problem)) for method, problem in rpc.failures] == [("chain_status", ZeroDivisionError)]


async def test_errors_never_echo_a_request_at_length(rpc: _Rpc) -> None:
    """Long names and values are cut in answers."""
    answer = await rpc.call("m" * 5000, {"x" * 5000: "y" * 5000})
    assert len(json.dumps(answer)) < 1500
    answer = await rpc.call("tx_status", {"x" * 5000: 1})
    assert len(json.dumps(answer)) < 1500


async def test_metrics_count_by_known_method(rpc: _Rpc) -> None:
    """Calls are counted by method and outcome; names that strangers invent make no labels."""
    await rpc.call("chain_status")
    await rpc.call("invented")
    text = rpc.node.metrics.render().decode()
    assert 'cccnode_rpc_requests_total{method="chain_status",outcome="ok"} 1.0' in text
    assert 'cccnode_rpc_requests_total{method="unknown",outcome="rpc/METHOD_NOT_FOUND"} 1.0' in text
    assert "invented" not in text


def test_core_methods() -> None:
    """Every method that the network promises is there: core ones here, the rest from city modules."""
    promised = (
        "chain_status chain_header chain_block chain_validators tx_submit tx_submit_batch tx_status tx_wait tx_get "
        "account_get bank_balance state_proof tx_proof events_proof chain_light net_peers"
    )
    assert set(promised.split()) <= set(method_table(CITY))
    assert len({method.name for method in CORE_METHODS}) == len(CORE_METHODS)


def test_rpc_imports_no_upper_floor() -> None:
    """The room knows neither driver nor node nor client."""
    folder = Path(__file__).resolve().parents[2] / "cccnode" / "rpc"
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    assert not re.search(r"from cccnode\.(driver|node|cli|client|web)", text)
