"""The world as the driver sees it: time, deferred calls, writer threads.

Injected, so that a whole network runs from one seed: `AsyncioRuntime` is the real one, the simulation has its own with
virtual time (architecture D14).
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Timer(Protocol):
    """A deferred call that can still be called off."""

    def cancel(self) -> None:
        """Call it off; harmless when it already ran."""


class Runtime(Protocol):
    """Everything that is not a function of its arguments."""

    rng: random.Random
    """For jitter and the choice of peers; never for anything that affects agreement."""

    def now_ms(self) -> int:
        """Monotonic milliseconds: the only clock for timers."""

    def wall_ms(self) -> int:
        """Unix milliseconds: for header times and transaction deadlines only."""

    def cpu_ns(self) -> int:
        """CPU nanoseconds of the calling thread, for the stage table; zero where nobody measures."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` after pending input was handled; work that takes long is cut into such slices."""

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Timer:
        """Run `callback` after `delay_ms`."""

    def run_in_writer(self, writer: str, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Run the blocking `job` in the writer thread of that name, jobs of one writer in order, then `done` here."""


def raise_failure(result: object) -> None:
    """What a writer's job is answered with when only its failure matters."""
    if isinstance(result, BaseException):
        raise result


class AsyncioRuntime:
    """The real world: one event loop, one thread for each writer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fail: Callable[[BaseException], None]) -> None:
        """Bind to `loop`; an exception that escapes a callback goes to `fail`, which stops the node."""
        self.rng = random.Random()  # noqa: S311 - jitter, not secrets
        self._loop = loop
        self._fail = fail
        self._writers: dict[str, ThreadPoolExecutor] = {}
        self._closed = False
        self.timed: Callable[[str, float], None] = lambda writer, seconds: None
        """Told, in the writer's thread, how long each of its jobs took."""
        self.clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        """What `wall_ms` says; a demo city has a clock of its own."""

    def now_ms(self) -> int:
        """See `Runtime`."""
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        """See `Runtime`."""
        return self.clock()

    def cpu_ns(self) -> int:
        """See `Runtime`."""
        return time.thread_time_ns()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """See `Runtime`."""
        self._loop.call_soon(self.guarded, callback)

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Timer:
        """See `Runtime`."""
        return self._loop.call_later(delay_ms / 1000, self.guarded, callback)

    def run_in_writer(self, writer: str, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """See `Runtime`."""
        if writer not in self._writers:
            self._writers[writer] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"writer-{writer}")

        def timed() -> T:
            started = time.monotonic()
            try:
                return job()
            finally:
                self.timed(writer, time.monotonic() - started)

        def finished(future: Future[T]) -> None:
            error = future.exception()
            result: Any = error if error is not None else future.result()
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self.guarded, lambda: done(result))

        self._writers[writer].submit(timed).add_done_callback(finished)

    def close(self) -> None:
        """Wait for the writers to finish what they have begun."""
        self._closed = True
        for executor in self._writers.values():
            executor.shutdown(wait=True)

    def guarded(self, callback: Callable[[], None]) -> None:
        """Call now; what it raises stops the node, whoever called.  Nothing is called after `close`."""
        if self._closed:
            return
        try:
            callback()
        except BaseException as error:  # noqa: BLE001 - whatever escapes must stop the node, not vanish in the loop
            self._fail(error)
