"""What an operator asks with a POST on the operator's port: a small JSON object, whole within its time.

Only with `Content-Type: application/json`, which a page in the operator's browser cannot send unasked.
"""

import asyncio
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from cccnode.types import errors
from cccnode.types.errors import fault

T = TypeVar("T")

REQUEST_BYTES_MAX: Final = 4_096
REQUEST_TIMEOUT_S: Final = 20.0
_JSON: Final = "application/json"


async def read_asked(request: web.BaseRequest, kind: type[T], *, usage: str) -> T:
    """The object in the body of a request; `usage` says how one looks.

    Raises:
        Fault: `rpc/HTTP` or `core/OVERSIZE`.
    """
    size = request.content_length
    if request.content_type != _JSON or size is None:
        raise fault(errors.RPC_HTTP, usage=usage)
    if size > REQUEST_BYTES_MAX:
        raise fault(errors.OVERSIZE, bytes=size, bytes_max=REQUEST_BYTES_MAX)
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            raw = await request.content.readexactly(size)
        return msgspec.json.decode(raw, type=kind)
    except (asyncio.IncompleteReadError, TimeoutError, msgspec.MsgspecError, ValueError) as error:
        raise fault(errors.RPC_HTTP, why=str(error), usage=usage) from error
