"""`/log` on the operator's port: how much a running node says, asked with GET and changed with POST.

Nothing is written to config.toml: a node that starts again says what its settings ask for.
"""

from typing import Final

import msgspec
from aiohttp import web

from cccnode.config import LogLevel
from cccnode.rpc.asking import read_asked
from cccnode.telemetry import LOUDNESS

LOG_PATH: Final = "/log"
_USAGE: Final = 'POST {"level": "debug"} with Content-Type: application/json; debug, info, warning or error'


class LevelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for."""

    level: LogLevel


async def send_level(request: web.BaseRequest) -> web.Response:
    """The level now, and before.

    Raises:
        Fault: `rpc/HTTP` or `core/OVERSIZE`.
    """
    before = LOUDNESS.level
    if request.method == "POST":
        before = LOUDNESS.set((await read_asked(request, LevelRequest, usage=_USAGE)).level)
    return web.json_response({"level": LOUDNESS.level, "before": before})
