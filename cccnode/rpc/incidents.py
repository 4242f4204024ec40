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

from cccnode.rpc.asking import read_asked
from consensus.capsule import SECONDS_MAX

INCIDENT_PATH: Final = "/incident"
PIECE_TIMEOUT_S: Final = 20.0
"""A reader that takes no piece for so long has gone."""
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
    asked = await read_asked(request, IncidentRequest, usage=_USAGE)
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
