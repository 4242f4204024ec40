"""What this node says of itself: reports to the others, and observations for the doctor.

Twice a second it looks how things stand; it tells the others every two seconds, and at once when a reason changes.
"""

import shutil
from collections import deque
from pathlib import Path
from typing import Final

from cccnode.codec import encode
from cccnode.crypto.hashing import ZERO
from cccnode.doctor.facts import QUIET_MS
from cccnode.doctor.observation import Observation, Said, Seen, span
from cccnode.driver.replica import Replica
from cccnode.driver.runtime import Runtime
from cccnode.node.connections import Connections
from cccnode.node.hearing import Carrier, Hearing, Pace, one_line
from cccnode.node.service import Service
from cccnode.rpc.backend import Status
from cccnode.types.errors import NET_DUPLICATE, NODE_UNREGISTERED
from cccnode.types.report import REPORT_REASONS_MAX, ROOT_EVERY, Report, bitmap

BEAT_MS: Final = 500
"""How often this node looks at itself."""
REPORT_MS: Final = 2_000
"""How often it tells the others when nothing changes."""
LAG_WINDOW_MS: Final = 10_000
"""For how long a late loop is remembered."""
TWIN_MS: Final = 60_000
"""For how long a peer's word that somebody else uses our key is repeated."""
_U32_MAX: Final = 2**32 - 1


class Reporting:
    """Reports and observations of one node."""

    def __init__(
        self,
        *,
        replica: Replica,
        connections: Connections,
        service: Service,
        carrier: Carrier,
        runtime: Runtime,
        version: str,
        data: Path,
    ) -> None:
        """Bind to the parts of a node, whose service asks this one for observations; `start` begins to tell."""
        self._replica, self._connections, self._service = replica, connections, service
        self._carrier, self._runtime, self._version, self._data = carrier, runtime, version, data
        self._hearing = Hearing(replica, carrier)
        now = runtime.now_ms()
        self._calm_ms = now
        """When there was last nothing to do, or something became final."""
        self._final, self._height, self._block_ms = replica.final.height, replica.chain.height, now
        self._pace = Pace()
        self._lags: deque[tuple[int, int]] = deque()
        self._told: tuple[object, ...] = ()
        self._told_ms = now - REPORT_MS
        self._twin, self._twin_ms = "", now - TWIN_MS
        service.observe = self.observe

    def start(self) -> None:
        """Look, tell, and go on doing so."""
        due_ms = self._runtime.now_ms() + BEAT_MS

        def fired() -> None:
            late_ms = self._runtime.now_ms() - due_ms
            self._lags.append((self._runtime.now_ms(), late_ms))
            if late_ms > BEAT_MS:
                self._hearing.woke()
            self.start()

        self._runtime.call_later(BEAT_MS, fired)
        self.beat()

    def beat(self) -> None:
        """Look how things stand, and tell the others if it is time or if a reason changed."""
        self._look()
        now, status = self._runtime.now_ms(), self._service.status()
        report = self._report(status, self._hearing.seen(status.validators, status.validator))
        news = (report.state, report.reasons, report.linked, report.epoch)
        if news != self._told or now - self._told_ms >= REPORT_MS:
            self._told, self._told_ms = news, now
            self._carrier.set_report(encode(report))

    def observe(self) -> Observation:
        """What this node knows now; see `Backend`."""
        self._look()
        replica, now, status = self._replica, self._runtime.now_ms(), self._service.status()
        engine = replica.voting.engine.status() if replica.voting is not None else None
        votes = engine.votes if engine is not None else {}
        seen = self._hearing.seen(status.validators, status.validator)
        return Observation(
            me=status.validator,
            organisation=status.organisation[:64],
            own=self._report(status, seen),
            validators=tuple(seen),
            links=status.peers,
            delta_ms=span(replica.record.timers.delta_ms),
            heartbeat_ms=span(replica.record.timers.heartbeat_ms),
            armed=engine is not None and engine.armed,
            stuck_ms=span(now - self._calm_ms),
            view_ms=span(now - engine.entered_ms) if engine is not None else 0,
            leader=engine.leader if engine is not None else None,
            notarize=votes.get("notarize", ()),
            nullify=votes.get("nullify", ()),
            finalize=votes.get("finalize", ()),
            waiting_for=engine.waiting_for if engine is not None else "",
            block_age_ms=span(now - self._block_ms),
            behind=span(status.behind),
            rate=self._pace.rate,
            waiting=status.mempool,
            index_behind=span(self._service.index_lag()),
            boundary=engine is not None and engine.ending,
            accused=self._accused(),
            refusal=self._refusal(status),
            detail=one_line(status.reasons[0].values) if status.reasons else "",
        )

    # How this node is ---------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Remember what a later answer needs: progress, calm, pace."""
        replica, now = self._replica, self._runtime.now_ms()
        while self._lags and self._lags[0][0] < now - LAG_WINDOW_MS:
            self._lags.popleft()
        armed = replica.voting is not None and replica.voting.engine.status().armed
        if not armed or replica.final.height != self._final:
            self._calm_ms = now
        self._final = replica.final.height
        if replica.chain.height != self._height:
            self._height, self._block_ms = replica.chain.height, now
        self._pace.add(now, self._height)
        twin = self._connections.notices.get(NET_DUPLICATE.name, "")
        if twin != self._twin:
            self._twin, self._twin_ms = twin, now
        self._hearing.listen()

    def _report(self, status: Status, seen: list[Seen]) -> Report:
        root_height, root = self._newest_root()
        heard = [row.index for row in seen if row.linked and (row.silent_ms or 0) <= QUIET_MS]
        return Report(
            version=self._version[:64],
            wall_ms=self._runtime.wall_ms(),
            epoch=status.epoch,
            view=status.view,
            height=status.height,
            state_root=status.state_root,
            state=status.state,
            reasons=self._reasons(status),
            free_disk_mb=min(self._free_mb(), _U32_MAX),
            epoch_record_hash=self._replica.epoch.record_hash,
            root_height=root_height,
            root=root,
            linked=bitmap(heard, len(seen)),
            lag_ms=min(max((lag for _, lag in self._lags), default=0), _U32_MAX),
        )

    def _reasons(self, status: Status) -> tuple[str, ...]:
        names = [reason.spec.name for reason in status.reasons]
        doubled = self._connections.twin_at or self._runtime.now_ms() - self._twin_ms < TWIN_MS
        if doubled and NET_DUPLICATE.name not in names:
            names.insert(0, NET_DUPLICATE.name)
        return tuple(names[:REPORT_REASONS_MAX])

    def _newest_root(self) -> tuple[int, bytes]:
        """The root over all results at the newest height at which others compare theirs."""
        height = self._replica.chain.height // ROOT_EVERY * ROOT_EVERY
        roots = self._replica.chain.roots_at(height) if height else None
        return (height, roots.results_root) if roots is not None else (0, ZERO)

    def _free_mb(self) -> int:
        try:
            return shutil.disk_usage(self._data).free >> 20
        except OSError:
            return 0  # A disk that does not answer has no room.

    def _accused(self) -> tuple[str, ...]:
        """Organisations of this epoch of whom two contradicting votes are held."""
        record = self._replica.record
        signers = {first.signer for epoch, first, _ in self._replica.evidence if epoch == record.epoch}
        return tuple(record.validators[signer].organisation for signer in sorted(signers))

    def _refusal(self, status: Status) -> Said | None:
        """What others have against this node, when it is connected with nobody.

        That it is not registered is mostly this side's guess, and a bad one where its own state calls it a validator.
        """
        names = {reason.spec.name for reason in status.reasons}
        for _, refusal in sorted(self._connections.refusals.items()) if not status.peers else ():
            guess = refusal.spec is NODE_UNREGISTERED and refusal.values.get("evidence") != "TLS alert"
            if refusal.spec.name in names and not (guess and status.validator is not None):
                return Said(name=refusal.spec.name, text=one_line(refusal.values))
        return None
