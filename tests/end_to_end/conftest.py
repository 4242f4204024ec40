"""Networks for all tests that leave them as they found them: `city` has peers too, `town` lies behind a fault proxy."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.load import Load
from tests.end_to_end.processes import Network
from tests.support.proxy import Line

VALIDATORS = (0, 1, 2, 3)
PEERS = (4, 5, 6, 7)


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Homes and processes of the shared network."""
    network = Network.prepare(tmp_path_factory.mktemp("city") / "net", validators=4, peers=4)
    try:
        yield network
    finally:
        network.stop_all()


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Four validators that can only talk through a proxy: tests lay the lines between them."""
    network = Network.prepare(tmp_path_factory.mktemp("town") / "net", validators=4).behind_proxy(seed=1)
    try:
        yield network
    finally:
        network.stop_all()


@pytest.fixture
async def well(city: Network) -> AsyncIterator[Load]:
    """The shared network with all validators up and voting, and a load that the test may switch on."""
    async with _up(city) as load:
        yield load


@pytest.fixture
async def wired(town: Network) -> AsyncIterator[Load]:
    """The same for the network behind the proxy: all lines open, nobody frozen."""
    town.thaw(*town.processes)
    town.proxy.lay(Line(), VALIDATORS)
    async with _up(town) as load:
        yield load


@asynccontextmanager
async def _up(network: Network) -> AsyncIterator[Load]:
    if network.broken:
        pytest.fail("the shared network did not come up for an earlier test")
    network.broken = True
    network.start(*(index for index in VALIDATORS if index not in network.processes))
    async with network.clients() as clients:
        await network.validating(clients, *VALIDATORS)
        network.broken = False
        yield Load(network, clients, VALIDATORS)


@pytest.fixture
def networks(tmp_path: Path) -> Iterator[Callable[..., Network]]:
    """Makes networks of a test's own."""
    made: list[Network] = []

    def make(**shape: Any) -> Network:
        made.append(Network.prepare(tmp_path / f"net{len(made)}", **shape))
        return made[-1]

    try:
        yield make
    finally:
        for network in made:
            network.stop_all()
