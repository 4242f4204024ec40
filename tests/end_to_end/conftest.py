"""One network for all tests that leave it as they found it: four validators, and four peers that run when needed."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.load import Load
from tests.end_to_end.processes import Network

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


@pytest.fixture
async def well(city: Network) -> AsyncIterator[Load]:
    """The shared network with all validators up and voting, and a load that the test may switch on."""
    if city.broken:
        pytest.fail("the shared network did not come up for an earlier test")
    city.broken = True
    city.start(*(index for index in VALIDATORS if index not in city.processes))
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        city.broken = False
        yield Load(city, clients, VALIDATORS)


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
