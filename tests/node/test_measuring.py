"""Metrics say how the node stands at each scrape."""

import tempfile
from pathlib import Path

from cccnode.node.measuring import LAG_MS, Measuring
from tests.node.support import Watched, peer


def values(watched: Watched) -> dict[str, float]:
    lines = watched.metrics.render().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[:1] != "#"}


def measured() -> Watched:
    watched = Watched()
    Measuring(
        replica=watched.node.replica,
        connections=watched.connections,
        service=watched.service,
        metrics=watched.metrics,
        runtime=watched.node.runtime,
        data=Path(tempfile.gettempdir()),
    )
    return watched


def test_a_scrape_sees_the_node_as_it_is() -> None:
    """Height, view, reachable validators, peers, clock and index at the time of the scrape."""
    watched = measured()
    assert 0 == values(watched)["cccnode_consensus_height"]
    for _ in range(3):
        watched.send()
        watched.run(300)
    watched.p2p.infos[0] = peer(watched.p2p.infos[0].node_key, skew_ms=40)
    found = values(watched)

    assert watched.node.replica.chain.height == found["cccnode_consensus_height"] > 0
    assert (4, 4, 3) == tuple(
        found[f"cccnode_{name}"] for name in ("consensus_validators", "consensus_validators_reachable", "p2p_peers")
    )
    assert 3 == found['cccnode_ledger_transactions_total{result="ok"}']
    assert 0 == found["cccnode_p2p_clock_skew_seconds"], "the median of 40, 0, 0"
    assert found["cccnode_storage_index_behind_blocks"] == watched.service.index_lag()
    assert 1 == found['cccnode_storage_earliest_height{kind="blocks"}']
    assert found['cccnode_node_stage_items_total{stage="execute"}'] >= 3
    assert 1 == found["cccnode_consensus_validator"] == found["cccnode_consensus_signing"]
    assert 0 == found["cccnode_consensus_contradictions"]
    assert found["cccnode_consensus_last_block_timestamp_seconds"] > 0


def test_readiness_is_a_metric() -> None:
    """Each check of /readyz is 1 where it fails, and so is `ready` where none does."""
    watched = measured()
    found = values(watched)
    failed = {check.name for check in watched.service.readiness() if check.failed is not None}
    checks = {check.name for check in watched.service.readiness()}
    assert {name for name in checks if found[f'cccnode_node_check_failed{{check="{name}"}}'] == 1} == failed
    assert found["cccnode_node_ready"] == (not failed)
    assert 0 < found["cccnode_storage_free_bytes"] < found["cccnode_storage_disk_bytes"]


def test_counters_kept_elsewhere_rise_by_the_difference() -> None:
    """Two scrapes do not count the same bytes, or the same messages, twice."""
    watched = measured()
    name, messages = (f'cccnode_p2p_sent_{what}_total{{channel="batch"}}' for what in ("bytes", "messages"))
    assert 10 == values(watched)[name]
    found = values(watched)
    assert 10 == found[name]
    for traffic in watched.p2p.traffic.values():
        traffic.bytes_out += 5
        traffic.frames_out += 1
    more = values(watched)
    assert 15 == more[name]
    assert 1 == more[messages] - found[messages]


def test_the_loop_s_lag_is_measured() -> None:
    """Once a second, for ever."""
    watched = measured()
    watched.metrics.loop_lag.set(9)
    watched.run(3 * LAG_MS)

    assert 0 == values(watched)["cccnode_event_loop_lag_seconds"]
