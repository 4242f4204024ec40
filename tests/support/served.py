"""A fake node that serves in a thread of its own: commands run their own event loop."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from cccnode.config import RpcSection
from cccnode.rpc.server import RpcServer
from tests.support.fake_node import FakeNode


class Served:
    """`with Served(FakeNode()) as served:` answers at `served.address`."""

    def __init__(self, node: FakeNode, *, files: Mapping[str, Path] | None = None, **limits: Any) -> None:
        self.node = node
        self.loop = asyncio.new_event_loop()
        self.server = RpcServer(node, RpcSection(listen="127.0.0.1:0", **limits), None, files=files)
        self.thread = threading.Thread(target=self.loop.run_forever)

    @property
    def address(self) -> str:
        return self.server.rpc_address

    def __enter__(self) -> Self:
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(), self.loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
