"""`POST /snapshot` on the operator's port: take a snapshot now, and answer when it is certified.

Not on the public port, and only for `Content-Type: application/json`, which a page in the operator's browser cannot
send unasked.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from aiohttp import web

from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from storage.snapshots import Manifest

SNAPSHOT_PATH: Final = "/snapshot"
_JSON: Final = "application/json"


class Photographer(Protocol):
    """A node that can take a snapshot of itself."""

    def take(self, done: Callable[[Manifest | Fault], None]) -> None:
        """Begin; `done` gets it once it is certified.

        Raises:
            Fault: `storage/SNAPSHOT_BUSY`.
        """


async def send_snapshot(request: web.BaseRequest, photographer: Photographer) -> web.Response:
    """Take one, and say what it is.

    Raises:
        Fault: why there is none.
    """
    if request.content_type != _JSON:
        raise fault(errors.RPC_HTTP, usage="POST {} with Content-Type: application/json")
    taken: asyncio.Future[Manifest | Fault] = asyncio.get_running_loop().create_future()

    def done(result: Manifest | Fault) -> None:
        if not taken.done():
            taken.set_result(result)

    photographer.take(done)
    manifest = await taken
    if isinstance(manifest, Fault):
        raise manifest
    return web.json_response(described(manifest))


def described(manifest: Manifest) -> dict[str, object]:
    """A snapshot in a few words."""
    content = manifest.content
    return {
        "height": str(manifest.height),
        "block_id": "0x" + content.applied.block_id.hex(),
        "state_root": "0x" + content.applied.state_root.hex(),
        "identity": "0x" + manifest.identity.hex(),
        "groups": content.groups,
        "bytes": content.size,
        "pieces": manifest.pieces,
        "certified_at": str(manifest.certification.headers[-1].height),
    }
