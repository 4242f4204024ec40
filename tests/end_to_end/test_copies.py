"""A validator's home is copied and started a second time: no second signature while the first can be reached."""

import shutil
from collections.abc import Callable

import pytest

from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, height, signed_by
from tests.end_to_end.signatures import all_votes, contradictions, forged, own_votes
from tests.end_to_end.waiting import until
from tests.support.proxy import Line, Passage

COPY = 4
"""The copy lives in the home of a peer that is never started itself, at its ports."""


def restore(network: Network, backup: str) -> None:
    """Put the backup of validator 3 into another machine's home."""
    home, there = network.node(COPY).home, network.node(COPY).home.root
    for name in ("keys", "data"):
        shutil.rmtree(there / name, ignore_errors=True)
        shutil.copytree(home.root.parent / backup / name, there / name)


def back_up(network: Network, backup: str) -> None:
    """What an operator copies while the node is stopped."""
    source = network.node(3).home.root
    for name in ("keys", "data"):
        shutil.copytree(source / name, source.parent / backup / name)


async def test_restored_from_an_old_backup(networks: Callable[..., Network]) -> None:
    """The copy is refused as a second one while its newer self votes: all signatures together contradict nowhere."""
    town = networks(validators=4, peers=1).behind_proxy()
    town.start(*VALIDATORS)
    async with town.clients() as clients:
        await town.validating(clients, *VALIDATORS)
        load = Load(town, clients, VALIDATORS)
        before = await picture(load, [0])
        async with load.running():
            await advance(clients[0], 8)
            load.targets = [0, 1, 2]
            town.stop(3)
            back_up(town, "backup")
            await advance(clients[0], 4)
            town.start(3)
            await town.validating(clients, 3)
            await advance(clients[0], 12)
            restore(town, "backup")
            town.start(COPY)

            async def told() -> bool:
                status = await clients[COPY].status()
                return "net/DUPLICATE_IDENTITY" in codes(status)

            await until(told, "the copy says that it is one")
            there = await advance(clients[0], 30)
            status = await clients[3].status()
            assert status["state"] == "validating"
            assert 3 in await signed_by(clients[0], there - 8, there)
            assert (await clients[COPY].status())["state"] != "validating"
        await exactly_once(load, VALIDATORS, before)
        validators = (await clients[0].call("chain_validators"))["validators"]
    town.stop_all()
    signed = all_votes(node.home.data for node in town.testnet.nodes)
    keys = [bytes.fromhex(validator["consensus_key"][2:]) for validator in validators]
    assert not forged(signed, chain=load.chain, keys=keys)
    assert len(own_votes(town.node(3).home.data)) > 20
    assert contradictions(signed) == []


@pytest.mark.long
async def test_copy_beyond_the_reach_of_the_first(networks: Callable[..., Network]) -> None:
    """Both halves of a pair that cannot meet may vote: at most their own organisation is to blame, the ledger holds."""
    town = networks(validators=4, peers=1).behind_proxy()
    town.start(*VALIDATORS)
    async with town.clients() as clients:
        await town.validating(clients, *VALIDATORS)
        load = Load(town, clients, [0, 1, 2])
        before = await picture(load, [0])
        async with load.running():
            await advance(clients[0], 8)
            town.stop(3)
            back_up(town, "backup")
            restore(town, "backup")
            town.proxy.lay(Line(passage=Passage.CUT), [3], [1, 2, COPY])
            town.proxy.lay(Line(passage=Passage.CUT), [COPY], [0, 3])
            town.start(3, COPY)
            for index in (3, COPY):
                await until(lambda index=index: follows(load, index), f"node {index} follows")
            await advance(clients[0], 40)
        await exactly_once(load, [0, 1, 2], before)
    town.stop_all()
    signed = all_votes(node.home.data for node in town.testnet.nodes)
    assert {first.signer for first, _ in contradictions(signed)} <= {3}


async def follows(load: Load, index: int) -> bool:
    """Near the tip."""
    return await height(load.clients[index]) + 8 >= await height(load.clients[0])
