"""Print transfers from where this program stopped last time, until Ctrl-C: `follow.py URL FILE`.

The cursor in FILE is written after the event was dealt with, so a crash repeats one event at most and loses none.
"""

import asyncio
import sys
from contextlib import aclosing, suppress
from pathlib import Path

from cccnode.client import Client


async def main(url: str, file: Path) -> None:
    """Begin with the oldest event that the node keeps, the first time."""
    cursor = file.read_text(encoding="ascii") if file.exists() else "0"
    async with Client(url) as node, aclosing(node.events(after=cursor, module="bank", name="transfer")) as events:
        async for event in events:
            asset, source, target, amount = event.fields
            print(f"block {event.height}: {amount} {asset} from {source} to {target}", flush=True)
            remember(file, event.cursor)


def remember(file: Path, cursor: str) -> None:
    """Put it in the place of the old one at once, whole: this program may be killed at any time."""
    new = file.with_suffix(".new")
    new.write_text(cursor, encoding="ascii")
    new.replace(file)


with suppress(KeyboardInterrupt):
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
