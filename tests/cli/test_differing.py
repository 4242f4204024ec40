"""Where two nodes first differ: found in few questions from the newest height on, also where old results are gone."""

from typing import Any

import pytest

from cccnode.cli.differing import Search
from cccnode.client.failures import local_error
from cccnode.node.replaying import at_genesis
from cccnode.types.errors import NOT_FOUND, PRUNED, REPLAY_IMPOSSIBLE, RPC_INTERNAL, ErrorSpec, Fault
from tests.support.city import demo


class Told:
    """A node that went wrong at one height, or never, and keeps results and blocks from another on."""

    url = "fake"

    def __init__(self, wrong: int | None = None, kept: int = 0, refusal: ErrorSpec = PRUNED) -> None:
        self.wrong, self.kept, self.refusal = wrong, kept, refusal
        self.asked: list[int] = []

    async def results(self, height: int) -> dict[str, Any]:
        self.asked.append(height)
        self._keeps(height)
        return {"results_root": "wrong" if self.wrong is not None and height >= self.wrong else "right"}

    async def block(self, height: int) -> Any:
        self._keeps(height)
        return self

    def _keeps(self, height: int) -> None:
        if height < self.kept:
            raise local_error(self.refusal, height=height, earliest=self.kept)


def search(own: Told, *peers: Told) -> Search:
    return Search(own=own, peers=peers, begin=lambda _: at_genesis(demo().document), progress=lambda *_: None)


@pytest.mark.parametrize("last", [1, 2, 3, 10, 1_000])
async def test_first_block(last: int) -> None:
    """Every height is found, and the answer does not depend on how long ago it was."""
    for wrong in range(1, last + 1, max(1, last // 17)):
        one = search(Told(wrong), Told())
        assert wrong == await one._first_block(Told(), last)
        assert "unknown_until" not in one.found


async def test_a_recent_mistake_costs_few_questions() -> None:
    """Old heights, which may be kept no more, are not asked for."""
    own = Told(999_998)
    assert await search(own)._first_block(Told(), 1_000_000) == 999_998
    assert len(own.asked) <= 5
    assert min(own.asked) > 999_990


@pytest.mark.parametrize("refusal", [PRUNED, NOT_FOUND])
async def test_old_results_are_gone(refusal: ErrorSpec) -> None:
    """The first known difference is told, and up to where nothing is known."""
    one = search(Told(500, kept=450))
    assert await one._first_block(Told(kept=480, refusal=refusal), 1_000) == 500
    lost = search(Told(100, kept=450))
    assert await lost._first_block(Told(), 1_000) == 450
    assert lost.found["unknown_until"] == 449


async def test_invalid_answers_are_not_taken_as_equal() -> None:
    """Any other refusal ends the search."""
    with pytest.raises(Exception, match=RPC_INTERNAL.name):
        await search(Told(1, kept=9, refusal=RPC_INTERNAL))._first_block(Told(), 8)


async def test_blocks_come_from_whoever_keeps_them() -> None:
    """The node, its witness, another peer; divergence/REPLAY_IMPOSSIBLE where nobody does."""
    own, witness, archive = Told(kept=50), Told(kept=60), Told(kept=10)
    one = search(own, witness, archive)
    one.found["stopped_at"] = 90
    given = [(95, witness), (55, own), (20, archive)]
    assert [await one._block(height, witness) for height, _ in given] == [source for _, source in given]
    with pytest.raises(Fault, match=REPLAY_IMPOSSIBLE.name):
        await one._block(5, witness)
