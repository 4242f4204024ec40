"""Nodes that do not vote: four of them beside four validators."""

from cccnode.types.addresses import account_text
from tests.end_to_end.conftest import PEERS, VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, equal_roots, height, many
from tests.end_to_end.waiting import until


async def test_peers_follow(city: Network, well: Load) -> None:
    """Peers reach the tip, serve reads and pass transactions on, also while a validator dies."""
    before = await picture(well, [0])
    async with well.running():
        await advance(well.clients[0])
        city.start(*PEERS)
        seen: dict[int, object] = {}
        for peer in PEERS:
            await until(lambda peer=peer: _follows(well, peer, seen), lambda: f"peers are at the tip: {seen}")
        await well.final_everywhere([PEERS[0], *VALIDATORS, *PEERS[1:]])
        well.targets = [0, 1, 2, *PEERS]
        city.kill(3)
        await well.final_everywhere([PEERS[3], 0, 1, 2, *PEERS[:3]])
        await advance(well.clients[PEERS[1]], 10)
        city.start(3)
        await city.validating(well.clients, 3)
    everybody = [*VALIDATORS, *PEERS]
    await exactly_once(well, everybody, before)
    await equal_roots([well.clients[index] for index in everybody])
    for peer in PEERS:
        await _reads(well, peer)
        linked = (await well.clients[peer].call("net_peers"))["peers"]
        assert linked
    for validator in VALIDATORS:
        linked = (await well.clients[validator].call("net_peers"))["peers"]
        assert sum(not link["validator"] for link in linked) <= 8
    city.stop(*PEERS)


async def _follows(load: Load, peer: int, seen: dict[int, object]) -> bool:
    """Near the tip of a chain that grows, and nothing to say but that it has no vote."""
    status = await load.clients[peer].status()
    near = int(status["height"]) + 20 >= await height(load.clients[0])
    said = seen[peer] = (status["validator"], status["state"], codes(status))
    return near and said == (None, "observing", ["consensus/NOT_A_VALIDATOR"])


async def _reads(load: Load, peer: int) -> None:
    """A peer answers as a validator does."""
    one, other = load.clients[peer], load.clients[0]
    at = {"height": str(await height(one))}
    sent = load.acknowledged[-1]
    blocks = [await client.call("chain_block", **at) for client in (one, other)]
    for block in blocks:
        del block["certificate"]  # any quorum's signatures will do, so nodes may hold different ones
    assert blocks[0] == blocks[1]
    for method, params in (
        ("chain_header", at),
        ("tx_status", sent.question),
        ("bank_balance", {"account": account_text(load.owners[2].account)}),
        ("chain_validators", {}),
    ):
        assert await many(one, method, [params]) == await many(other, method, [params])
    await until(lambda: one.call("tx_get", tx_id=sent.question["tx_id"]), "the peer's index has the transaction")
