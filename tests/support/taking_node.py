"""A fake node that executes what it takes, some time later, and says what it has seen before."""

import asyncio
from collections import Counter
from typing import Any

from cccnode.rpc.backend import Phase, Submitted
from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from tests.support.fake_node import FakeNode


class TakingNode(FakeNode):
    """Executes what it takes, some time later; remembers what was handed in, and how often."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.executed: Counter[bytes] = Counter()
        self.handed_in: Counter[bytes] = Counter()
        self.refusals: list[Fault | None] = []
        """For the transactions that come next, in order."""

    def _submit(self, raw: bytes) -> Submitted:
        self.handed_in[raw] += 1
        if self.refusals and (refusal := self.refusals.pop(0)) is not None:
            return b"", refusal
        known = len(self.raws)
        tx_id, refused = super()._submit(raw)
        if refused is None and self.known[tx_id].phase is Phase.EXECUTED:
            del self.raws[known:]
            return tx_id, fault(errors.TX_DUPLICATE)
        if refused is None and tx_id not in self.executed:
            self.executed[tx_id] += 1
            asyncio.get_running_loop().call_soon(self.decide, tx_id, raw)
        return tx_id, refused
