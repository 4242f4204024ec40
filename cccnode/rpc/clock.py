"""`/clock` on the operator's port: the city clock of a demo network, read with GET and set with POST."""

from typing import Annotated, Final, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta

from cccnode.rpc.asking import read_asked
from cccnode.types.errors import NOT_A_DEMO, fault
from cccnode.types.limits import AMOUNT_MAX

CLOCK_PATH: Final = "/clock"
_USAGE: Final = 'POST {"time_ms": "1767571200000"} with Content-Type: application/json'


class Clock(Protocol):
    """What the node brings where its genesis says `demo`."""

    def wall_ms(self) -> int:
        """City time, Unix milliseconds."""

    def set(self, time_ms: int) -> int:
        """Jump ahead; the time now.  Raises `demo/CLOCK_BACK`."""


class ClockRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to jump."""

    time_ms: Annotated[str, Meta(pattern="^(0|[1-9][0-9]{0,18})$(?!\\n)")]


async def send_clock(request: web.BaseRequest, clock: Clock | None) -> web.Response:
    """City time after what was asked.

    Raises:
        Fault: `demo/NOT_A_DEMO`, `demo/CLOCK_BACK`, `rpc/HTTP` or `core/OVERSIZE`.
    """
    if clock is None:
        raise fault(NOT_A_DEMO)
    if request.method == "POST":
        asked = await read_asked(request, ClockRequest, usage=_USAGE)
        clock.set(min(int(asked.time_ms), AMOUNT_MAX))
    return web.json_response({"time_ms": str(clock.wall_ms())})
