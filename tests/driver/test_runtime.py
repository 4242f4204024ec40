"""The real runtime: writers in order, results on the loop, and failures that stop the node."""

import asyncio
import threading

import pytest

from cccnode.driver.runtime import AsyncioRuntime


def run(scenario: object) -> list[BaseException]:
    """Run `scenario(runtime, done)` on a loop until it sets `done`; returns what failed."""
    failures: list[BaseException] = []

    async def main() -> None:
        done = asyncio.Event()

        def fail(error: BaseException) -> None:
            failures.append(error)
            done.set()

        runtime = AsyncioRuntime(asyncio.get_running_loop(), fail)
        scenario(runtime, done)
        async with asyncio.timeout(10):
            await done.wait()
        runtime.close()

    asyncio.run(main())
    return failures


def test_jobs_of_one_writer_run_in_order_in_one_thread() -> None:
    """One thread for each writer; results come back on the loop's thread."""
    seen: list[tuple[int, str]] = []
    answered: list[int] = []

    def scenario(runtime: AsyncioRuntime, done: asyncio.Event) -> None:
        timed: list[str] = []
        runtime.timed = lambda writer, seconds: timed.append(writer)
        here = threading.current_thread()

        def finished(result: int) -> None:
            assert threading.current_thread() is here
            answered.append(result)
            if len(answered) == 20:
                assert ["disk"] * 20 == timed
                done.set()

        for number in range(20):

            def job(number: int = number) -> int:
                seen.append((number, threading.current_thread().name))
                return number

            runtime.run_in_writer("disk", job, finished)

    assert [] == run(scenario)
    assert list(range(20)) == [number for number, _ in seen] == answered
    assert {"writer-disk_0"} == {name for _, name in seen}


def test_an_error_of_a_job_is_its_result() -> None:
    """The caller decides what a failed write means."""
    got: list[object] = []

    def broken() -> int:
        raise OSError(28, "full")

    def scenario(runtime: AsyncioRuntime, done: asyncio.Event) -> None:
        runtime.run_in_writer("disk", broken, lambda result: (got.append(result), done.set()))

    assert [] == run(scenario)
    assert isinstance(got[0], OSError)


@pytest.mark.parametrize("how", ["soon", "later", "guarded"])
def test_what_escapes_stops_the_node(how: str) -> None:
    """An exception in a callback reaches `fail`; nothing vanishes in the loop."""

    def broken() -> None:
        raise AssertionError(how)

    def scenario(runtime: AsyncioRuntime, done: asyncio.Event) -> None:
        match how:
            case "soon":
                runtime.call_soon(broken)
            case "later":
                runtime.call_later(1, broken)
            case _:
                runtime.guarded(broken)

    assert [how] == [str(error) for error in run(scenario)]


def test_a_timer_called_off_never_fires() -> None:
    """Cancelling works until it ran, and is harmless afterwards."""

    def scenario(runtime: AsyncioRuntime, done: asyncio.Event) -> None:
        timer = runtime.call_later(1, lambda: runtime.guarded(lambda: 1 / 0))
        timer.cancel()
        last = runtime.call_later(5, done.set)
        runtime.call_later(6, last.cancel)
        assert runtime.wall_ms() > 1_600_000_000_000
        assert runtime.now_ms() <= runtime.now_ms()
        assert runtime.cpu_ns() <= runtime.cpu_ns()

    assert [] == run(scenario)
