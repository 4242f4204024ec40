"""The mempool, bound to the applied state, the duplicate window and the clock."""

from cccnode.driver.runtime import Runtime
from cccnode.ledger.window import Window
from cccnode.mempool import Mempool
from cccnode.types.errors import Fault
from cccnode.types.transaction import Verified
from storage.store import Store


class Admission:
    """What `dissemination` asks of the mempool (its `WaitingRoom`)."""

    def __init__(self, mempool: Mempool, window: Window, store: Store, runtime: Runtime) -> None:
        """Judge by what is applied at the time of asking."""
        self._mempool, self._window, self._store, self._runtime = mempool, window, store, runtime

    @property
    def waiting(self) -> int:
        """Transactions admitted and not yet in a batch."""
        return self._mempool.waiting

    def admit(self, verified: Verified) -> Fault | None:
        """Take it in, or say why not."""
        return self._mempool.admit(
            verified, wall_ms=self._runtime.wall_ms(), view=self._store.state, window=self._window
        )

    def take(self) -> list[Verified]:
        """The transactions of the next batch."""
        return self._mempool.take()
