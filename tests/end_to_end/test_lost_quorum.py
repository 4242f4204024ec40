"""Two of four validators are lost for ever: the ceremony of the manual, command by command (J22)."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cccnode.client import Client
from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, equal_roots, height, run
from tests.end_to_end.waiting import until

LOST, SURVIVORS, PEER = (1, 3), (0, 2), 4


async def test_survivors_go_on(networks: Callable[..., Network]) -> None:
    """Propose, sign, approve, accept, start: blocks again; a node that has not accepted says what is missing."""
    city = networks(validators=4, peers=1)
    city.start(*VALIDATORS, PEER)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, SURVIVORS)
        before = await picture(load, [0])
        async with load.running():
            await advance(clients[0])
            city.kill(*LOST)
        await equal_roots([clients[index] for index in (*SURVIVORS, PEER)])
        city.stop(*SURVIVORS)

        ceremony(city)
        city.start(*SURVIVORS)
        reached = await height(clients[PEER])
        await city.validating(clients, *SURVIVORS)
        await load.final_everywhere(SURVIVORS)
        assert await height(clients[0]) > reached
        statuses = [await clients[index].status() for index in SURVIVORS]
        assert {(status["epoch"], status["state"]) for status in statuses} == {("2", "validating")}

        refusing = await until(lambda: _without(clients[PEER]), "the peer says what it lacks")
        assert (refusing["height"], refusing["epoch"]) == (str(reached), "0")
        city.stop(PEER)
        typed(city, PEER, "restart", "accept", str(certificate(city)), "--yes")
        city.start(PEER)
        await city.observing(clients, PEER, "consensus/NOT_A_VALIDATOR")
        await load.final_everywhere([PEER, *SURVIVORS])
        await exactly_once(load, [*SURVIVORS, PEER], before)


def certificate(city: Network) -> Path:
    """Where the ceremony's file lies."""
    return city.testnet.home.root / "city.restart"


def ceremony(city: Network) -> None:
    """What five people type."""
    file, first = str(certificate(city)), SURVIVORS[0]
    names = [organisation(city, index) for index in (*VALIDATORS, PEER)]
    keep = [word for index in SURVIVORS for word in ("--keep", names[index])]
    typed(city, first, "restart", "propose", *keep, "--out", file)
    for index in SURVIVORS:
        typed(city, index, "restart", "sign", file)
    refused = run("restart", "accept", file, "--yes", "--home", home(city, first))
    assert refused.returncode != 0
    assert "consensus/RESTART_REFUSED" in refused.stderr
    for index in (*VALIDATORS, PEER):
        typed(city, index, "restart", "approve", file, "--org", names[index], "--from", names[index])
    assert f"{names[0]}, {names[2]}" in typed(city, first, "restart", "show", file)
    for index in SURVIVORS:
        typed(city, index, "restart", "accept", file, "--yes")


def organisation(city: Network, index: int) -> str:
    """By the settings of its node."""
    settings = tomllib.loads(city.node(index).home.config_file.read_text())
    return str(settings["node"]["organisation"])


def home(city: Network, index: int) -> str:
    return str(city.node(index).home.root)


def typed(city: Network, index: int, *words: str) -> str:
    """A command on one organisation's machine."""
    done = run(*words, "--home", home(city, index))
    assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
    return done.stdout


async def _without(client: Client) -> dict[str, Any] | None:
    status = await client.status()
    return status if "consensus/RESTART_NOT_ACCEPTED" in codes(status) else None
