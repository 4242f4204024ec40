"""`GET /v1/...`: the method table as paths, and refusals as RFC 9457 problems."""

from typing import Any

import pytest

from cccnode import codec
from cccnode.city import CITY
from cccnode.rpc.methods import method_table
from cccnode.rpc.rest import PROBLEM_TYPE, Routes, path_of, route_table, status_of
from cccnode.types import errors
from cccnode.types.addresses import account_text
from tests.rpc.test_server import TX_ID, _serving
from tests.support.fake_node import ACCOUNT


async def _get(session: Any, server: Any, path: str, **more: Any) -> tuple[int, Any]:
    async with session.get(f"http://{server.rpc_address}{path}", **more) as response:
        assert response.content_type in ("application/json", PROBLEM_TYPE)
        return response.status, await response.json()


def test_paths() -> None:
    """A method's path is its name, unless a better one is given; what changes something has none."""
    table = method_table(CITY)
    assert "/v1/registry/nodes" == path_of(table["registry_nodes"])
    assert "/v1/blocks/{height}" == path_of(table["chain_block"])
    served = {route.method.name for route in route_table(table.values())}
    assert {"tx_submit", "tx_submit_batch", "rpc.discover"} == set(table) - served


def test_routes_find_their_own_path() -> None:
    """Each path leads to its method and gives the texts in it; others lead nowhere."""
    table = method_table(CITY)
    routes = Routes(table.values())
    for route in route_table(table.values()):
        found = routes.find(route.path.replace("{", "").replace("}", "%20"))
        assert found
        assert (route, {name: name + " " for name in route.names}) == found
    for path in ("/", "/v1", "/v1/", "/v1/nothing", "/v1/status/", "/v1/blocks", "/v1/blocks/1/2/3"):
        assert routes.find(path) is None


async def test_get() -> None:
    """Status, a block by height, the newest one, an account's query: the same answers as by JSON-RPC."""
    async with _serving() as (node, server, session):
        node.state_now.apply({b"pocket/" + ACCOUNT: {b"uccc": codec.encode(5)}})
        assert "7" == (await _get(session, server, "/v1/status"))[1]["height"]
        assert "3" == (await _get(session, server, "/v1/blocks/3"))[1]["header"]["height"]
        assert "7" == (await _get(session, server, "/v1/headers/latest"))[1]["height"]
        content = await _get(session, server, f"/v1/pocket/content?account={account_text(ACCOUNT)}&asset=uccc")
        assert (200, {"account": account_text(ACCOUNT), "amount": "5"}) == content
        assert 200 == (await _get(session, server, "/v1/doctor?lang=th&observation=true"))[0]
        status = await _get(session, server, f"/v1/transactions/0x{TX_ID.hex()}/status?valid_until_ms=1")
        assert "expired" == status[1]["state"]


@pytest.mark.parametrize(
    ("path", "code", "name"),
    [
        ("/v1/blocks/99", 404, "rpc/NOT_FOUND"),
        ("/v1/nothing", 404, "rpc/NOT_FOUND"),
        ("/v1/blocks/abc", 400, "rpc/INVALID_PARAMS"),
        ("/v1/blocks/-1", 400, "rpc/INVALID_PARAMS"),
        ("/v1/blocks/3?hight=4", 400, "rpc/INVALID_PARAMS"),
        ("/v1/blocks/3?height=4", 400, "rpc/INVALID_PARAMS"),
        ("/v1/doctor?observation=1", 400, "rpc/INVALID_PARAMS"),
        ("/v1/light?limit=x", 400, "rpc/INVALID_PARAMS"),
        ("/v1/transactions/latest", 400, "rpc/INVALID_PARAMS"),
        ("/v1/transactions/%ff/wait?timeout_ms=99999999", 400, "rpc/INVALID_PARAMS"),
        (f"/v1/transactions/0x{TX_ID.hex()}/wait?timeout_ms=0", 408, "rpc/WAIT_TIMEOUT"),
        (f"/v1/accounts/{account_text(ACCOUNT)}/transactions", 404, "rpc/NO_HISTORY"),
    ],
)
async def test_invalid_requests(path: str, code: int, name: str) -> None:
    """A refusal is a problem with the name, number, remedy and Thai text of the error table."""
    async with _serving() as (_, server, session):
        status, answer = await _get(session, server, path)
        assert (code, name, code) == (status, answer["name"], answer["status"])
        assert {"type", "title", "code", "hint", "text_th", "hint_th", "retryable", "details"} < set(answer)


async def test_invalid_verb() -> None:
    """Nothing under /v1 is written to."""
    async with (
        _serving() as (_, server, session),
        session.post(f"http://{server.rpc_address}/v1/status") as response,
    ):
        assert (405, PROBLEM_TYPE) == (response.status, response.content_type)


async def test_documents_are_served() -> None:
    """The two documents of this node."""
    async with _serving() as (_, server, session):
        assert "3.1.0" == (await _get(session, server, "/openapi.json"))[1]["openapi"]
        assert "1.3.2" == (await _get(session, server, "/openrpc.json"))[1]["openrpc"]


def test_statuses() -> None:
    """Only what is our own failure, or passes, is a 5xx."""
    assert {errors.RPC_INTERNAL, errors.RPC_BUSY, errors.NO_STATE, errors.POOL_NOT_READY} <= {
        row for row in CITY.errors.values() if status_of(row) >= 500
    }
