"""How these tests wait for real processes: ask again, a little later, until it is so.  The only place that sleeps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import TypeVar

from cccnode.client import ClientError

T = TypeVar("T")

POLL_S = 0.1
TRIES = 600
"""Generous: a test fails for what it sees, not for a slow machine."""
QUIET_TRIES = 25
"""How often something must be seen unchanged before it counts as standing still."""


async def until(seen: Callable[[], Awaitable[T]], what: str | Callable[[], str], *, tries: int = TRIES) -> T:
    """The first answer of `seen` that is true; a node that does not answer yet is asked again."""
    last: object = None
    for _ in range(tries):
        try:
            answer = await seen()
        except ClientError as error:
            last = error
        else:
            if answer:
                return answer
            last = answer
        await asyncio.sleep(POLL_S)
    wanted = what if isinstance(what, str) else what()  # A text that tells what was seen is made at the end.
    raise AssertionError(f"never came: {wanted}; last seen: {last!r}")


async def stands_still(seen: Callable[[], Awaitable[object]], what: str) -> None:
    """`seen` settles and then gives the same answer many times in a row."""
    streak, last = 0, await seen()
    for _ in range(TRIES):
        await asyncio.sleep(POLL_S)
        now = await seen()
        streak, last = (streak + 1, last) if now == last else (0, now)
        if streak == QUIET_TRIES:
            return
    raise AssertionError(f"never stood still: {what}")


async def a_while(rng: Random, seconds_max: float) -> None:
    """No particular time: something is interrupted at whatever it is doing then."""
    await asyncio.sleep(rng.uniform(0, seconds_max))


async def beats(per_second: int) -> AsyncIterator[None]:
    """A steady pace, for ever."""
    while True:
        yield
        await asyncio.sleep(1 / per_second)
