"""A fake node whose ledger is real: what commands send is executed at once by the city's own rules, a block each."""

from collections.abc import Sequence
from typing import Any

import msgspec

from cccnode.city import CITY
from cccnode.city.registry.record import registered_nodes
from cccnode.client import wall_ms
from cccnode.crypto.proofs import StateProof
from cccnode.ingress import trusted_transactions
from cccnode.ledger.transition import Execution
from cccnode.rpc.backend import Phase, Status, StoredTransaction, Submitted, TxStatus, ValidatorStatus
from cccnode.types.block import FinalBlock, block_id
from cccnode.types.certificate import make_certificate
from cccnode.types.errors import Fault
from cccnode.types.proofs import GroupProof
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Kind, Proposal
from p2p.peers import Direction, PeerInfo
from tests.city.registry.town import Town, root
from tests.support.fake_node import FakeNode, status
from tests.support.fake_node import header as make_header

HOUR_MS = 3_600_000


class LiveNode(FakeNode):
    """One node of a town; which one, a test may change."""

    def __init__(self, town: Town, node_key: bytes = b"", **changes: Any) -> None:
        super().__init__(registry=CITY, state_now=town.state)
        self.town = town
        self.node_key = node_key or town.demo.partners[0].node_key
        self.changes = changes
        """Of the status, on top of what the ledger says."""
        self.heights: dict[bytes, int] = {}
        """What linked nodes say that they have, by node key."""
        self.ends_epochs = True
        """Whether a due change begins the next epoch at once."""
        self.decided: dict[bytes, StoredTransaction] = {}
        if town.height == 0:
            town.block(time_ms=wall_ms() - HOUR_MS)  # commands live by the wall clock

    def _submit(self, raw: bytes) -> Submitted:
        try:
            (verified,) = trusted_transactions(CITY, [raw])
        except Fault as error:
            return b"", error
        self.raws.append(raw)
        self._execute(verified)
        if self.ends_epochs:
            self.town.settle()
        return verified.id, None

    def _execute(self, verified: Any) -> None:
        town = self.town
        awake = [i for i, name in enumerate(town.members) if name not in town.silent]
        header = msgspec.structs.replace(
            town.header,
            epoch=town.record.epoch,
            height=town.height + 1,
            proposer=awake[town.height % len(awake)],
            time_ms=max(town.header.time_ms + 1, wall_ms()),
            exec_height=town.height,
            state_root=root(town.height),
        )
        outcome = Execution(CITY, town.state, town.window, header, [verified], town.record).finish()
        town.state.apply(outcome.writes)
        town.window.add(header.height, header.time_ms, outcome.decided)
        town.header = header
        receipt = outcome.receipts[0]
        self.decided[verified.id] = StoredTransaction(
            raw=verified.raw, height=header.height, position=0, receipt=receipt, header=header
        )
        self.known[verified.id] = TxStatus(
            phase=Phase.EXECUTED, height=header.height, position=0, code=outcome.codes[0]
        )

    def transaction(self, tx_id: bytes) -> StoredTransaction | None:
        return self.decided.get(tx_id)

    def block(self, height: int) -> FinalBlock | None:
        """A block that its turn's validator proposed and all of them signed."""
        if not 0 < height <= self.town.height:
            return None
        members = len(self.town.members)
        made = make_header(height, proposer=height % members)
        proposal = Proposal(height, height - 1, height, block_id(made))
        certificate = make_certificate(Kind.FINALIZE, proposal, {i: bytes(64) for i in range(members)}, members)
        return FinalBlock(made, (), certificate, ())

    def receipts(self, height: int) -> Sequence[bytes] | None:
        return []

    async def prove_group(self, group: bytes, height: int | None, wait_ms: int) -> GroupProof:
        """The items of a group, without the way to the root."""
        proof = StateProof(tuple(self.town.state.group(group).items()), (), (), ())
        return GroupProof(group, proof, self._result(self.town.height))

    def record(self) -> EpochRecord:
        return self.town.record

    def status(self) -> Status:
        town = self.town
        owner = next((row.organisation for row in registered_nodes(town.state) if row.node_key == self.node_key), "")
        seats = [i for i, row in enumerate(town.record.validators) if self.node_key in row.node_keys]
        shown: dict[str, Any] = {
            "chain": town.chain,
            "chain_name": town.demo.genesis.document.name,
            "node_key": self.node_key,
            "organisation": owner,
            "validator": seats[0] if seats else None,
            "state": "validating" if seats else "observing",
            "height": town.height,
            "final_height": town.height,
            "epoch": town.record.epoch,
            "block_id": block_id(town.header),
            "validators": [
                ValidatorStatus(index=i, organisation=row.organisation, consensus_key=row.consensus_key, reachable=True)
                for i, row in enumerate(town.record.validators)
            ],
        }
        return status(**{**shown, **self.changes})

    def peers(self) -> Sequence[PeerInfo]:
        return [
            PeerInfo(
                node_key=key,
                organisation="",
                validator=False,
                address="10.0.0.9:1",
                direction=Direction.IN,
                rtt_ms=1,
                clock_skew_ms=0,
                height=height,
                queued_bytes=0,
                connected_ms=1,
                paused=(),
                listen="",
            )
            for key, height in sorted(self.heights.items())
        ]
