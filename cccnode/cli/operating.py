"""One question to the operator's port of a running node, with its errors named."""

import asyncio
from typing import Any, Final

import aiohttp

from cccnode.cli import output
from cccnode.cli.reach import from_client
from cccnode.client import error_from
from cccnode.types import errors

PATIENCE_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024


def ask(address: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    """What `address` answers: GET, or POST where there is a `body`.

    Raises:
        Trouble: `client/UNREACHABLE`, or what the node refuses with.
    """
    return asyncio.run(fetch(address, path, body))


async def fetch(address: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    """The same inside a loop; a report of what is not well is an answer too."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    method = "GET" if body is None else "POST"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, f"http://{address}{path}", json=body) as response,
        ):
            if response.content_type == "application/json" and response.status in range(400, 500):
                raise from_client(error_from((await response.json())["error"]))
            return await _bounded(response)
    except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError, KeyError) as error:
        raise output.trouble(errors.UNREACHABLE, ops=address, why=str(error) or "no answer in time") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
    return bytes(body)
