"""Validators are killed while money moves: what was acknowledged is executed once, and the network comes back."""

from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, equal_roots, height, signed_by
from tests.end_to_end.waiting import stands_still, until


async def test_killed_validator(city: Network, well: Load) -> None:
    """One of four is killed under load: the others go on; started again it reaches the same roots and signs."""
    before = await picture(well, [0])
    async with well.running():
        await advance(well.clients[0])
        well.targets = [0, 1, 2]
        city.kill(3)
        at = await advance(well.clients[0], 10)
        await well.final_everywhere([0, 1, 2])
        assert 3 not in await signed_by(well.clients[0], at, await height(well.clients[0]))
        city.start(3)
        await city.validating(well.clients, 3)
        at = await height(well.clients[0])
        await until(lambda: _signs(well, 3, at), "node 3 signs again")
    await exactly_once(well, [0, 1, 2, 3], before)
    await equal_roots(well.clients[:4])


async def test_two_killed(city: Network, well: Load) -> None:
    """Two of four killed: no new block, reads go on and status says who is missing; with one back, blocks again."""
    before = await picture(well, [0])
    async with well.running():
        await advance(well.clients[0])
        well.targets = [0, 1]
        city.kill(2, 3)

        async def stalled() -> dict[str, object] | None:
            status = await well.clients[0].status()
            return status if "consensus/NO_QUORUM" in codes(status) else None

        status = await until(stalled, "node 0 has no quorum")
        assert status["state"] == "stalled"
        reason = next(reason for reason in status["reasons"] if reason["code"] == "consensus/NO_QUORUM")
        assert reason["details"] == {"reachable": "2", "needed": "3", "unreachable": "2 (org-02), 3 (org-03)"}
        await stands_still(lambda: height(well.clients[0]), "the chain without a quorum")
        waiting = await well.send(1)
        assert waiting.acknowledged
        assert (await well.clients[1].tx_status(waiting.tx_id))["state"] in {"batched", "proposed", "final"}
        assert sum(await well.balances(0)) == sum(await well.balances(1))
        assert await well.clients[0].call("chain_block", height="1")
        city.start(2)
        assert (await well.decided(0, waiting))["outcome"] == "ok"
        await advance(well.clients[2])
        city.start(3)
        await city.validating(well.clients, 0, 1, 2, 3)
    await exactly_once(well, [0, 1, 2, 3], before)
    await equal_roots(well.clients[:4])


async def test_all_killed_and_sent_again(city: Network, well: Load) -> None:
    """After all four are killed at once the chain goes on, and nothing sent a second time happens a second time."""
    before = await picture(well, [0])
    async with well.running():
        await advance(well.clients[0], 10)
        well.targets = []
        city.kill(0, 1, 2, 3)
    city.start(0, 1, 2, 3)
    await city.validating(well.clients, 0, 1, 2, 3)
    await exactly_once(well, [0, 1, 2, 3], before)
    raws = [sent.raw for sent in well.acknowledged]
    for client in well.clients[:4]:
        answers = await client.submit_batch(raws)
        assert {answer.error.name for answer in answers if answer.error} == {"tx/DUPLICATE"}
        assert all(answer.error for answer in answers)
    await well.final_everywhere([0, 1, 2, 3])
    await exactly_once(well, [0, 1, 2, 3], before)


async def _signs(load: Load, validator: int, since: int) -> bool:
    client = load.clients[0]
    return validator in await signed_by(client, since, await height(client))
