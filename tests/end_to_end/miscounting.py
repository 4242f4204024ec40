"""`python -m tests.end_to_end.miscounting run ...`: cccnode that credits a unit too much where `MISCOUNT` are moved."""

import os
import sys

from cccnode.city.bank import rules
from cccnode.cli.main import run_cli
from cccnode.ledger.state import Overlay

MISCOUNT = int(os.environ.get("MISCOUNT", "0"))
_credit = rules.credit


def _wrong(state: Overlay, account: bytes, asset: str, amount: int, limit: int) -> int:
    return _credit(state, account, asset, amount + (amount == MISCOUNT), limit)


rules.credit = _wrong

sys.exit(run_cli())
