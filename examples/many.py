"""Many transfers of one account at the same time: `many.py URL KEYFILE TO COUNT`.

Transactions name no sequence number, so they need no order; what the tasks send at once goes in one call.
"""

import asyncio
import sys
from collections import Counter

from cccnode.city.bank.messages import BankTransfer
from cccnode.client import Account, Client, Sender
from cccnode.types.addresses import parse_account

TASKS = 32


async def main(url: str, key_file: str, to: str, count: str) -> None:
    """Share the work among tasks."""
    outcomes: Counter[str] = Counter()
    numbers = iter(range(int(count)))
    async with Client(url) as node:
        sender = Sender(node, Account.from_key_file(key_file))

        async def work() -> None:
            for _ in numbers:
                status = await sender.send([BankTransfer(parse_account(to), "uccc", 1)])
                outcomes[status.get("outcome", status["state"])] += 1

        await asyncio.gather(*(work() for _ in range(TASKS)))
    print(*(f"{name}: {count}" for name, count in sorted(outcomes.items())))


asyncio.run(main(*sys.argv[1:]))
