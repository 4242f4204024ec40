"""What a node without a state answers: how it is, who is connected, and that everything else must wait.

It stands in for `Service` while the node arrives (`arriving.py`), on the same ports.
"""

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from cccnode.city import CITY
from cccnode.crypto.hashing import ZERO
from cccnode.doctor.observation import Observation
from cccnode.driver.certified import Origin
from cccnode.driver.joining import Joining
from cccnode.ledger.state import StateView
from cccnode.node.connections import Connections, credible_height
from cccnode.node.progress import shown_progress
from cccnode.node.service import FREE_BYTES_MIN
from cccnode.rpc.backend import (
    AccountHistory,
    Check,
    Place,
    Reason,
    Results,
    Simulated,
    Status,
    StoredTransaction,
    Submitted,
    TxStatus,
    ValidatorStatus,
)
from cccnode.telemetry import Metrics
from cccnode.types.block import FinalBlock, Header
from cccnode.types.errors import BEHIND, DISK_FULL, NO_PEERS, NO_STATE, POOL_NOT_READY, fault
from cccnode.types.finality import Anchor, EpochLink
from cccnode.types.promise import Promise
from cccnode.types.proofs import EventsProof, GroupProof, HistoryProof, TransactionProof
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Contradiction
from p2p.peers import DialInfo, PeerInfo


class Stateless:
    """Implements `cccnode.rpc.backend.Backend`; what needs a state raises `rpc/NO_STATE`."""

    def __init__(
        self,
        *,
        connections: Connections,
        joining: Joining,
        origin: Origin,
        chain_name: str,
        node_key: bytes,
        organisation: str,
        metrics: Metrics,
        data: Path,
    ) -> None:
        """Bind to the parts of a node that arrives."""
        self.registry, self.metrics = CITY, metrics
        self._connections, self._joining, self._origin, self._data = connections, joining, origin, data
        self._chain_name, self._node_key, self._organisation = chain_name, node_key, organisation

    # What it knows ---------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """See `Backend`."""
        connected, record = self._connections.connected(), self._origin.record
        return Status(
            chain=self._origin.chain,
            chain_name=self._chain_name,
            node_key=self._node_key,
            organisation=self._organisation,
            validator=None,
            state="catching_up",
            height=0,
            final_height=0,
            epoch=record.epoch,
            view=0,
            leader=0,
            block_id=ZERO,
            time_ms=0,
            state_root=ZERO,
            validators=_validators(record, connected),
            peers=len(connected),
            behind=self.behind(),
            mempool=0,
            reasons=self._reasons(),
            snapshot=shown_progress(self._joining),
        )

    def behind(self) -> int:
        """All blocks that others have."""
        return credible_height(self.peers(), len(self._origin.record.validators))

    def _reasons(self) -> list[Reason]:
        alone = self._unconnected()
        return [*([] if alone is None else [alone]), Reason(spec=BEHIND, values={"blocks": self.behind()})]

    def _unconnected(self) -> Reason | None:
        if self._connections.connected():
            return None
        refusal = next((reason for _, reason in sorted(self._connections.refusals.items())), None)
        return Reason(spec=NO_PEERS) if refusal is None else Reason(spec=refusal.spec, values=refusal.values)

    def readiness(self) -> Sequence[Check]:
        """See `Backend`."""
        free = shutil.disk_usage(self._data).free
        disk = Reason(spec=DISK_FULL, values={"free_bytes": free}) if free < FREE_BYTES_MIN else None
        failed = {"disk": disk, "peers": self._unconnected(), "behind": Reason(spec=NO_STATE)}
        names = ("disk", "peers", "behind", "quorum", "clock", "signing", "index", "state")
        return [Check(name=name, failed=failed.get(name)) for name in names]

    def peers(self) -> Sequence[PeerInfo]:
        """See `Backend`."""
        return self._connections.network.peers()

    def dials(self) -> Sequence[DialInfo]:
        """See `Backend`."""
        return self._connections.network.dials()

    def evidence(self) -> Sequence[Contradiction]:
        """See `Backend`."""
        return ()

    def record(self) -> EpochRecord:
        """The record of the first epoch: the newest that is known."""
        return self._origin.record

    # What must wait --------------------------------------------------------------------------------------------------

    async def submit(self, raws: Sequence[bytes]) -> Sequence[Submitted]:
        """See `Backend`."""
        raise fault(POOL_NOT_READY, state="no state yet")

    def promise(self, tx_id: bytes) -> Promise | None:
        """See `Backend`."""
        _no_state()

    def check(self, raw: bytes) -> Submitted:
        """See `Backend`."""
        _no_state()

    def simulate(self, raw: bytes) -> Simulated:
        """See `Backend`."""
        _no_state()

    async def wait(self, tx_id: bytes, valid_until_ms: int | None, timeout_ms: int) -> TxStatus:
        """See `Backend`."""
        _no_state()

    def tx_status(self, tx_id: bytes, valid_until_ms: int | None) -> TxStatus:
        """See `Backend`."""
        _no_state()

    def transaction(self, tx_id: bytes) -> StoredTransaction | None:
        """See `Backend`."""
        _no_state()

    def account_history(self, account: bytes, before: Place | None, limit: int) -> AccountHistory:
        """See `Backend`."""
        _no_state()

    def header(self, height: int) -> Header | None:
        """See `Backend`."""
        _no_state()

    def block(self, height: int) -> FinalBlock | None:
        """See `Backend`."""
        _no_state()

    def receipts(self, height: int) -> Sequence[bytes] | None:
        """See `Backend`."""
        _no_state()

    def applied_height(self) -> int:
        """See `Backend`."""
        _no_state()

    def receipts_from(self) -> int:
        """See `Backend`."""
        _no_state()

    async def wait_applied(self, height: int, timeout_ms: int) -> int:
        """See `Backend`."""
        _no_state()

    def state(self) -> StateView:
        """See `Backend`."""
        _no_state()

    async def prove_group(self, group: bytes, height: int | None, wait_ms: int) -> GroupProof:
        """See `Backend`."""
        _no_state()

    async def prove_transaction(self, tx_id: bytes, wait_ms: int) -> TransactionProof:
        """See `Backend`."""
        _no_state()

    async def prove_events(self, height: int, wait_ms: int) -> EventsProof:
        """See `Backend`."""
        _no_state()

    def epoch_ends(self, first: int, count: int) -> Sequence[EpochLink]:
        """See `Backend`."""
        _no_state()

    def newest_anchor(self) -> Anchor | None:
        """See `Backend`."""
        _no_state()

    def prove_history(self, height: int, anchor: Anchor) -> HistoryProof | None:
        """See `Backend`."""
        _no_state()

    def results(self, height: int) -> Results | None:
        """See `Backend`."""
        _no_state()

    def state_nodes(self, level: int, first: int, count: int) -> tuple[int, bytes]:
        """See `Backend`."""
        _no_state()

    def state_bucket(self, bucket: int) -> tuple[int, Mapping[bytes, bytes]]:
        """See `Backend`."""
        _no_state()

    def state_group(self, group: bytes) -> tuple[int, Mapping[bytes, bytes]]:
        """See `Backend`."""
        _no_state()

    def observe(self) -> Observation:
        """See `Backend`."""
        _no_state()


def _no_state() -> NoReturn:
    """Whatever was asked needs a state.

    Raises:
        Fault: rpc/NO_STATE.
    """
    raise fault(NO_STATE)


def _validators(record: EpochRecord, connected: Collection[bytes]) -> list[ValidatorStatus]:
    return [
        ValidatorStatus(
            index=index,
            organisation=validator.organisation,
            consensus_key=validator.consensus_key,
            reachable=any(node in connected for node in validator.node_keys),
        )
        for index, validator in enumerate(record.validators)
    ]
