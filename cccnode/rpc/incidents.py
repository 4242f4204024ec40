"""`POST /incident` on the operator's port: record what enters the consensus core, and send the capsule as it grows.

The recording lives as long as the request: who closes the link ends it, and the node keeps nothing.  Not on the public
port, and only for `Content-Type: application/json`, which a page in the operator's browser cannot send unasked.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta

from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from consensus.capsule import SECONDS_MAX

INCIDENT_PATH: Final = "/incident"
REQUEST_BYTES_MAX: Final = 4_096
PIECE_TIMEOUT_S: Final = 20.0
"""A reader that takes no piece for so long has gone."""
_JSON: Final = "application/json"
_USAGE: Final = 'POST {"seconds": 60, "reason": "..."} with Content-Type: application/json'


class Incidents(Protocol):
    """A node that can record itself."""

    def start(
        self, *, seconds: int, reason: str, write: Callable[[bytes], None], ended: Callable[[], None]
    ) -> Callable[[], None]:
        """Begin; `write` gets the pieces, `ended` is called after the last; what is returned ends it before its time.

        Raises:
            Fault: `incident/BUSY`, `incident/NOTHING_TO_RECORD` or `core/OVERSIZE`.
        """


class IncidentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to record."""

    seconds: Annotated[int, Meta(ge=1, le=SECONDS_MAX)]
    reason: Annotated[str, Meta(max_length=256)] = ""


async def send_incident(request: web.BaseRequest, incidents: Incidents) -> web.StreamResponse:
    """Record, and send the capsule piece by piece until the recording or the reader ends.

    Raises:
        Fault: before the first piece, for a request that cannot be carried out.
    """
    asked = await _read(request)
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    stop = incidents.start(
        seconds=asked.seconds, reason=asked.reason, write=pieces.put_nowait, ended=lambda: pieces.put_nowait(None)
    )
    response = web.StreamResponse()
    response.content_type = "application/octet-stream"
    try:
        await response.prepare(request)
        while (piece := await pieces.get()) is not None:
            async with asyncio.timeout(PIECE_TIMEOUT_S):
                await response.write(piece)
    except (OSError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    finally:
        stop()
    return response


async def _read(request: web.BaseRequest) -> IncidentRequest:
    size = request.content_length
    if request.content_type != _JSON or size is None:
        raise fault(errors.RPC_HTTP, usage=_USAGE)
    if size > REQUEST_BYTES_MAX:
        raise fault(errors.OVERSIZE, bytes=size, bytes_max=REQUEST_BYTES_MAX)
    try:
        async with asyncio.timeout(PIECE_TIMEOUT_S):
            raw = await request.content.readexactly(size)
        return msgspec.json.decode(raw, type=IncidentRequest)
    except (asyncio.IncompleteReadError, TimeoutError, msgspec.MsgspecError, ValueError) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> Fault:
    return fault(errors.RPC_HTTP, why=str(error), usage=_USAGE)
