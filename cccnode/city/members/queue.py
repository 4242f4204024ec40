"""What waits for a time: applications, recoveries, suspensions (modules.md R8)."""

from typing import Final

from cccnode.ledger.deadlines import schedule
from cccnode.ledger.state import Overlay

QUEUE: Final = "members"
APPLICATION: Final = b"\x01"
RECOVER: Final = b"\x02"
SUSPENSION: Final = b"\x03"
APPROVAL: Final = b"\x04"


def wake(state: Overlay, due_ms: int, what: bytes, address: bytes) -> None:
    """Look at an account again at a time."""
    schedule(state, QUEUE, due_ms, what + address)
