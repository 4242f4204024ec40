"""What a node measures and what it says: Prometheus metrics with one registry per node, and the log.

Names are `cccnode_<area>_<what>_<unit>`, counters end in `_total`, times are seconds; no label grows with the number of
peers or accounts.
"""

import logging
import platform
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

PREFIX: Final = "cccnode"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Every metric of one node.  Tests run many nodes in one process, so nothing is global."""

    def __init__(self) -> None:
        """Metrics at zero, in a registry of their own."""
        self.registry = CollectorRegistry()
        self._refresh: list[Callable[[], None]] = []
        ProcessCollector(registry=self.registry)
        counter, gauge, histogram = self._counter, self._gauge, self._histogram

        self.build = Info(f"{PREFIX}_build", "Program and chain", registry=self.registry)
        self.loop_lag = gauge("event_loop_lag_seconds", "How late the event loop ran its last timer")

        self.height = gauge("consensus_height", "Last executed block")
        self.final_height = gauge("consensus_final_height", "Last final block")
        self.epoch = gauge("consensus_epoch", "Current epoch")
        self.view = gauge("consensus_view", "Current view")
        self.validators = gauge("consensus_validators", "Validators of the epoch")
        self.validators_reachable = gauge("consensus_validators_reachable", "Validators in contact")
        self.behind = gauge("consensus_behind_blocks", "Blocks behind the newest known height")
        self.block_interval = histogram("consensus_block_interval_seconds", "Header time between blocks")

        self.last_block = gauge("consensus_last_block_timestamp_seconds", "Header time of the last executed block")
        self.validating = gauge("consensus_validator", "1 when this node is a validator of the epoch")
        self.signing = gauge("consensus_signing", "1 when this validator votes, 0 when it only observes")
        self.contradictions = gauge("consensus_contradictions", "Pairs of contradicting votes that this node has met")

        self.ready = gauge("node_ready", "1 when no check of /readyz fails")
        self.check_failed = gauge("node_check_failed", "1 when this check of /readyz fails", "check")

        self.transactions = counter("ledger_transactions_total", "Decided transactions", "result")
        self.window = gauge("ledger_window_transactions", "Ids in the duplicate window")
        self.stage_seconds = counter("node_stage_cpu_seconds_total", "Processor time by stage of the work", "stage")
        self.stage_items = counter("node_stage_items_total", "Transactions that went through a stage", "stage")

        self.mempool = gauge("mempool_transactions", "Transactions waiting")
        self.refused = counter("mempool_refused_total", "Transactions refused at admission", "name")
        self.peers = gauge("p2p_peers", "Connected nodes")
        self.sent_messages = counter("p2p_sent_messages_total", "Messages sent", "channel")
        self.sent_bytes = counter("p2p_sent_bytes_total", "Bytes sent", "channel")
        self.received_messages = counter("p2p_received_messages_total", "Messages received", "channel")
        self.received_bytes = counter("p2p_received_bytes_total", "Bytes received", "channel")
        self.clock_skew = gauge("p2p_clock_skew_seconds", "Median difference to the clocks of peers")
        self.sync_seconds = histogram("storage_sync_seconds", "One fdatasync", "file")
        self.earliest = gauge("storage_earliest_height", "Lowest height that is kept", "kind")
        self.usage = gauge("storage_bytes", "Bytes on the disk", "kind")
        self.disk_free = gauge("storage_free_bytes", "Bytes that are free where the data lies")
        self.disk_size = gauge("storage_disk_bytes", "Bytes of the disk where the data lies")
        self.index_behind = gauge("storage_index_behind_blocks", "Blocks that the transaction index lacks")

        self.rpc_requests = counter("rpc_requests_total", "Calls by method and outcome", "method", "outcome")
        self.rpc_seconds = histogram("rpc_request_seconds", "Time to answer one HTTP request")
        self.rpc_streams = gauge("rpc_streams", "Readers of GET /v1/events now")
        self.rpc_waiting = gauge("rpc_waiting", "Calls of tx_wait that wait now")

    def identify(self, *, version: str, chain: str, node: str) -> None:
        """Fill the build information once it is known."""
        self.build.info({"version": version, "python": platform.python_version(), "chain": chain, "node": node})

    def before_scrape(self, refresh: Callable[[], None]) -> None:
        """Have `refresh` set gauges just before each scrape, instead of at every change."""
        self._refresh.append(refresh)

    def render(self) -> bytes:
        """The Prometheus text of all metrics."""
        for refresh in self._refresh:
            refresh()
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, buckets=_SECONDS, registry=self.registry)


class Loudness:
    """The quietest level that is written.  Of the process, like the log itself, and changeable while it runs."""

    def __init__(self, level: str) -> None:
        """Begin with `level`: debug, info, warning or error."""
        self.level = level
        self.number = 0
        self.set(level)

    def set(self, level: str) -> str:
        """From now on write this level and everything louder; what it was before."""
        before, self.level = self.level, level
        self.number = logging.getLevelNamesMapping()[level.upper()]
        return before


LOUDNESS: Final = Loudness("info")
"""What `start_logging` sets, and `POST /log` on the operator's port."""


def start_logging(*, level: str, form: str) -> None:
    """Log to standard error through structlog: `text` for people, `json` for machines; one line an event.

    Modules log with `structlog.get_logger(area)` and bind height, view and peer as key and value.
    """
    import structlog  # noqa: PLC0415 - 180 ms that other commands need not pay

    def loud_enough(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Drop what is quieter than asked for."""
        if structlog.processors.NAME_TO_LEVEL[method] < LOUDNESS.number:
            raise structlog.DropEvent
        return event

    LOUDNESS.set(level)
    colours = sys.stderr.isatty()
    render: Any = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=colours)
    )
    structlog.configure(
        processors=[
            loud_enough,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _plain_bytes,
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _plain_bytes(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hashes and keys as short hexadecimal: a log line is read by people."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = value.hex()[:16]
    return event
