"""Move money and wait until it is final, without asyncio: `transfer_plain.py URL KEYFILE TO AMOUNT`."""

import sys

from cccnode.city.bank.messages import BankTransfer
from cccnode.client import Account, SyncClient, SyncSender
from cccnode.types.addresses import parse_account

url, key_file, to, amount = sys.argv[1:]
with SyncClient(url) as node:
    sender = SyncSender(node, Account.from_key_file(key_file))
    status = sender.send([BankTransfer(parse_account(to), "uccc", int(amount))])
print(status["state"], status["outcome"], "in block", status["height"], status["tx_id"])
