"""A node's Service over a simulated network: real replicas, made-up connections."""

from pathlib import Path
from typing import Any

from cccnode.city import CITY
from cccnode.node.connections import Connections
from cccnode.node.indexing import Indexer, transaction_indexer
from cccnode.node.service import Service
from cccnode.rpc.backend import Phase, TxStatus
from cccnode.telemetry import Metrics
from cccnode.types.errors import ErrorSpec
from p2p.frames import Channel
from p2p.peers import Counters, Direction, PeerInfo, Traffic
from storage.index import Index
from tests.simulation.nodes import SimulatedNetwork, SimulatedNode


class FakeNetwork:
    """The part of `Network` that status asks."""

    def __init__(self) -> None:
        self.infos: list[PeerInfo] = []
        self.calls: list[tuple[Any, ...]] = []
        self.traffic = {channel: Traffic(bytes_out=10, bytes_in=20) for channel in Channel}

    def peers(self) -> list[PeerInfo]:
        return self.infos

    def dials(self) -> list[Any]:
        return []

    def counters(self) -> Counters:
        return Counters(channels=self.traffic, peers={}, dials=0, dial_failures=0, accepted=0)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self.calls.append((name, *arguments, *named.values()))


def peer(key: bytes, *, height: int = 0, skew_ms: int | None = 0, direction: Direction = Direction.OUT) -> PeerInfo:
    return PeerInfo(
        node_key=key,
        organisation="x",
        validator=True,
        address="10.0.0.1:1",
        direction=direction,
        rtt_ms=1,
        clock_skew_ms=skew_ms,
        height=height,
        queued_bytes=0,
        connected_ms=1,
        paused=(),
        listen="",
    )


class Watched:
    """A network and the service of one of its nodes."""

    def __init__(self, *, index: bool = True, number: int = 0, peers: int = 0, validators: int = 4) -> None:
        self.network = SimulatedNetwork(8, validators=validators, peers=peers)
        self.network.skews = [0] * len(self.network.nodes)
        self.network.start()
        self.node: SimulatedNode = self.network.nodes[number]
        self.p2p = FakeNetwork()
        self.connections = Connections()
        self.connections.network, self.connections.replica = self.p2p, self.node.replica
        self.index = Index(None) if index else None
        self.indexer = self._indexer() if index else None
        self.metrics = Metrics()
        self.begin_anew()
        self.link_all()

    def begin_anew(self) -> None:
        """The service as it would be after a start."""
        self.service = Service(
            replica=self.node.replica,
            connections=self.connections,
            registry=CITY,
            metrics=self.metrics,
            index=self.index,
            indexer=self.indexer,
            genesis=self.network.demo.genesis,
            organisation=lambda: "org",
            data=Path(),
        )

    def _indexer(self) -> Indexer[bytes]:
        indexer = transaction_indexer(runtime=self.node.runtime, store=self.node.replica.store, index=self.index)
        indexer.follow(self.node.replica.decided_hooks)
        return indexer

    def link_all(self) -> None:
        for other in self.network.nodes:
            if other is not self.node:
                self.p2p.infos.append(peer(other.key))
                self.connections._linked[other.key] = None

    def run(self, milliseconds: int) -> None:
        self.network.world.run_until(self.network.world.now_ms + milliseconds)

    def send(self, number: int = 0, *, lifetime_ms: int = 20_000) -> tuple[bytes, int]:
        """Hand one transfer to a node; its id and deadline."""
        from cccnode.ingress import trusted_transactions  # noqa: PLC0415 - beside its only use

        (raw,) = self.network.send(self.network.nodes[number], count=1, lifetime_ms=lifetime_ms)
        (verified,) = trusted_transactions(CITY, [raw])
        return verified.id, verified.transaction.valid_until_ms

    def phase(self, tx_id: bytes, valid_until_ms: int | None = None) -> Phase:
        return self.status(tx_id, valid_until_ms).phase

    def status(self, tx_id: bytes, valid_until_ms: int | None = None) -> TxStatus:
        return self.service.tx_status(tx_id, valid_until_ms)

    def reasons(self) -> dict[ErrorSpec, dict[str, object]]:
        return {reason.spec: dict(reason.values) for reason in self.service.status().reasons}

    def failed(self) -> dict[str, ErrorSpec]:
        """Readiness checks that fail."""
        return {check.name: check.failed.spec for check in self.service.readiness() if check.failed is not None}
