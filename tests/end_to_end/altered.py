"""`python -m tests.end_to_end.altered run ...`: cccnode of another build.

It calls itself `VERSION`, knows the feature `FEATURE` too, and takes `FEE_MORE` base units more for every transaction
than its network agreed on.
"""

import os
import sys
from importlib import import_module

import msgspec

from cccnode.city import CITY
from cccnode.city.bank import fees
from cccnode.cli.main import run_cli
from cccnode.ledger.fees import FeeSchedule
from cccnode.ledger.state import Reader

FEE_MORE = int(os.environ.get("FEE_MORE", "0"))
_agreed = fees.schedule


def _schedule(state: Reader) -> FeeSchedule:
    agreed = _agreed(state)
    return msgspec.structs.replace(agreed, base=agreed.base + FEE_MORE)


fees.schedule = _schedule
if "FEATURE" in os.environ:
    CITY.features |= {os.environ["FEATURE"]}
if "VERSION" in os.environ:
    import_module("cccnode.node.run").version = lambda _: os.environ["VERSION"]  # type: ignore[attr-defined]

sys.exit(run_cli())
