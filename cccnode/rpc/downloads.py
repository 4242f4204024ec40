"""Files that anyone may GET on the public port: what a node joins with, the genesis document and its allocation.

They are sent in pieces, a few readers at a time, never faster than each reads, and never to one that stopped reading.
Nobody need trust them: the chain id is the document's hash, and the document holds the hash of its allocation file.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from cccnode.types import errors
from cccnode.types.errors import fault

GENESIS_PATH: Final = "/genesis.json"
ALLOCATION_FOLDER: Final = "/genesis/"
READERS_MAX: Final = 8
"""Downloads at the same time."""
PIECE_BYTES: Final = 128 * 1024
"""Read and sent at once; above the size at which aiohttp waits for the reader."""
PIECE_TIMEOUT_S: Final = 20.0
"""A reader that takes no piece for so long has gone."""


class Downloads:
    """A fixed set of files by path."""

    def __init__(self, files: Mapping[str, Path], *, piece_timeout_s: float = PIECE_TIMEOUT_S) -> None:
        """Serve these files, and no others."""
        self._files = dict(files)
        self._piece_timeout_s = piece_timeout_s
        self.reading = 0
        """Downloads under way."""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return path in self._files

    async def send(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send the file of the request's path.

        Raises:
            Fault: `rpc/BUSY`, or `rpc/NOT_FOUND` when the file has gone from the disk.
        """
        if self.reading >= READERS_MAX:
            raise fault(errors.RPC_BUSY, downloads=self.reading)
        self.reading += 1
        try:
            return await self._stream(request, self._files[request.path])
        finally:
            self.reading -= 1

    async def _stream(self, request: web.BaseRequest, path: Path) -> web.StreamResponse:
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as error:
            raise fault(errors.NOT_FOUND, path=request.path, why=error.strerror or str(error)) from error
        response = web.StreamResponse()
        response.content_type = "application/json"
        response.content_length = size
        with file:
            try:
                await response.prepare(request)
                while size > 0 and (piece := await asyncio.to_thread(file.read, min(size, PIECE_BYTES))):
                    size -= len(piece)
                    async with asyncio.timeout(self._piece_timeout_s):
                        await response.write(piece)
            except (OSError, TimeoutError):
                size = -1
        if size and request.transport is not None:  # it went away, or the file became shorter: not the whole
            request.transport.abort()
        return response
