"""Who waits for a decision hears of it once."""

import asyncio

from cccnode.driver.waiters import NextBlock, Waiters


def test_decided_expired_and_called_off() -> None:
    """A call comes when its transaction is decided, or when its deadline is final, and only once."""
    waiters, heard = Waiters(), []
    waiters.add(b"a", None, lambda: heard.append("a"))
    waiters.add(b"a", 50, lambda: heard.append("a too"))
    waiters.add(b"b", 100, lambda: heard.append("b"))
    waiters.add(b"c", 200, lambda: heard.append("c"))
    cancel = waiters.add(b"b", 100, lambda: heard.append("never"))
    cancel()
    cancel()

    waiters.wake([b"a"], 99)
    assert ["a", "a too"] == heard
    waiters.wake([], 100)
    waiters.wake([b"a"], 150)
    assert ["a", "a too", "b"] == heard
    assert 1 == len(waiters)


def test_nothing_is_left_of_who_gave_up() -> None:
    """Deadlines far in the future do not pile up."""
    waiters = Waiters()
    for number in range(1_000):
        waiters.add(b"%d" % (number % 10), 2**62, lambda: None)()

    assert 0 == len(waiters)


async def test_next_block() -> None:
    """Whoever waits for the chain looks again after each block, until it is so or the time is over."""
    blocks, height = NextBlock(), [3]
    waiting = asyncio.create_task(blocks.until(lambda: height[0] > 4, 60_000))
    for _ in range(2):
        await asyncio.sleep(0)
        assert not waiting.done()
        height[0] += 1
        blocks.wake()
    assert await waiting
    assert await blocks.until(lambda: True, 0)
    assert not await blocks.until(lambda: False, 0)
