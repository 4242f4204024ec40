"""`POST /backup` on the operator's port: the engine's rows of one moment, in frames, never faster than they are taken.

Not on the public port, and only for `Content-Type: application/json`, which a page in the operator's browser cannot
send unasked.  Blocks and receipts are not sent: their files never change, so whoever is on the same machine reads them.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta

from cccnode.rpc.asking import read_asked
from cccnode.types.errors import Fault
from storage import records

BACKUP_PATH: Final = "/backup"
PIECE_TIMEOUT_S: Final = 60.0
"""A reader that takes no piece for so long has gone."""
PAUSE_S_MAX: Final = 0.05
"""After each page the node rests for as long as the page took, up to this: blocks come first."""
_USAGE: Final = 'POST {"heights_from": 0} with Content-Type: application/json'


class Copying(Protocol):
    """A copy under way."""

    def next(self, taken: Callable[[bytes | Fault | None], None]) -> None:
        """Read a page; `taken` gets it, None after the last, or why there is none."""

    def close(self) -> None:
        """Let go of it."""


class Copier(Protocol):
    """A node that can be copied."""

    def begin(self, first: int) -> Copying:
        """Begin, with the heights from `first` on.

        Raises:
            Fault: `storage/BACKUP_BUSY`.
        """


class BackupRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to copy."""

    heights_from: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


async def send_copy(request: web.BaseRequest, copier: Copier) -> web.StreamResponse:
    """Send page after page; a copy that fails midway ends without its last page, so that it is not taken for whole.

    Raises:
        Fault: before the first page.
    """
    asked = await read_asked(request, BackupRequest, usage=_USAGE)
    copy = copier.begin(asked.heights_from)
    response = web.StreamResponse()
    response.content_type = "application/octet-stream"
    try:
        page = await _page(copy)
        if isinstance(page, Fault):
            raise page
        await response.prepare(request)
        await _send(response, copy, page)
    except (OSError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    finally:
        copy.close()
    return response


async def _send(response: web.StreamResponse, copy: Copying, page: bytes | Fault | None) -> None:
    clock = asyncio.get_running_loop().time
    while isinstance(page, bytes):
        async with asyncio.timeout(PIECE_TIMEOUT_S):
            await response.write(records.frame(page))
        began = clock()
        page = await _page(copy)
        await asyncio.sleep(min(clock() - began, PAUSE_S_MAX))


async def _page(copy: Copying) -> bytes | Fault | None:
    read: asyncio.Future[bytes | Fault | None] = asyncio.get_running_loop().create_future()

    def taken(page: bytes | Fault | None) -> None:
        if not read.done():
            read.set_result(page)

    copy.next(taken)
    return await read
