"""Check a transaction and the events of its block, believing nobody: `proven.py URL CHAIN TX_ID`.

CHAIN is the hash of the genesis document: all that has to be known from elsewhere.
"""

import asyncio
import sys

from cccnode.client import from_hex
from cccnode.client.light import LightClient


async def main(url: str, chain: str, tx_id: str) -> None:
    """Follow the validators from genesis, then check what the node says."""
    async with LightClient([url], chain=from_hex(chain)) as light:
        shown = await light.transaction(from_hex(tx_id))
        height = shown.header.height
        events = await light.events(height)
    print("transaction", tx_id, "is final in block", height, "with code", shown.receipt.code)
    for receipt in events.receipts:
        for module, name, *_ in receipt.events:
            print("event", module, name, "of", "0x" + receipt.tx_id.hex())


asyncio.run(main(*sys.argv[1:]))
