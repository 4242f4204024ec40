"""All validators are down at once and come back one after the other, in any order."""

import itertools
import signal

import pytest

from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, height, skipped_views
from tests.end_to_end.waiting import until

LOST_MAX = 3
"""Views lost once a quorum is connected: the one in which all stopped; the next, whose leader gives up at once (R13);
and that of the validator still missing.  Two of them last until a timeout."""


@pytest.mark.parametrize(
    ("order", "how"),
    [
        ((3, 2, 1, 0), signal.SIGTERM),
        ((1, 3, 0, 2), signal.SIGKILL),
        *(
            pytest.param(order, signal.SIGKILL, marks=pytest.mark.long, id=f"killed-{order}")
            for order in itertools.permutations(VALIDATORS)
        ),
    ],
)
async def test_all_stopped_and_started(town: Network, wired: Load, order: tuple[int, ...], how: signal.Signals) -> None:
    """Blocks come within two view timeouts of a quorum, whatever the order; what was acknowledged happens once."""
    before = await picture(wired, [0])
    async with wired.running():
        await advance(wired.clients[0], 6)
        wired.targets = []
        at = await height(wired.clients[0])
        town.kill(*VALIDATORS, how=how)
        for index in order[:3]:
            town.start(index)
            await until(lambda index=index: answers(wired, index), f"node {index} answers")
            at = max(at, await height(wired.clients[index]))
        sent = await wired.send(order[0])
        assert sent.acknowledged
        decided = await wired.decided(order[0], sent)
        assert decided["outcome"] == "ok"
        assert await skipped_views(wired.clients[order[0]], at, int(decided["height"])) <= LOST_MAX
        town.start(order[3])
        await town.validating(wired.clients, *VALIDATORS)
    await exactly_once(wired, VALIDATORS, before)


async def answers(load: Load, index: int) -> bool:
    return bool(await load.clients[index].status())
