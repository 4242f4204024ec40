"""The week's city in the simulation: four whole nodes with consensus, storage and links, in virtual time."""

from collections.abc import Sequence
from typing import Any

from cccnode.city import CITY
from cccnode.ledger.state import Overlay
from cccnode.rpc.values import reader, writer
from cccnode.types.errors import NOT_FOUND, Fault
from cccnode.types.transaction import signed_part, transaction_id
from cccnode.week.reading import Missing
from cccnode.week.running import Decided
from tests.simulation.nodes import SimulatedNetwork
from tests.simulation.world import WALL_START_MS

PATIENCE_MS = 60_000


class SimulatedCity:
    """A `Network` of the week; steps go to the first nodes, questions to the last."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self.network = network
        self.world = network.world
        self._refused: dict[bytes, Fault] = {}
        self._sent = 0
        network.start()

    async def chain(self) -> bytes:
        return self.network.demo.genesis.chain

    async def reach(self, time_ms: int) -> None:
        """All clocks jump; then time passes until every running node has a block of that time."""
        world = self.world
        behind = max(map(abs, self.network.skews))
        world.ahead_ms = max(world.ahead_ms, time_ms + behind - WALL_START_MS - world.now_ms)
        for replica in self.network.alive():
            if replica.voting is not None:
                replica.voting.clock_moved()
        self._until(lambda: all(replica.window.time_ms >= time_ms for replica in self.network.alive()))

    async def send(self, raws: Sequence[bytes]) -> list[Decided]:
        running = [node for node in self.network.nodes if node.replica is not None]
        writers = running[:-1]
        self._sent += 1
        node = writers[self._sent % len(writers)]
        ids = [transaction_id(signed_part(raw, 1)) for raw in raws]
        answers: list[tuple[bytes, Fault | None]] = []
        assert node.replica is not None
        node.replica.submit(list(raws), answers.extend)
        self._until(lambda: len(answers) == len(raws))
        refused = {tx_id: fault.spec.name for tx_id, fault in answers if fault is not None}
        self._until(lambda: all(tx_id in refused or tx_id in self.network.decided for tx_id in ids))
        height = max((self.network.decided[tx_id][0] for tx_id in ids if tx_id not in refused), default=0)
        self._until(lambda: all(replica.chain.height >= height for replica in self.network.alive()))
        return [
            Decided("refused", why=refused[tx_id]) if tx_id in refused else self._decided(*self.network.decided[tx_id])
            for tx_id in ids
        ]

    async def ask(self, method: str, **params: Any) -> Any:
        query = CITY.queries.get(method)
        if query is None:
            raise Missing(method)
        try:
            state = Overlay(self.network.alive()[-1].store.state)
            return writer(query.result)(query.answer(state, reader(query.params)(params)))
        except Fault as fault:
            if fault.spec is NOT_FOUND:
                raise Missing(method) from fault
            raise

    async def roots(self) -> set[str]:
        heights = min(replica.chain.height for replica in self.network.alive())
        found = [replica.store.applied_at(heights) for replica in self.network.alive()]
        return {row.state_root.hex() for row in found if row is not None}

    def _decided(self, height: int, code: int) -> Decided:
        return Decided("ok" if code == 0 else CITY.errors[code].name, height)

    def _until(self, done: Any) -> None:
        assert self.world.run_until(self.world.now_ms + PATIENCE_MS, done) or done(), self.network.picture()
