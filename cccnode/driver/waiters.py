"""Who waits for the decision of which transaction, and who for the next block."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Waiter:
    """Somebody who wants to hear of one transaction."""

    valid_until_ms: int | None
    call: Callable[[], None]


class Waiters:
    """Calls to be made once; whoever registers them bounds their number and calls them off in time."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiters: dict[bytes, list[_Waiter]] = {}

    def __len__(self) -> int:
        """How many transactions are waited for."""
        return len(self._waiters)

    def add(self, tx_id: bytes, valid_until_ms: int | None, call: Callable[[], None]) -> Callable[[], None]:
        """Call once when it is executed or its deadline is final; returns how to call that off."""
        waiter = _Waiter(valid_until_ms, call)
        self._waiters.setdefault(tx_id, []).append(waiter)
        return lambda: self._remove(tx_id, [waiter])

    def wake(self, decided: Iterable[bytes], time_ms: int) -> None:
        """A block of that time was executed and decided these."""
        if not self._waiters:
            return
        for tx_id in decided:
            for waiter in self._waiters.pop(tx_id, ()):
                waiter.call()
        for tx_id, waiters in list(self._waiters.items()):
            due = [
                waiter for waiter in waiters if waiter.valid_until_ms is not None and waiter.valid_until_ms <= time_ms
            ]
            self._remove(tx_id, due)
            for waiter in due:
                waiter.call()

    def _remove(self, tx_id: bytes, gone: list[_Waiter]) -> None:
        left = [waiter for waiter in self._waiters.get(tx_id, ()) if waiter not in gone]
        if left:
            self._waiters[tx_id] = left
        else:
            self._waiters.pop(tx_id, None)


class NextBlock:
    """Tasks that wait until something holds, and look again after each executed block."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._next = asyncio.Event()

    def wake(self) -> None:
        """A block was executed."""
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, holds: Callable[[], bool], timeout_ms: int) -> bool:
        """Whether it holds, now or before the time is over."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while not holds():
                    await self._next.wait()
        except TimeoutError:
            return False
        return True
