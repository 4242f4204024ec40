"""Lines between validators fail under load; what was acknowledged is executed once, and the network comes back."""

from collections.abc import Sequence

import pytest

from cccnode.client import Client
from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, equal_roots, headers, height, signed_by, skipped_views
from tests.end_to_end.signatures import all_votes, contradictions
from tests.end_to_end.waiting import stands_still, until
from tests.support.proxy import Line, Passage

WHILE = 40
"""Blocks for which a line is bad."""
TEN_SECONDS = 120
"""Blocks that three validators make in about so long."""
SILENCE = 400
"""Blocks in more time than a node waits before it takes a silent peer for dead."""
FILES_MAX = 100
"""What a node of four may have open."""
OTHERS = [0, 1, 2]


@pytest.mark.parametrize(
    ("passage", "blocks"),
    [
        (Passage.CUT, WHILE),
        (Passage.LOST, WHILE),
        pytest.param(Passage.HELD, WHILE, marks=pytest.mark.long),
        pytest.param(Passage.CUT, SILENCE, marks=pytest.mark.long),
        pytest.param(Passage.LOST, SILENCE, marks=pytest.mark.long),
        pytest.param(Passage.HELD, SILENCE, marks=pytest.mark.long),
    ],
)
async def test_validator_without_lines(town: Network, wired: Load, passage: Passage, blocks: int) -> None:
    """Its lines are cut, swallow everything, or hold it back: three go on, and the fourth comes back by itself."""
    before = await picture(wired, [0])
    async with wired.running():
        await advance(wired.clients[0])
        wired.targets = OTHERS
        with town.proxy.laid(Line(passage=passage), [3]):
            at = await advance(wired.clients[0])
            alone = await wired.send(3)
            assert alone.acknowledged
            there = await advance(wired.clients[0], blocks)
            assert 3 not in await signed_by(wired.clients[0], at, there)
        assert (await wired.decided(0, alone))["outcome"] == "ok"
        await town.validating(wired.clients, 3)
        await until(lambda: signs(wired.clients[0], 3, there), "node 3 signs again")
    await exactly_once(wired, VALIDATORS, before)


async def test_frozen_validator(town: Network, wired: Load) -> None:
    """A validator that does nothing for ten seconds goes on where the others are."""
    before = await picture(wired, [0])
    async with wired.running():
        await advance(wired.clients[0])
        wired.targets = OTHERS
        town.freeze(3)
        there = await advance(wired.clients[0], TEN_SECONDS)
        town.thaw(3)
        await town.validating(wired.clients, 3)
        await until(lambda: signs(wired.clients[0], 3, there), "node 3 signs again")
    await exactly_once(wired, VALIDATORS, before)


async def test_two_against_two(town: Network, wired: Load) -> None:
    """Neither half has a quorum: no block on either side, both say so; joined again they go on as one chain."""
    before = await picture(wired, [0])
    async with wired.running():
        await advance(wired.clients[0])
        with town.proxy.laid(Line(passage=Passage.HELD), [0, 1], [2, 3]):
            for node in VALIDATORS:
                await until(lambda node=node: says(wired.clients[node], "consensus/NO_QUORUM"), f"node {node} stalls")
            heights = [await height(client) for client in wired.clients]
            await stands_still(lambda: heights_of(wired.clients), "both halves")
            waiting = [await wired.send(node) for node in VALIDATORS]
        for sent in waiting:
            assert (await wired.decided(0, sent))["outcome"] == "ok"
        reached = await advance(wired.clients[0], 2)
        await town.validating(wired.clients, *VALIDATORS)
    assert await skipped_views(wired.clients[0], min(heights), reached) <= 2
    await exactly_once(wired, VALIDATORS, before)
    assert not contradictions(all_votes(town.node(node).home.data for node in VALIDATORS))


async def test_slow_validator(town: Network, wired: Load) -> None:
    """Half a second away, a validator loses only the views that it leads, and still has every block."""
    before = await picture(wired, [0])
    async with wired.running():
        wired.targets = OTHERS
        with town.proxy.laid(Line(delay_ms=500, jitter_ms=20), [3]):
            at = await advance(wired.clients[0], 4)
            there = await advance(wired.clients[0], 24)
            await wired.final_everywhere([0, 1, 2, 3])
            rows = await headers(wired.clients[0], at, there)
            leaders = {int(row["view"]) % 4: row["proposer"] for row in rows}
            lost = {view % 4 for row in rows for view in range(int(row["parent_view"]) + 1, int(row["view"]))}
            assert {leaders.get(view, 3) for view in lost} == {3}, "a view of a quick leader was lost"
            for node in OTHERS:
                assert codes(await wired.clients[node].status()) == []
        await town.validating(wired.clients, 3)
    await exactly_once(wired, VALIDATORS, before)


async def test_vanished_connections(town: Network, wired: Load) -> None:
    """A validator loses its connections and the others do not notice: it dials anew, and is not taken for a second."""
    async with wired.running():
        await advance(wired.clients[0])
        town.proxy.vanish([3], OTHERS)
        there = await height(wired.clients[0])
        await until(lambda: signs(wired.clients[0], 3, there + 1), "node 3 signs again")
        await town.validating(wired.clients, *VALIDATORS)
        town.proxy.reset(VALIDATORS)
        there = await advance(wired.clients[0], 2)
        await town.validating(wired.clients, *VALIDATORS)
        await until(lambda: all_sign(wired.clients[0], there), "all sign again")
    assert "net/DUPLICATE_IDENTITY" not in town.log(3)
    assert max(town.open_files(node) for node in VALIDATORS) <= FILES_MAX
    await equal_roots(wired.clients)


async def signs(client: Client, validator: int, since: int) -> bool:
    """Whether it signed a block from this height on."""
    return validator in await signed_by(client, since, await height(client))


async def all_sign(client: Client, since: int) -> bool:
    return await signed_by(client, since, await height(client)) == set(VALIDATORS)


async def says(client: Client, code: str) -> bool:
    return code in codes(await client.status())


async def heights_of(clients: Sequence[Client]) -> list[int]:
    return [await height(client) for client in clients]
