"""JSON-RPC over a WebSocket: the same answers as over HTTP, side by side, within its limits."""

import asyncio
import json
from typing import Any

import aiohttp
import msgspec
import pytest

from cccnode.rpc.methods import Method, Nothing, Scope
from cccnode.rpc.sockets import CALLS_AT_ONCE, Connection
from tests.rpc.test_server import RAW, STATUS, TX_ID, WAIT, _post, _serving


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two numbers, under the names of the specification."""

    minuend: int
    subtrahend: int


async def _subtract(_scope: Scope, params: Pair) -> int:
    return params.minuend - params.subtrahend


async def _nothing(_scope: Scope, _params: Nothing) -> list[Any]:
    return ["hello", 5]


SPECIFIED = {
    "subtract": Method(name="subtract", params=Pair, handle=_subtract, en="Subtract."),
    "get_data": Method(name="get_data", params=Nothing, handle=_nothing, en="Data."),
}
"""Methods of the examples in https://www.jsonrpc.org/specification, section 7."""
BATCH = (
    '[{"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},'
    '{"jsonrpc": "2.0", "method": "notify"},{"foo": "boo"},'
    '{"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},'
    '{"jsonrpc": "2.0", "method": "get_data", "id": "9"}]'
)
EXAMPLES: list[tuple[str, Any]] = [
    ('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', (19, 1)),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', (-19, 2)),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}', (19, 3)),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}', (19, 4)),
    ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    ('{"jsonrpc": "2.0", "method": "foobar"}', None),
    ('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', (-32601, "1")),
    ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', (-32700, None)),
    ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', (-32600, None)),
    ('[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]', (-32700, None)),
    ("[]", (-32600, None)),
    ("[1]", [(-32600, None)]),
    ("[1,2,3]", [(-32600, None)] * 3),
    (
        BATCH,
        [(19, "2"), (-32600, None), (-32601, "5"), (["hello", 5], "9")],
    ),
    ('[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},{"jsonrpc": "2.0", "method": "x"}]', None),
]


def _short(answer: Any) -> Any:
    """(result or error code, id) of an answer, or a list of them."""
    if isinstance(answer, list):
        return [_short(one) for one in answer]
    assert "2.0" == answer["jsonrpc"]
    return answer["result"] if "result" in answer else answer["error"]["code"], answer["id"]


@pytest.mark.parametrize(("request_text", "expected"), EXAMPLES)
async def test_specification_examples(request_text: str, expected: Any) -> None:
    """Every example of the JSON-RPC 2.0 specification is answered as it says, over HTTP and over a WebSocket."""
    async with _serving() as (_, server, session):
        server.dispatcher.methods = {**server.dispatcher.methods, **SPECIFIED}
        code, answer = await _post(session, server, request_text.encode())
        assert (204, None) == (code, answer) if expected is None else expected == _short(answer)
        async with session.ws_connect(f"http://{server.rpc_address}/ws") as socket:
            await socket.send_str(request_text)
            await socket.send_str('{"jsonrpc": "2.0", "method": "get_data", "id": "last"}')
            answers = [_short(await socket.receive_json())]
            if expected is not None:
                answers.append(_short(await socket.receive_json()))
            assert [(["hello", 5], "last")] == [answer for answer in answers if answer != expected]


async def test_calls_side_by_side() -> None:
    """A call that waits does not hold up the next one; it is answered when its time has come."""
    async with _serving() as (node, server, session), session.ws_connect(f"http://{server.rpc_address}/ws") as socket:
        await socket.send_str(WAIT.decode())
        await socket.send_str(STATUS.decode().replace('"id":1', '"id":2'))
        assert 2 == (await socket.receive_json())["id"]
        await node.submit([RAW])
        node.decide(TX_ID, RAW)
        assert ("executed", 1) == ((answer := await socket.receive_json())["result"]["state"], answer["id"])


async def test_waiting_calls_are_bounded() -> None:
    """A connection that waits for as many answers as it may is read no further until one has come."""
    async with _serving() as (node, server, session), session.ws_connect(f"http://{server.rpc_address}/ws") as socket:
        for _ in range(CALLS_AT_ONCE):
            await socket.send_str(WAIT.decode())
        await socket.send_str(STATUS.decode())
        await node.submit([RAW])
        node.decide(TX_ID, RAW)
        answers = [await socket.receive_json() for _ in range(CALLS_AT_ONCE + 1)]
        assert CALLS_AT_ONCE == sum("state" in answer["result"] and "tx_id" in answer["result"] for answer in answers)


async def test_invalid_frames() -> None:
    """Binary frames and frames over the limit end the connection; others go on."""
    async with _serving(socket_bytes_max=1024) as (_, server, session):
        for send in (lambda it: it.send_bytes(b"{}"), lambda it: it.send_str(" " * 2000)):
            async with session.ws_connect(f"http://{server.rpc_address}/ws") as socket:
                await send(socket)
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        async with session.ws_connect(f"http://{server.rpc_address}/ws") as socket:
            await socket.send_str("{")
            assert -32700 == (await socket.receive_json())["error"]["code"]


async def test_invalid_number_of_sockets() -> None:
    """One more client than allowed is told that the node is busy; a plain GET is told what the path is for."""
    async with _serving(sockets_max=1) as (_, server, session):
        async with session.get(f"http://{server.rpc_address}/ws") as response:
            assert (405, "rpc/HTTP") == (response.status, (await response.json())["error"]["data"]["name"])
        async with session.ws_connect(f"http://{server.rpc_address}/ws"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"http://{server.rpc_address}/ws")
            assert 503 == refused.value.status


async def test_idle_socket_is_closed() -> None:
    """A client that neither asks nor listens is sent away; one that listens stays."""
    async with _serving(socket_idle_ms=100) as (_, server, session):

        async def listen(connection: Connection, _params: Any) -> bool:
            connection.on_close.append(gone.set)
            return True

        gone = asyncio.Event()
        server.dispatcher.socket_calls["listen"] = listen
        async with session.ws_connect(f"http://{server.rpc_address}/ws") as listener:
            await listener.send_str('{"jsonrpc":"2.0","id":1,"method":"listen"}')
            assert True is (await listener.receive_json())["result"]
            async with session.ws_connect(f"http://{server.rpc_address}/ws") as idle:
                assert aiohttp.WSMsgType.CLOSE is (await idle.receive()).type
            await listener.send_str(STATUS.decode())
            assert "result" in await listener.receive_json()
        await asyncio.wait_for(gone.wait(), 5)


async def test_socket_calls_need_a_socket() -> None:
    """What only a socket has is an unknown method over HTTP."""
    async with _serving() as (_, server, session):

        async def never(_connection: Connection, _params: Any) -> None:
            raise AssertionError

        server.dispatcher.socket_calls["listen"] = never
        answer = (await _post(session, server, b'{"jsonrpc":"2.0","id":1,"method":"listen"}'))[1]
        assert "rpc/METHOD_NOT_FOUND" == answer["error"]["data"]["name"]


async def test_busy_node_says_so_on_a_socket() -> None:
    """Requests on sockets count with all others."""
    async with _serving() as (_, server, session), session.ws_connect(f"http://{server.rpc_address}/ws") as socket:
        server._answering = server._limits.requests_max
        await socket.send_str(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "chain_status"}))
        assert "rpc/BUSY" == (await socket.receive_json())["error"]["data"]["name"]
        server._answering = 0
