"""Fills the metrics: after each block what happened, before each scrape how things stand."""

import shutil
from pathlib import Path
from statistics import median

from cccnode.driver.execution import Applied
from cccnode.driver.replica import Replica
from cccnode.driver.runtime import Runtime
from cccnode.node.connections import Connections
from cccnode.node.service import Service
from cccnode.telemetry import Metrics
from cccnode.types.receipt import OK

LAG_MS = 1_000
"""How often the loop's lag is measured."""


class Measuring:
    """Ties a node's parts to its metrics."""

    def __init__(
        self,
        *,
        replica: Replica,
        connections: Connections,
        service: Service,
        metrics: Metrics,
        runtime: Runtime,
        data: Path,
    ) -> None:
        """Begin to measure; `data` lies on the disk whose room is told."""
        self._data = data
        self._replica, self._connections, self._service = replica, connections, service
        self._metrics, self._runtime = metrics, runtime
        self._time_ms = 0
        self._counted: dict[tuple[str, str], int] = {}
        replica.decided_hooks.append(self._applied)
        metrics.before_scrape(self._refresh)
        self._measure_lag()

    def _applied(self, applied: Applied) -> None:
        outcome, metrics = applied.outcome, self._metrics
        executed = sum(code == OK for code in outcome.codes)
        metrics.transactions.labels("ok").inc(executed)
        metrics.transactions.labels("failed").inc(len(outcome.codes) - executed)
        metrics.transactions.labels("skipped").inc(outcome.skipped)
        if self._time_ms:
            metrics.block_interval.observe((outcome.time_ms - self._time_ms) / 1000)
        self._time_ms = outcome.time_ms

    def _measure_lag(self) -> None:
        due_ms = self._runtime.now_ms() + LAG_MS

        def fired() -> None:
            self._metrics.loop_lag.set((self._runtime.now_ms() - due_ms) / 1000)
            self._measure_lag()

        self._runtime.call_later(LAG_MS, fired)

    def _refresh(self) -> None:
        """Gauges, and counters that others keep."""
        metrics, status = self._metrics, self._service.status()
        metrics.height.set(status.height)
        metrics.final_height.set(status.final_height)
        metrics.epoch.set(status.epoch)
        metrics.view.set(status.view)
        metrics.validators.set(len(status.validators))
        metrics.validators_reachable.set(sum(validator.reachable for validator in status.validators))
        metrics.behind.set(status.behind)
        metrics.last_block.set(status.time_ms / 1000)
        metrics.contradictions.set(len(self._service.evidence()))
        self._refresh_checks()
        metrics.window.set(len(self._replica.window))
        metrics.mempool.set(status.mempool)
        metrics.peers.set(status.peers)
        skews = [peer.clock_skew_ms for peer in self._service.peers() if peer.clock_skew_ms is not None]
        if skews:
            metrics.clock_skew.set(median(skews) / 1000)
        metrics.index_behind.set(self._service.index_lag())
        for kind, height in status.earliest.items():
            metrics.earliest.labels(kind).set(height)
        for kind, size in status.usage.items():
            metrics.usage.labels(kind).set(size)
        for channel, traffic in self._connections.network.counters().channels.items():
            self._count("messages", channel.name.lower(), traffic.frames_out)
            self._count("sent", channel.name.lower(), traffic.bytes_out)
            self._count("received", channel.name.lower(), traffic.bytes_in)
            self._count("messages_in", channel.name.lower(), traffic.frames_in)
        stages = self._replica.stages
        for stage in sorted(stages.nanoseconds):
            self._count("stage_ns", stage, stages.nanoseconds[stage])
            self._count("stage_items", stage, stages.items[stage])

    def _refresh_checks(self) -> None:
        """What /readyz says, whether this node votes, and how much room it has."""
        metrics, replica = self._metrics, self._replica
        checks = self._service.readiness()
        metrics.ready.set(all(check.failed is None for check in checks))
        for check in checks:
            metrics.check_failed.labels(check.name).set(check.failed is not None)
        metrics.validating.set(replica.epoch.me is not None)
        metrics.signing.set(replica.voting is not None and self._service.observing() is None)
        disk = shutil.disk_usage(self._data)
        metrics.disk_free.set(disk.free)
        metrics.disk_size.set(disk.total)

    def _count(self, what: str, label: str, total: int) -> None:
        """Bring a counter up to a total that somebody else keeps."""
        more = total - self._counted.get((what, label), 0)
        self._counted[what, label] = total
        match what:
            case "messages":
                self._metrics.sent_messages.labels(label).inc(more)
            case "messages_in":
                self._metrics.received_messages.labels(label).inc(more)
            case "sent":
                self._metrics.sent_bytes.labels(label).inc(more)
            case "received":
                self._metrics.received_bytes.labels(label).inc(more)
            case "stage_ns":
                self._metrics.stage_seconds.labels(label).inc(more / 1e9)
            case _:
                self._metrics.stage_items.labels(label).inc(more)
