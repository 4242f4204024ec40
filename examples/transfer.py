"""Move money and wait until it is final: `transfer.py URL KEYFILE TO AMOUNT`."""

import asyncio
import sys

from cccnode.city.bank.messages import BankTransfer
from cccnode.client import Account, Client, Sender
from cccnode.types.addresses import parse_account


async def main(url: str, key_file: str, to: str, amount: str) -> None:
    """Send it exactly once: the sender repeats the same bytes until somebody knows what became of them."""
    async with Client(url) as node:
        sender = Sender(node, Account.from_key_file(key_file))
        status = await sender.send([BankTransfer(parse_account(to), "uccc", int(amount))])
    print(status["state"], status["outcome"], "in block", status["height"], status["tx_id"])


asyncio.run(main(*sys.argv[1:]))
