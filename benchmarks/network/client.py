"""The lightest HTTP client that does: ready-made requests on connections that stay open."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from cccnode.types.limits import RPC_CALLS_MAX

Address = tuple[str, int]
_LENGTH: Final = b"content-length:"
_CLOSES: Final = b"connection: close"


def http(body: bytes) -> bytes:
    """A whole request with this JSON body."""
    head = f"POST /rpc HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def call(method: str, **params: object) -> dict[str, object]:
    """One JSON-RPC call."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


class Connection:
    """One connection to a node's RPC; one request at a time, others wait for their turn."""

    def __init__(self, address: Address) -> None:
        """Nothing is opened yet."""
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._turn = asyncio.Lock()

    async def post(self, request: bytes) -> bytes:
        """Send a whole request, return the body of the answer."""
        async with self._turn:
            if self._reader is None or self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(*self._address)
            self._writer.write(request)
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            start = head.index(_LENGTH) + len(_LENGTH)
            body = await self._reader.readexactly(int(head[start : head.index(b"\r", start)]))
            if _CLOSES in head:  # As a node answers what it refuses unread.
                self.close()
            return body

    async def ask(self, method: str, **params: object) -> Any:
        """The result of one call.

        Raises:
            RuntimeError: the node answered with an error.
        """
        return _result(json.loads(await self.post(http(json.dumps(call(method, **params)).encode()))))

    async def ask_all(self, calls: Sequence[dict[str, object]]) -> list[Any]:
        """The results of many calls, in order, as many in one request as a node takes."""
        results: list[Any] = []
        for first in range(0, len(calls), RPC_CALLS_MAX):
            body = json.dumps(calls[first : first + RPC_CALLS_MAX]).encode()
            answers = json.loads(await self.post(http(body)))
            if not isinstance(answers, list):
                raise RuntimeError(f"a node refused a request: {answers}")  # noqa: TRY004 - its answer, not our type
            results += [_result(answer) for answer in answers]
        return results

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _result(answer: dict[str, Any]) -> Any:
    if "result" not in answer:
        raise RuntimeError(f"a node refused a call: {answer}")
    return answer["result"]
