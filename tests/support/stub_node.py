"""A stand-in for `python -m cccnode run`: the real ports, lock and signals around a fake node. For tests of testnet."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from cccnode.city import CITY
from cccnode.cli.node import end_with
from cccnode.config import load
from cccnode.home import Home, HomeLock
from cccnode.rpc.server import RpcServer
from cccnode.types import errors
from tests.support.fake_node import FakeNode, failed_check


async def _run(home: Home) -> None:
    settings = load(home, environment={}).config
    node = FakeNode(registry=CITY, decide_at_once=True)
    if os.environ.get("STUB_OBSERVES") == home.root.name:
        node.checks = [failed_check("signing", errors.NOT_SIGNING_JOURNAL_LOST)]
    server = RpcServer(node, settings.rpc, settings.ops)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    print("stub node runs", flush=True)
    await stop.wait()
    await server.stop()


def main() -> None:
    _, home, _, parent = sys.argv[2:]
    if os.environ.get("STUB_FAILS") == Path(home).name:
        sys.exit("stub node fails on purpose")
    end_with(int(parent))
    here = Home(Path(home))
    with HomeLock.take(here), suppress(KeyboardInterrupt):
        asyncio.run(_run(here))


if __name__ == "__main__":
    main()
