"""The same client for programs without asyncio: every call blocks; the event loop runs in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from cccnode.client.accounts import Signer
from cccnode.client.calls import FEE_MAX, LIFETIME_MS, TIMEOUT_S, Client, Sent, Signed
from cccnode.client.events import Event
from cccnode.client.sending import Sender
from cccnode.codec import Noun

T = TypeVar("T")


class _Loop:
    """An event loop in a thread, which ends with the program."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cccnode.client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it there and wait for it; an interrupt here ends it there."""
        promise = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return promise.result()
        finally:
            promise.cancel()

    def close(self) -> None:
        """End the thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class SyncClient:
    """One node's RPC; `with SyncClient(url) as node: node.status()`.  See `Client` for each call and its errors."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """A client of the node at `url`."""
        self.loop = _Loop()
        self.client = Client(url, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        """Use it in `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the session and end the thread."""
        with suppress(RuntimeError):  # closed before
            self.loop.run(self.client.close())
        self.loop.close()

    def call(self, method: str, **params: Any) -> Any:
        """The JSON result of one method."""
        return self.loop.run(self.client.call(method, **params))

    def status(self) -> dict[str, Any]:
        """`chain_status`."""
        return self.loop.run(self.client.status())

    def submit(self, raw: bytes) -> bytes:
        """Send a signed transaction; its id."""
        return self.loop.run(self.client.submit(raw))

    def submit_batch(self, raws: Sequence[bytes]) -> list[Sent]:
        """Send many signed transactions; one answer each, in order."""
        return self.loop.run(self.client.submit_batch(raws))

    def tx_status(self, tx_id: bytes, *, valid_until_ms: int | None = None) -> dict[str, Any]:
        """What the node knows of a transaction now."""
        return self.loop.run(self.client.tx_status(tx_id, valid_until_ms=valid_until_ms))

    def wait(self, tx_id: bytes, *, valid_until_ms: int | None = None, timeout_ms: int = LIFETIME_MS) -> dict[str, Any]:
        """The status of a transaction once it is decided."""
        return self.loop.run(self.client.wait(tx_id, valid_until_ms=valid_until_ms, timeout_ms=timeout_ms))

    def sign(self, signer: Signer, messages: Sequence[Noun], *, fee_max: int = FEE_MAX) -> Signed:
        """A signed transaction for this node's chain, not sent yet."""
        return self.loop.run(self.client.sign(signer, messages, fee_max=fee_max))

    def events(self, *, after: str | None = None, **filters: str) -> Iterator[Event]:
        """Events behind a cursor, each once, for ever; filters: module, name, account."""
        events = self.client.events(after=after, **filters)

        async def following() -> Event:
            return await anext(events)

        try:
            while True:
                yield self.loop.run(following())
        finally:
            self.loop.run(events.aclose())


class SyncSender:
    """An account's transactions, each exactly once; see `Sender`."""

    def __init__(self, node: SyncClient, signer: Signer, *, fee_max: int = FEE_MAX) -> None:
        """Send for `signer` through `node`."""
        self._loop = node.loop
        self._sender = Sender(node.client, signer, fee_max=fee_max)

    def send(self, messages: Sequence[Noun]) -> dict[str, Any]:
        """Sign, send, and wait for the decision: its status."""
        return self._loop.run(self._sender.send(messages))

    def deliver(self, signed: Signed) -> dict[str, Any]:
        """Send these bytes until somebody knows what became of them: the status."""
        return self._loop.run(self._sender.deliver(signed))
